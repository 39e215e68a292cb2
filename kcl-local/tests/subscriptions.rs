//! Subscriptions by properties: whatever happens to a stream and its consumer, a consumer that subscribes again where it stood,
//! parents before children, gets every record once and in order.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::world::{self, World, assert_order, config};
use futures_util::FutureExt;
use kcl_local::{
    ErrorCode, Record, SequenceNumber, ShardDescription, ShardFilter, ShardId, StartingPosition, Subscription,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Stream(world::Step),
    /// Subscribes to a shard, also where there is a subscription already.
    Subscribe {
        shard: usize,
    },
    /// Takes as many events as there are, up to this.
    Receive {
        shard: usize,
        events: usize,
    },
    Disconnect {
        shard: usize,
    },
    Pause {
        millis: u64,
    },
    Reregister,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => world::step().prop_map(Step::Stream),
        4 => any::<usize>().prop_map(|shard| Step::Subscribe { shard }),
        6 => (any::<usize>(), 1..4_usize).prop_map(|(shard, events)| Step::Receive { shard, events }),
        1 => any::<usize>().prop_map(|shard| Step::Disconnect { shard }),
        2 => (3_000..8_000_u64).prop_map(|millis| Step::Pause { millis }),
        1 => Just(Step::Pause { millis: 301_000 }),
        1 => Just(Step::Reregister),
    ]
}

/// How a consumer stands with one shard.
#[derive(Default)]
struct Place {
    continuation: Option<SequenceNumber>,
    current: Option<Subscription>,
    subscribed: Option<u64>,
    /// Those that another one took over from.
    stale: Vec<Subscription>,
    is_ended: bool,
}

struct Consumer {
    world: World,
    places: BTreeMap<ShardId, Place>,
    ended: BTreeSet<ShardId>,
    waiting: Vec<ShardDescription>,
    received: Vec<(ShardId, Record)>,
}

impl Consumer {
    fn new() -> Self {
        let world = World::new(2, Duration::ZERO);
        world.kinesis.register_consumer("s", "c").unwrap();
        let waiting = world.kinesis.list_shards("s", ShardFilter::AtTrimHorizon).unwrap();
        let mut consumer =
            Self { world, places: BTreeMap::new(), ended: BTreeSet::new(), waiting, received: Vec::new() };
        consumer.open_places();
        consumer
    }

    fn open_places(&mut self) {
        let ended = &self.ended;
        for shard in self.waiting.extract_if(.., |shard| shard.parents().all(|parent| ended.contains(&parent))) {
            self.places.entry(shard.id).or_default();
        }
    }

    fn nth(&self, n: usize) -> ShardId {
        *self.places.keys().nth(n % self.places.len()).unwrap()
    }

    fn now(&self) -> u64 {
        self.world.kinesis.now().as_millis()
    }

    fn take(&mut self, step: &Step) {
        match *step {
            // Time going back would make it hard to say what five seconds are.
            Step::Stream(world::Step::ClockBack { .. }) => {}
            Step::Stream(ref step) => self.world.take(step),
            Step::Subscribe { shard } => self.subscribe(self.nth(shard)),
            Step::Receive { shard, events } => {
                let shard = self.nth(shard);
                for _ in 0..events {
                    self.receive(shard);
                }
            }
            Step::Disconnect { shard } => {
                let shard = self.nth(shard);
                self.places.get_mut(&shard).unwrap().current = None;
            }
            Step::Pause { millis } => self.world.clock.advance(Duration::from_millis(millis)),
            Step::Reregister => self.reregister(),
        }
    }

    fn subscribe(&mut self, shard: ShardId) {
        let now = self.now();
        let place = self.places.get_mut(&shard).unwrap();
        if place.is_ended {
            return;
        }
        let start = place.continuation.map_or(StartingPosition::TrimHorizon, StartingPosition::After);
        let outcome = self.world.kinesis.subscribe_to_shard("s", "c", shard, start);
        let too_early = place.subscribed.is_some_and(|before| now < before + 5_000);
        match outcome {
            Ok(subscription) => {
                assert!(!too_early, "subscribed again after {} ms", now - place.subscribed.unwrap());
                place.stale.extend(place.current.replace(subscription));
                place.subscribed = Some(now);
            }
            Err(error) => assert!(too_early && error.code() == ErrorCode::ResourceInUse, "{error}"),
        }
    }

    /// The next event of the subscription, if there is one now.
    fn receive(&mut self, shard: ShardId) -> bool {
        let now = self.now();
        let place = self.places.get_mut(&shard).unwrap();
        for mut stale in place.stale.drain(..) {
            // Those that were over anyway need not say that another one took over.
            if let Some(Err(error)) = stale.next().now_or_never().expect("nothing to wait for any more") {
                assert_eq!(error.code(), ErrorCode::ResourceInUse);
            }
            assert!(stale.next().now_or_never().expect("it is over").is_none());
        }
        let Some(subscription) = &mut place.current else { return false };
        let Some(outcome) = subscription.next().now_or_never() else { return false };
        let Some(event) = outcome else {
            assert!(place.is_ended || now >= place.subscribed.unwrap() + 300_000, "over too early");
            place.current = None;
            return false;
        };
        let event = event.unwrap();
        assert!(!place.is_ended || event.records.is_empty(), "records behind the end of a shard");
        self.received.extend(event.records.into_iter().map(|record| (shard, record)));
        match event.child_shards {
            None => place.continuation = Some(event.continuation.unwrap()),
            Some(children) => {
                assert_eq!(event.continuation, None);
                if !std::mem::replace(&mut place.is_ended, true) {
                    self.ended.insert(shard);
                    let known = |child: &ShardDescription| {
                        self.places.contains_key(&child.id) || self.waiting.iter().any(|other| other.id == child.id)
                    };
                    let new: Vec<_> = children.into_iter().filter(|child| !known(child)).collect();
                    self.waiting.extend(new);
                    self.open_places();
                }
            }
        }
        true
    }

    /// A consumer that was removed has no subscriptions any more, and one of its name begins without any.
    fn reregister(&mut self) {
        self.world.kinesis.deregister_consumer("s", "c").unwrap();
        for place in self.places.values_mut() {
            for mut subscription in place.current.take().into_iter().chain(place.stale.drain(..)) {
                if let Some(Err(error)) = subscription.next().now_or_never().expect("nothing to wait for any more") {
                    assert_eq!(error.code(), ErrorCode::ResourceNotFound);
                }
            }
            place.subscribed = None;
        }
        self.world.clock.advance(Duration::from_millis(1));
        self.world.kinesis.register_consumer("s", "c").unwrap();
    }

    /// Reads every shard to its end, or as far as it goes.
    fn finish(&mut self) {
        let mut finished = BTreeSet::new();
        while let Some(shard) = self.places.keys().copied().find(|shard| !finished.contains(shard)) {
            if !self.places[&shard].is_ended {
                self.world.clock.advance(Duration::from_secs(5));
                self.subscribe(shard);
                while self.receive(shard) {}
            }
            finished.insert(shard);
        }
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
    }
}

proptest! {
    #![proptest_config(config(300, "tests/subscriptions.regressions"))]

    #[test]
    fn whatever_happens_a_consumer_gets_every_record_once_and_in_order(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut consumer = Consumer::new();
        steps.iter().for_each(|step| consumer.take(step));
        consumer.finish();
        assert_order(&consumer.world.written, &consumer.received);
    }
}
