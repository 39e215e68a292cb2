//! The clocks of one machine: monotonic time that runs a little fast or slow, and wall time that jumps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::Clock;
use kcl_core::types::{Moment, Timestamp};

use super::timeline::{At, Timeline};

/// When every run begins, in true wall time: 2026-01-01.
pub(crate) const BEGINNING: i64 = 1_767_225_600_000;

/// A machine. It outlives the processes on it.
#[derive(Clone)]
pub(crate) struct Machine {
    timeline: Timeline,
    /// How long it was up when the run began.
    up: Duration,
    /// How much faster its clock is than true time, in millionths.
    drift: i64,
    /// How far its wall clock is ahead, in milliseconds.
    ahead: Arc<AtomicI64>,
}

const MILLION: i128 = 1_000_000;

impl Machine {
    pub(crate) fn new(timeline: Timeline, up: Duration, drift: i64) -> Self {
        Machine { timeline, up, drift, ahead: Arc::default() }
    }

    /// Sets the wall clock on or back.
    pub(crate) fn jump(&self, millis: i64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    fn moment(&self, at: At) -> Moment {
        let elapsed = nanos(at) * (MILLION + i128::from(self.drift)) / MILLION;
        Moment::from_origin(self.up + duration(elapsed))
    }

    /// How long it really takes until its clock shows that so much time has passed.
    pub(crate) fn true_span(&self, span: Duration) -> Duration {
        let rate = MILLION + i128::from(self.drift);
        duration((nanos(span) * MILLION + rate - 1) / rate)
    }

    /// The first instant of true time at which the machine's clock shows `moment` or more.
    fn true_time(&self, moment: Moment) -> At {
        self.true_span(moment.since_origin().saturating_sub(self.up))
    }
}

fn nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX)
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[async_trait]
impl Clock for Machine {
    fn now(&self) -> Moment {
        self.moment(self.timeline.now())
    }

    fn wall(&self) -> Timestamp {
        let millis = self.moment(self.timeline.now()).since(Moment::from_origin(self.up)).as_millis();
        let elapsed = i64::try_from(millis).unwrap_or(i64::MAX);
        Timestamp::from_millis(BEGINNING + elapsed + self.ahead.load(Ordering::Relaxed))
    }

    async fn sleep_until(&self, deadline: Moment) {
        if deadline > self.now() {
            self.timeline.sleep_until(self.true_time(deadline)).await;
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({:+} ppm)", self.drift)
    }
}

/// The service's clock: true time.
pub(crate) struct ServiceClock(pub(crate) Timeline);

impl kcl_local::Clock for ServiceClock {
    fn now(&self) -> kcl_local::Timestamp {
        let beginning = kcl_local::Timestamp::from_millis(BEGINNING.unsigned_abs());
        beginning.plus(self.0.now())
    }

    fn sleep_until(&self, deadline: kcl_local::Timestamp) -> kcl_local::Sleep {
        let left = deadline.since(kcl_local::Clock::now(self));
        Box::pin(self.0.sleep(left))
    }
}

impl fmt::Debug for ServiceClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceClock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_at_the_first_instant_at_which_the_clock_shows_its_deadline() {
        for drift in [-50_000, -1, 0, 3, 50_000] {
            let machine = Machine::new(Timeline::default(), Duration::from_secs(77), drift);
            for nanos in [1, 999, 1_000_000_007, 123_456_789_123] {
                let deadline = Moment::from_origin(Duration::from_secs(77) + Duration::from_nanos(nanos));
                let at = machine.true_time(deadline);
                assert!(machine.moment(at) >= deadline, "{drift} {nanos}");
                assert!(machine.moment(at - Duration::from_nanos(1)) < deadline, "{drift} {nanos}");
            }
        }
    }
}
