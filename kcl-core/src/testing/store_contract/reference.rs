//! Random calls, of which every outcome must be the one of the store in memory.

use super::support::{SEQUENCE, at, bare, full, hash_range, key, leases_of, owned, shard, worker};
use super::{Case, StoreFixture, Verdict, cases};
use crate::memory::MemoryStore;
use crate::ports::LeaseStore;
use crate::types::{
    Change, Checkpoint, Condition, Expect, Lease, LeaseChange, OwnerSwitches, PendingCheckpoint, Throughput, Timestamp,
    TransactionStep, WorkerId,
};

pub(super) const CASES: &[Case] = cases![random_calls_come_out_as_in_memory,];

async fn random_calls_come_out_as_in_memory(fixture: &dyn StoreFixture) -> Verdict {
    let (store, reference) = (leases_of(fixture)?, MemoryStore::new());
    for seed in 0..SEEDS {
        let mut random = Random(fastrand::Rng::with_seed(seed));
        for call in 0..CALLS {
            let at = format!("seed {seed}, call {call}");
            let name = key(random.one_of(NAMES));
            match random.0.u8(0..10) {
                0 => {
                    let lease = random.lease();
                    assert_eq!(store.create(&lease).await, reference.create(&lease).await, "{at}: {lease:?}");
                }
                1 => {
                    let condition = random.condition(reference.lease(&name).as_ref());
                    let expected = reference.delete(&name, &condition).await;
                    assert_eq!(store.delete(&name, &condition).await, expected, "{at}: {name} {condition:?}");
                }
                2 | 3 => {
                    let steps = random.steps(&reference);
                    assert_eq!(store.transact(&steps).await, reference.transact(&steps).await, "{at}: {steps:?}");
                }
                _ => {
                    let condition = random.condition(reference.lease(&name).as_ref());
                    let change = random.change();
                    let expected = reference.update(&name, &condition, &change).await;
                    let outcome = store.update(&name, &condition, &change).await;
                    assert_eq!(outcome, expected, "{at}: {name} {condition:?} {change:?}");
                }
            }
            for name in NAMES.map(key) {
                assert_eq!(store.get(&name).await, reference.get(&name).await, "{at}");
            }
        }
    }
    Ok(())
}

/// Draws from few values, so that conditions hold often and fail often.
struct Random(fastrand::Rng);

impl Random {
    fn one_of<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.0.usize(..N)]
    }

    fn now_and_then<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.0.u8(0..4) == 0).then(|| value(self))
    }

    fn worker(&mut self) -> WorkerId {
        worker(self.one_of(["w-0", "w-1", "w-2"]))
    }

    fn lease(&mut self) -> Lease {
        let name = self.one_of(NAMES);
        let mut foreign = bare(name);
        (foreign.epoch, foreign.own_counter) = (None, None);
        match self.0.u8(0..4) {
            0 => full(name),
            1 => bare(name),
            2 => owned(name, "w-1"),
            _ => foreign,
        }
    }

    /// Asks for what was seen, so that it holds more often than not, or for anything.
    fn condition(&mut self, seen: Option<&Lease>) -> Condition {
        let lease = self.lease();
        let seen = if self.0.u8(0..4) > 0 { seen.unwrap_or(&lease) } else { &lease };
        Condition {
            owner: self.now_and_then(|_| Expect::as_seen(seen.owner.as_ref())),
            checkpoint_owner: self.now_and_then(|_| Expect::as_seen(seen.checkpoint_owner.as_ref())),
            epoch: self.now_and_then(|_| seen.epoch()),
            counter: self.now_and_then(|_| seen.counter),
            ended: self.now_and_then(|_| seen.is_ended()),
        }
    }

    fn change(&mut self) -> LeaseChange {
        LeaseChange {
            owner: self.change_of(Self::worker),
            checkpoint_owner: self.change_of(Self::worker),
            counter: self.now_and_then(|random| random.0.u64(0..4)),
            raise_epoch: self.0.bool(),
            owner_switches: self.now_and_then(|random| random.one_of([OwnerSwitches::Reset, OwnerSwitches::Increment])),
            checkpoint: self.now_and_then(Self::checkpoint),
            pending: self.change_of(|random| {
                let state = random.now_and_then(|random| vec![random.0.u8(..); 3].into());
                PendingCheckpoint::new(random.checkpoint(), state)
            }),
            children: self
                .now_and_then(|random| random.now_and_then(|_| shard("shardId-000000000007")).into_iter().collect()),
            hash_range: self.now_and_then(|random| hash_range(random.0.u128(..1 << 100), u128::MAX)),
            // Quarters, which are exact in binary and in decimal digits.
            throughput: self.now_and_then(|random| Throughput(f64::from(random.0.u16(..)) / 4.0)),
            start: self.now_and_then(|random| Timestamp::from_millis(random.0.i64(0..1 << 40))),
            last_owner: self.now_and_then(Self::worker),
            tip: self.now_and_then(|random| Timestamp::from_millis(random.0.i64(0..1 << 40))),
        }
    }

    fn change_of<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Change<T> {
        match self.0.u8(0..4) {
            0 => Change::Set(value(self)),
            1 => Change::Remove,
            _ => Change::Keep,
        }
    }

    fn checkpoint(&mut self) -> Checkpoint {
        match self.0.u8(0..4) {
            0 => Checkpoint::ShardEnd,
            1 => Checkpoint::TrimHorizon,
            _ => at(SEQUENCE, self.0.u64(0..3)),
        }
    }

    /// Steps on one to all rows, each once.
    fn steps(&mut self, reference: &MemoryStore) -> Vec<TransactionStep> {
        let mut names = NAMES;
        self.0.shuffle(&mut names);
        let count = self.0.usize(1..=names.len());
        let step = |name: &str| {
            let (mut lease, key) = (self.lease(), key(name));
            lease.key = key.clone();
            match self.0.u8(0..4) {
                0 => TransactionStep::Create(Box::new(lease)),
                1 => TransactionStep::Exists(key),
                _ => {
                    let condition = self.condition(reference.lease(&key).as_ref());
                    TransactionStep::Update { key, condition, change: self.change() }
                }
            }
        };
        names[..count].iter().copied().map(step).collect()
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const SEEDS: u64 = 5;
const CALLS: usize = 40;
