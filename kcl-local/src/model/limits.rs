//! What a shard can take per second, as the service counts it.
//!
//! Pure arithmetic: every method takes the time, so a test can live through a minute of throttling in no time.

use std::time::Duration;

use super::time::Timestamp;

/// Whether rates are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limits {
    /// No call is ever throttled.
    #[default]
    Off,
    /// As the service limits shards and accounts: per shard 1,000 records and 1 MiB per second in, 5 reads and 2 MiB
    /// per second out, 2 MiB per second for each registered consumer; per account or stream the rates of the control
    /// plane. Calls beyond that get the service's errors.
    Service,
}

impl Limits {
    /// Whether they apply.
    #[must_use]
    pub const fn are_on(self) -> bool {
        matches!(self, Self::Service)
    }
}

/// A bucket that holds what one period allows, and fills evenly.
///
/// Counted in thousandths, so that a millisecond's worth of the smallest rate is not lost in rounding.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    capacity: i64,
    period: Duration,
    /// Negative after something larger than the whole bucket was let through: a debt to wait for.
    level: i64,
    filled: Timestamp,
}

impl Bucket {
    /// A full bucket that allows `amount` per `period`.
    pub(crate) const fn full(amount: u32, period: Duration) -> Self {
        let capacity = amount as i64 * SCALE;
        Self { capacity, period, level: capacity, filled: Timestamp::from_millis(0) }
    }

    /// Whether `amount` may be taken now. What is larger than the bucket may be taken when the bucket is full: a record
    /// of 10 MiB has to be possible at 1 MiB per second.
    pub(crate) fn has(&mut self, amount: usize, now: Timestamp) -> bool {
        self.fill(now);
        self.level >= scaled(amount).min(self.capacity)
    }

    pub(crate) fn take(&mut self, amount: usize) {
        self.level -= scaled(amount);
    }

    fn fill(&mut self, now: Timestamp) {
        // A clock that went back fills nothing until it has caught up.
        let passed = now.since(self.filled).as_millis();
        let gained = passed.saturating_mul(self.capacity as u128) / self.period.as_millis().max(1);
        if gained > 0 {
            let gained = i64::try_from(gained).unwrap_or(i64::MAX);
            self.level = self.level.saturating_add(gained).min(self.capacity);
            self.filled = self.filled.max(now);
        }
    }
}

/// Bytes that leave a shard. An answer is never cut short by its size; it is paid for afterwards, at the rate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outflow {
    begun: Timestamp,
    bytes: u64,
}

impl Outflow {
    /// When the next answer may go out; not after `now` if at once.
    pub(crate) fn free_at(&self, now: Timestamp) -> Timestamp {
        if self.bytes < READ_BYTES_PER_SECOND {
            return self.begun.min(now);
        }
        self.begun.plus(Duration::from_millis(self.bytes * 1000 / READ_BYTES_PER_SECOND))
    }

    /// Counts an answer that goes out now.
    pub(crate) fn sent(&mut self, bytes: usize, now: Timestamp) {
        let second_over = now >= self.begun.plus(Duration::from_secs(1));
        if second_over && self.free_at(now) <= now {
            *self = Self { begun: now, bytes: 0 };
        }
        self.bytes += bytes as u64;
    }
}

/// The rates of one shard.
#[derive(Debug, Clone)]
pub(crate) struct ShardRates {
    records_in: Bucket,
    bytes_in: Bucket,
    reads: Bucket,
    iterators: Bucket,
    bytes_out: Outflow,
}

impl ShardRates {
    pub(crate) const fn new() -> Self {
        let second = Duration::from_secs(1);
        Self {
            records_in: Bucket::full(1_000, second),
            bytes_in: Bucket::full(1024 * 1024, second),
            reads: Bucket::full(5, second),
            iterators: Bucket::full(5, second),
            bytes_out: Outflow { begun: Timestamp::from_millis(0), bytes: 0 },
        }
    }

    /// Counts a record of this size in, if there is room for it.
    pub(crate) fn admit_record(&mut self, bytes: usize, now: Timestamp) -> bool {
        let fits = self.records_in.has(1, now) && self.bytes_in.has(bytes, now);
        if fits {
            self.records_in.take(1);
            self.bytes_in.take(bytes);
        }
        fits
    }

    /// Counts a read, if there is room for it. Whoever was let in says afterwards what it [sent](Self::sent).
    pub(crate) fn admit_read(&mut self, now: Timestamp) -> bool {
        let fits = self.reads.has(1, now);
        if fits {
            // Also when earlier answers are still being paid for: the service counts refused reads among the five.
            self.reads.take(1);
        }
        fits && self.bytes_out.free_at(now) <= now
    }

    pub(crate) fn admit_iterator(&mut self, now: Timestamp) -> bool {
        let fits = self.iterators.has(1, now);
        if fits {
            self.iterators.take(1);
        }
        fits
    }

    pub(crate) fn sent(&mut self, bytes: usize, now: Timestamp) {
        self.bytes_out.sent(bytes, now);
    }
}

/// The service says 2 MB and allows 2 MiB, so that an answer of 10 MiB is paid for in exactly five seconds.
const READ_BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;
const SCALE: i64 = 1_000;

fn scaled(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / SCALE).saturating_mul(SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + millis)
    }

    #[test]
    fn a_bucket_allows_its_amount_and_then_what_has_flowed_in() {
        let mut bucket = Bucket::full(1_000, Duration::from_secs(1));
        let mut taken = |now| {
            (0..2_000)
                .filter(|_| {
                    bucket.has(1, now) && {
                        bucket.take(1);
                        true
                    }
                })
                .count()
        };
        assert_eq!(taken(at(0)), 1_000);
        assert_eq!(taken(at(0)), 0);
        assert_eq!(taken(at(1)), 1);
        assert_eq!(taken(at(251)), 250);
        assert_eq!(taken(at(100)), 0, "a clock that went back");
        assert_eq!(taken(at(9_000)), 1_000);
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_when_it_is_full() {
        let mut bucket = Bucket::full(10, Duration::from_secs(1));
        assert!(bucket.has(100, at(0)));
        bucket.take(100);
        assert!(!bucket.has(1, at(9_000)));
        assert!(bucket.has(1, at(9_100)));
        assert!(!bucket.has(100, at(9_900)));
    }

    #[test]
    fn ten_mebibytes_block_the_next_five_seconds() {
        let mut rates = ShardRates::new();
        assert!(rates.admit_read(at(0)));
        rates.sent(10 * 1024 * 1024, at(0));
        for millis in [1, 1_000, 4_999] {
            assert!(!rates.admit_read(at(millis)));
        }
        assert!(rates.admit_read(at(5_000)));
        rates.sent(1024 * 1024, at(5_000));
        assert!(rates.admit_read(at(5_001)));
        rates.sent(1024 * 1024, at(5_001));
        assert!(!rates.admit_read(at(5_999)));
        assert!(rates.admit_read(at(6_000)));
    }

    #[test]
    fn refused_reads_count_among_the_five() {
        let mut rates = ShardRates::new();
        assert_eq!((0..7).filter(|_| rates.admit_read(at(0))).count(), 5);
        assert!(!rates.admit_read(at(199)));
        assert!(rates.admit_read(at(200)));
    }
}
