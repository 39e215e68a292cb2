//! How an SDK client waits in virtual time: the time-outs and delays of its calls follow a clock that is moved.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task;
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use futures_util::future::BoxFuture;
use kcl_core::ports::Clock;

/// Waits for this clock.
pub fn sleep_of<C: Clock + Clone>(clock: &C) -> SharedAsyncSleep {
    SharedAsyncSleep::new(VirtualSleep(Arc::new(clock.clone())))
}

struct VirtualSleep(Arc<dyn Clock>);

impl fmt::Debug for VirtualSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VirtualSleep")
    }
}

impl AsyncSleep for VirtualSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = Arc::clone(&self.0);
        let waiting = async move { clock.sleep_until(clock.now() + duration).await };
        Sleep::new(Shareable(Mutex::new(Box::pin(waiting))))
    }
}

/// The SDK wants its waits to be `Sync`; a mutex that nobody locks makes them so.
struct Shareable(Mutex<BoxFuture<'static, ()>>);

impl Future for Shareable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> task::Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context)
    }
}
