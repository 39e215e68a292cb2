//! Time as values: a monotonic [`Moment`], a wall-clock [`Timestamp`], and back-off delays from an attempt and a seed.

use std::fmt;
use std::num::NonZero;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point on the monotonic clock of this process, which also counts the time a machine was suspended.
///
/// Moments of two machines are never compared. A moment can be made from a number in a test and printed in a plan. It is kept
/// in nanoseconds, half as large as a [`Duration`], since every idle shard has dozens; they last for 584 years.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment that lies `since` after the clock's origin.
    pub const fn from_origin(since: Duration) -> Self {
        Moment(nanos(since))
    }

    /// How long after the clock's origin this is.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to this moment; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `before` earlier, not before the clock's origin.
    pub fn saturating_sub(self, before: Duration) -> Moment {
        Moment(self.0.saturating_sub(nanos(before)))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, later: Duration) -> Timestamp {
        let millis = i64::try_from(later.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.as_millis().saturating_add(millis))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos(later)))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.since_origin().as_secs_f64())
    }
}

/// More than a moment can hold is its end.
const fn nanos(span: Duration) -> u64 {
    let nanos = span.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// Wall time in whole milliseconds since 1970-01-01 UTC. Only stored and shown, and never used to judge whether another
/// machine lives: clocks of machines differ.
///
/// Kept with the sign bit turned over, which keeps the order and makes zero the one time that there is not: so none takes
/// up no room beside it in the rows that a worker has in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(NonZero<u64>);

impl Timestamp {
    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp::from_millis(seconds.saturating_mul(1_000))
    }

    /// Unix seconds, parts of a second cut off towards the past.
    pub const fn as_seconds(self) -> i64 {
        self.as_millis().div_euclid(1_000)
    }

    /// From milliseconds since the epoch. The least number there is counts as the one above it.
    pub const fn from_millis(millis: i64) -> Self {
        match NonZero::new(millis as u64 ^ SIGN) {
            Some(turned) => Timestamp(turned),
            None => Timestamp(NonZero::<u64>::MIN),
        }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN) as i64
    }

    /// The time from `earlier` to this; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.as_millis().saturating_sub(earlier.as_millis())).unwrap_or(0))
    }

    /// The time that lies `before` earlier.
    pub fn saturating_sub(self, before: Duration) -> Timestamp {
        let millis = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.as_millis().saturating_sub(millis))
    }
}

const SIGN: u64 = 1 << 63;

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Timestamp::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(stamp: Timestamp) -> Self {
        stamp.as_millis()
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        })
    }
}

impl From<Timestamp> for SystemTime {
    fn from(stamp: Timestamp) -> SystemTime {
        let span = Duration::from_millis(stamp.as_millis().unsigned_abs());
        if stamp.as_millis() >= 0 { UNIX_EPOCH + span } else { UNIX_EPOCH - span }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.as_millis()) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_) => write!(f, "{} ms", self.as_millis()),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Exponential back-off with jitter, as a value: the delay depends on the attempt and the random number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay before jitter after the first failure.
    pub first: Duration,
    /// No delay is longer than this.
    pub most: Duration,
}

impl Backoff {
    /// The delay after the given number of failures (1 = the first), between half and all of the exponential value.
    ///
    /// Half of the value is kept so that a failing call is never repeated at once by all who failed together.
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let exponent = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << exponent).min(self.most);
        let half = full / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(if spread == 0 { 0 } else { random % (spread + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_limit_and_never_vanishes() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(30) };
        for failures in 1..40 {
            for random in [0, 1, 49_999, u64::MAX] {
                let delay = backoff.delay(failures, random);
                assert!(
                    delay >= Duration::from_millis(50) && delay <= Duration::from_secs(30),
                    "{failures}: {delay:?}"
                );
            }
        }
        assert!(backoff.delay(30, 0) >= Duration::from_secs(15));
    }

    #[test]
    fn timestamps_survive_the_way_to_system_time_and_back() {
        for millis in [0, 1, -1, 1_795_257_281_123, -86_400_000] {
            let stamp = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(stamp)), stamp);
        }
        assert_eq!(Timestamp::from_millis(1_500).to_string(), "1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn timestamps_keep_their_number_and_its_order_and_none_takes_up_no_room() {
        let numbers = [i64::MIN + 1, -86_400_000, -1, 0, 1, 1_795_257_281_123, i64::MAX];
        let stamps = numbers.map(Timestamp::from_millis);
        assert_eq!(stamps.map(Timestamp::as_millis), numbers);
        assert!(stamps.is_sorted());
        assert_eq!(Timestamp::from_millis(i64::MIN), stamps[0], "the one number that there is no room for");
        assert_eq!(serde_json::to_string(&stamps[5]).unwrap(), "1795257281123");
        assert_eq!(serde_json::from_str::<Timestamp>("-1").unwrap(), stamps[2]);
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<i64>());
        assert_eq!(stamps[4].saturating_sub(Duration::from_millis(2)), stamps[2]);
    }
}
