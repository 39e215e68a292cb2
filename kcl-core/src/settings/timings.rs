//! Everything that follows from the failover time.

use std::fmt;
use std::time::Duration;

/// The times that follow from `failover_time` (F), the one knob. Printed at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// F: a holder stops by itself when it could not renew for this long.
    pub failover: Duration,
    /// F/3: a holder renews this often.
    pub renewal: Duration,
    /// F/10: one call to the table may take this long. Short attempts are what makes retries count.
    pub attempt: Duration,
    /// 1.1 F: observers take a lease or a worker for dead after this long without movement. The tenth covers clocks that
    /// drift apart by up to 5 %.
    pub expiry: Duration,
    /// min(1 s, F/4): each worker looks at the table this often.
    pub observation: Duration,
    /// min(2 s, F/5): each worker writes its own row this often.
    pub heartbeat: Duration,
}

impl Timings {
    /// Derives all times from the failover time.
    pub fn from_failover_time(failover: Duration) -> Self {
        Timings {
            failover,
            renewal: failover / 3,
            attempt: failover / 10,
            expiry: failover + failover / 10,
            observation: Duration::from_secs(1).min(failover / 4),
            heartbeat: Duration::from_secs(2).min(failover / 5),
        }
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failover_time={:?} renewal={:?} attempt={:?} expiry={:?} observation={:?} heartbeat={:?}",
            self.failover, self.renewal, self.attempt, self.expiry, self.observation, self.heartbeat
        )
    }
}
