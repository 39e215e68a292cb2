//! Rules, and the decision which call meets which fault. Pure: the same calls in the same order meet the same faults.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is refused, without an effect.
    Error {
        /// The code clients match on, such as `InternalFailure`.
        code: String,
        /// The HTTP status; from 500 on, clients take it for the service's fault and try again.
        status: u16,
        /// The sentence for people.
        message: String,
    },
    /// It is refused as too much, with the error that the service has for the operation.
    Throttle,
    /// The connection breaks before the call has an effect.
    ConnectionError,
    /// The call takes effect, and the connection breaks before the answer.
    LostAnswer,
    /// The call takes effect at once, the answer comes later.
    LateAnswer {
        /// How much later, on the clock of the service.
        delay: Duration,
    },
    /// The answer ends early, as if that were all of it.
    TruncatedBody {
        /// How many bytes of the body come through.
        bytes: u64,
    },
    /// The answer begins and then stands still.
    StalledStream {
        /// How many bytes of the body come through before.
        bytes: u64,
        /// When it goes on, on the clock of the service; `None` means never.
        pause: Option<Duration>,
    },
    /// The answer begins and the connection breaks.
    Reset {
        /// How many bytes of the body come through before.
        bytes: u64,
    },
    /// The answer comes, and then the connection takes no more calls: GOAWAY on HTTP/2, where calls under way go on, and the
    /// end of the connection on HTTP/1.1. Without a socket it is nothing.
    GoAway,
    /// `ExpiredIteratorException`, whatever the age of the iterator.
    ExpiredIterator,
    /// `ListShards` answers as it would have some time ago: without the shards that were opened since.
    StaleList {
        /// How long ago.
        age: Duration,
    },
}

/// Which service a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultService {
    /// Kinesis.
    Kinesis,
    /// DynamoDB.
    DynamoDb,
}

/// Which calls meet a fault. A rule that says nothing else is for every call of both services.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    fault: Fault,
    service: Option<FaultService>,
    operation: Option<String>,
    resource: Option<String>,
    shard: Option<String>,
    first: u64,
    last: Option<u64>,
    every: u64,
    probability: f64,
}

impl FaultRule {
    /// A rule for every call.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            service: None,
            operation: None,
            resource: None,
            shard: None,
            first: 1,
            last: None,
            every: 1,
            probability: 1.0,
        }
    }

    /// Only calls of this service.
    #[must_use]
    pub fn service(mut self, service: FaultService) -> Self {
        self.service = Some(service);
        self
    }

    /// Only calls of this operation, such as `GetRecords`.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only calls that name this stream or table.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>) -> Self {
        self.resource = Some(name.into());
        self
    }

    /// Only calls for this shard, such as `shardId-000000000001`. A PutRecords is for all shards at once: `Error` and
    /// `Throttle` then befall its records for this shard, other faults the whole call.
    #[must_use]
    pub fn shard(mut self, shard: impl Into<String>) -> Self {
        self.shard = Some(shard.into());
        self
    }

    /// Only these of the calls that the rule is for, counted from 1: `calls(3..=5)`, `calls(10..)`, `calls(1..=1)`.
    #[must_use]
    pub fn calls(mut self, calls: impl RangeBounds<u64>) -> Self {
        self.first = match calls.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 1,
        };
        self.last = match calls.end_bound() {
            Bound::Included(&last) => Some(last),
            Bound::Excluded(&after) => Some(after.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        self
    }

    /// Only every `n`th of them, beginning with the first. 0 counts as 1.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }

    /// Only some of them, by chance: 0 is none, 1 is all. The plan's seed decides which.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// The fault.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    fn is_for(&self, call: &CallFacts<'_>) -> bool {
        let same =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let shard = call.is_for_many_shards || same(&self.shard, call.shard);
        self.service.is_none_or(|service| service == call.service)
            && same(&self.operation, Some(call.operation))
            && same(&self.resource, call.resource)
            && shard
    }

    /// Whether the fault befalls the `nth` call that the rule is for.
    fn strikes(&self, nth: u64, chance: impl FnOnce() -> f64) -> bool {
        let in_range = nth >= self.first && self.last.is_none_or(|last| nth <= last);
        in_range && (nth - self.first).is_multiple_of(self.every) && chance() < self.probability
    }
}

/// Rules, the first of which that strikes is what happens; and the seed of their chances.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultPlan {
    /// Decides which calls a rule with a probability strikes. Default: 0.
    pub seed: u64,
    /// The rules, in order.
    pub rules: Vec<FaultRule>,
}

/// What is known of a call before it is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallFacts<'a> {
    pub(crate) service: FaultService,
    pub(crate) operation: &'a str,
    pub(crate) resource: Option<&'a str>,
    pub(crate) shard: Option<&'a str>,
    /// PutRecords: a rule for one shard is for it too.
    pub(crate) is_for_many_shards: bool,
}

/// A fault that strikes, and the shard that its rule is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) shard: Option<String>,
}

/// A plan, and how many calls each rule was for.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    plan: FaultPlan,
    calls: Vec<u64>,
    strikes: Vec<u64>,
}

impl Progress {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        let zeros = vec![0; plan.rules.len()];
        Self { plan, calls: zeros.clone(), strikes: zeros }
    }

    pub(crate) fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// How many calls each rule has struck.
    pub(crate) fn strikes(&self) -> &[u64] {
        &self.strikes
    }

    /// Counts the call, and says what happens to it.
    pub(crate) fn decide(&mut self, call: &CallFacts<'_>) -> Option<Strike> {
        let mut struck = None;
        for (index, rule) in self.plan.rules.iter().enumerate().filter(|(_, rule)| rule.is_for(call)) {
            self.calls[index] += 1;
            let nth = self.calls[index];
            let chance = || chance(self.plan.seed, index as u64, nth);
            // Rules behind the one that strikes count on, so that what one does not depend on the others.
            if struck.is_none() && rule.strikes(nth, chance) {
                self.strikes[index] += 1;
                struck = Some(Strike { fault: rule.fault.clone(), shard: rule.shard.clone() });
            }
        }
        struck
    }
}

/// A number in 0..1 of its own for each call of each rule: how calls of several tasks interleave does not matter.
fn chance(seed: u64, rule: u64, nth: u64) -> f64 {
    let mix = seed ^ rule.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ nth.wrapping_mul(0xd1b5_4a32_d192_ed03);
    let mut random = fastrand::Rng::with_seed(mix);
    // The first number of neighbouring seeds is too alike.
    random.u64(..);
    random.f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(operation: &'a str, shard: Option<&'a str>) -> CallFacts<'a> {
        let service = FaultService::Kinesis;
        CallFacts { service, operation, resource: Some("orders"), shard, is_for_many_shards: operation == "PutRecords" }
    }

    fn struck(rule: FaultRule, calls: usize) -> Vec<usize> {
        let mut progress = Progress::new(FaultPlan { seed: 7, rules: vec![rule] });
        (1..=calls).filter(|_| progress.decide(&call("GetRecords", Some("s-1"))).is_some()).collect()
    }

    #[test]
    fn calls_are_counted_from_one() {
        assert_eq!(struck(FaultRule::new(Fault::Throttle).calls(2..=3), 5), [2, 3]);
        assert_eq!(struck(FaultRule::new(Fault::Throttle).calls(4..), 5), [4, 5]);
        assert_eq!(struck(FaultRule::new(Fault::Throttle).calls(..2), 5), [1]);
        assert_eq!(struck(FaultRule::new(Fault::Throttle).calls(2..).every(2), 7), [2, 4, 6]);
    }

    #[test]
    fn chance_follows_the_seed() {
        let rule = FaultRule::new(Fault::Throttle).probability(0.25);
        let once = struck(rule.clone(), 1_000);
        assert!((200..300).contains(&once.len()), "{}", once.len());
        assert_eq!(once, struck(rule.clone(), 1_000));
        assert!(struck(rule.probability(0.0), 100).is_empty());
    }

    #[test]
    fn a_rule_is_for_what_it_says() {
        let rule = FaultRule::new(Fault::Throttle).operation("GetRecords").shard("s-1").resource("orders");
        assert!(rule.is_for(&call("GetRecords", Some("s-1"))));
        assert!(!rule.is_for(&call("GetRecords", Some("s-2"))));
        assert!(!rule.is_for(&call("GetRecords", None)));
        assert!(!rule.is_for(&call("ListShards", Some("s-1"))));
        assert!(!rule.clone().service(FaultService::DynamoDb).is_for(&call("GetRecords", Some("s-1"))));
        assert!(rule.operation("PutRecords").is_for(&call("PutRecords", None)));
    }

    #[test]
    fn the_first_rule_that_strikes_wins_and_all_count() {
        let rules =
            vec![FaultRule::new(Fault::ConnectionError).calls(1..=1), FaultRule::new(Fault::Throttle).calls(1..=2)];
        let mut progress = Progress::new(FaultPlan { seed: 0, rules });
        let mut next = || progress.decide(&call("GetRecords", None)).map(|strike| strike.fault);
        assert_eq!([next(), next(), next()], [Some(Fault::ConnectionError), Some(Fault::Throttle), None]);
        assert_eq!(progress.strikes(), [1, 1]);
    }
}
