//! How often the control plane may be called, as the service counts it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::ServiceError;
use super::limits::Bucket;
use super::time::Timestamp;

/// The rates of the control plane: one bucket for each operation and what it is counted for.
#[derive(Debug, Default)]
pub(crate) struct ControlRates {
    buckets: BTreeMap<(&'static str, String), Bucket>,
}

impl ControlRates {
    /// Counts a call of `operation` on `subject`, if there is room for it: on a stream, or for SubscribeToShard on a shard
    /// by a consumer.
    ///
    /// # Errors
    /// `LimitExceededException`, with the rate.
    pub(crate) fn admit(&mut self, operation: &str, subject: &str, now: Timestamp) -> Result<(), ServiceError> {
        let Some(rate) = RATES.iter().find(|rate| rate.operation == operation) else { return Ok(()) };
        let counted_for = match rate.scope {
            Scope::Account => String::new(),
            Scope::Stream | Scope::Subscription => subject.to_owned(),
        };
        let bucket = self.buckets.entry((rate.operation, counted_for));
        let bucket = bucket.or_insert_with(|| Bucket::full(rate.calls, rate.period));
        if bucket.has(1, now) {
            bucket.take(1);
            return Ok(());
        }
        let (whose, period) = (rate.scope.noun(), rate.period.as_secs());
        Err(ServiceError::limit_exceeded(format!(
            "Rate exceeded for {operation}: {} calls in {period} s for each {whose}. Call it less often, or start \
             without limits.",
            rate.calls
        )))
    }
}

struct Rate {
    operation: &'static str,
    calls: u32,
    period: Duration,
    scope: Scope,
}

#[derive(Clone, Copy)]
enum Scope {
    Account,
    Stream,
    Subscription,
}

impl Scope {
    const fn noun(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Stream => "stream",
            Self::Subscription => "registered consumer and shard",
        }
    }
}

const fn per_second(operation: &'static str, calls: u32, scope: Scope) -> Rate {
    Rate { operation, calls, period: Duration::from_secs(1), scope }
}

const fn per_day(operation: &'static str, calls: u32) -> Rate {
    Rate { operation, calls, period: Duration::from_hours(24), scope: Scope::Stream }
}

/// The service's documented rates.
const RATES: [Rate; 29] = [
    per_second("CreateStream", 5, Scope::Account),
    per_second("DeleteStream", 5, Scope::Account),
    per_second("ListStreams", 5, Scope::Account),
    per_second("DescribeStream", 10, Scope::Account),
    per_second("DescribeStreamSummary", 20, Scope::Account),
    per_second("DescribeLimits", 1, Scope::Account),
    per_second("ListShards", 1_000, Scope::Stream),
    per_second("SplitShard", 5, Scope::Account),
    per_second("MergeShards", 5, Scope::Account),
    per_day("UpdateShardCount", 10),
    per_day("UpdateStreamMode", 2),
    per_day("StartStreamEncryption", 25),
    per_day("StopStreamEncryption", 25),
    per_second("IncreaseStreamRetentionPeriod", 5, Scope::Stream),
    per_second("DecreaseStreamRetentionPeriod", 5, Scope::Stream),
    per_second("EnableEnhancedMonitoring", 5, Scope::Account),
    per_second("DisableEnhancedMonitoring", 5, Scope::Account),
    per_second("AddTagsToStream", 5, Scope::Account),
    per_second("RemoveTagsFromStream", 5, Scope::Account),
    per_second("ListTagsForStream", 5, Scope::Account),
    per_second("TagResource", 5, Scope::Account),
    per_second("UntagResource", 5, Scope::Account),
    per_second("ListTagsForResource", 5, Scope::Account),
    per_second("RegisterStreamConsumer", 5, Scope::Account),
    per_second("DeregisterStreamConsumer", 5, Scope::Stream),
    per_second("DescribeStreamConsumer", 20, Scope::Stream),
    per_second("ListStreamConsumers", 5, Scope::Stream),
    per_second("SubscribeToShard", 1, Scope::Subscription),
    per_second("DescribeAccountSettings", 5, Scope::Account),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + millis)
    }

    #[test]
    fn streams_are_counted_apart_where_the_service_does() {
        let mut rates = ControlRates::default();
        assert!((0..10).all(|_| rates.admit("UpdateShardCount", "a", at(0)).is_ok()));
        assert!(rates.admit("UpdateShardCount", "a", at(3_600_000)).is_err());
        assert!(rates.admit("UpdateShardCount", "b", at(0)).is_ok());
        assert!((0..5).all(|_| rates.admit("CreateStream", "a", at(0)).is_ok()));
        assert!(rates.admit("CreateStream", "b", at(0)).is_err());
        assert!(rates.admit("CreateStream", "b", at(200)).is_ok());
        assert!((0..5_000).all(|_| rates.admit("PutRecords", "a", at(0)).is_ok()));
    }
}
