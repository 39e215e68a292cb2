//! Everything that follows from the failover time.

use std::fmt;
use std::time::Duration;

/// The times that follow from `failover_time` (F), the one knob. Printed at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// F: a holder stops by itself when it could not renew for this long. A leader trusts its lock for as long.
    pub failover: Duration,
    /// F/3: a holder renews this often.
    pub renewal: Duration,
    /// F/10: one call to the table may take this long. Short attempts are what makes retries count.
    pub attempt: Duration,
    /// 1.1 F: observers take a lease or a worker for dead after this long without movement. The tenth covers clocks that
    /// drift apart by up to 5 %.
    pub expiry: Duration,
    /// min(2 s, F/4): the leader and its standby look at the whole table this often.
    pub observation: Duration,
    /// min(2 s, F/5): each worker writes its own row, and reads the leader's, this often.
    pub heartbeat: Duration,
    /// min(1 s, F/10): each worker looks into its inbox this often.
    pub inbox: Duration,
    /// 1.2 F: others wait this long for a leader whose row does not move.
    pub lock: Duration,
    /// 2 F: without a completed planning cycle for this long, every worker takes what it has seen expire.
    pub leaderless: Duration,
    /// 30 s: a holder that is asked to hand a lease over stops after this long, whatever is still running.
    pub hand_off: Duration,
    /// 1.1 (30 s + F): a hand-off that has been pending for this long is completed by whoever sees it.
    pub overdue: Duration,
    /// 250 ms: the worker that a pending hand-off names reads its row this often.
    pub pending: Duration,
    /// 30 s: the leader compares the rows with the list of shards at least this often.
    pub shard_sync: Duration,
}

impl Timings {
    /// Derives all times from the failover time.
    pub fn from_failover_time(failover: Duration) -> Self {
        let hand_off = Duration::from_secs(30);
        Timings {
            failover,
            renewal: failover / 3,
            attempt: failover / 10,
            expiry: with_margin(failover),
            observation: Duration::from_secs(2).min(failover / 4),
            heartbeat: Duration::from_secs(2).min(failover / 5),
            inbox: Duration::from_secs(1).min(failover / 10),
            lock: failover + failover / 5,
            leaderless: failover * 2,
            hand_off,
            overdue: with_margin(hand_off + failover),
            pending: Duration::from_millis(250),
            shard_sync: Duration::from_secs(30),
        }
    }
}

/// What an observer adds to a time that somebody else measures.
fn with_margin(time: Duration) -> Duration {
    time + time / 10
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [
            ("failover_time", self.failover),
            ("renewal", self.renewal),
            ("attempt", self.attempt),
            ("expiry", self.expiry),
            ("observation", self.observation),
            ("heartbeat", self.heartbeat),
            ("inbox", self.inbox),
            ("lock", self.lock),
            ("leaderless", self.leaderless),
            ("hand_off", self.hand_off),
            ("overdue", self.overdue),
            ("pending", self.pending),
            ("shard_sync", self.shard_sync),
        ];
        for (index, (name, time)) in times.into_iter().enumerate() {
            write!(f, "{}{name}={time:?}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
