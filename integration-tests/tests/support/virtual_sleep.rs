//! How an SDK client waits in virtual time: the time-outs and delays of its calls follow a clock that a test moves.

use std::pin::Pin;
use std::sync::Mutex;
use std::task;
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use futures_util::future::BoxFuture;
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;

/// Waits for this clock.
pub(crate) fn sleep_of(clock: &ManualClock) -> SharedAsyncSleep {
    SharedAsyncSleep::new(VirtualSleep(clock.clone()))
}

#[derive(Debug)]
struct VirtualSleep(ManualClock);

impl AsyncSleep for VirtualSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.0.clone();
        let waiting = async move { clock.sleep_until(clock.now() + duration).await };
        Sleep::new(Shareable(Mutex::new(Box::pin(waiting))))
    }
}

/// The SDK wants its waits to be `Sync`; a mutex that nobody locks makes them so.
struct Shareable(Mutex<BoxFuture<'static, ()>>);

impl Future for Shareable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> task::Poll<()> {
        self.0.get_mut().unwrap().as_mut().poll(context)
    }
}
