//! The worker's byte budget: how much fetched data may be in memory, shared fairly by its shards.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use tokio::sync::Notify;

use crate::types::{ByteAccount, BytePermit};

/// The budget of a worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ByteBudget {
    shared: Arc<Shared>,
}

struct Shared {
    total: usize,
    state: Mutex<State>,
    /// Somebody gave bytes back.
    freed: Notify,
    gauge: Gauge,
}

#[derive(Default)]
struct State {
    used: usize,
    shards: usize,
}

/// The account of one shard in the budget. Dropping it takes the shard out of the sharing.
pub(crate) struct ShardBudget {
    account: Arc<ShardAccount>,
}

struct ShardAccount {
    shared: Arc<Shared>,
    used: Mutex<usize>,
}

/// No shard's fair share is smaller than this, however many there are: a fetch must be able to bring something.
const LEAST_SHARE: usize = 64 << 10;

impl ByteBudget {
    pub(crate) fn new(total: usize, gauge: Gauge) -> Self {
        ByteBudget { shared: Arc::new(Shared { total, state: Mutex::default(), freed: Notify::new(), gauge }) }
    }

    /// Opens the account of one more shard.
    pub(crate) fn shard(&self) -> ShardBudget {
        self.shared.state().shards += 1;
        let account = ShardAccount { shared: Arc::clone(&self.shared), used: Mutex::new(0) };
        ShardBudget { account: Arc::new(account) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, used: usize) {
        self.gauge.set(used as f64);
    }
}

impl ShardBudget {
    /// Waits until up to `demand` bytes may be fetched and takes them. A shard that holds nothing never waits: it gets at
    /// most its fair share. One that holds something waits until total and fair share have room. Cancel safe.
    pub(crate) async fn acquire(&self, demand: usize) -> BytePermit {
        loop {
            // Registered before looking, so that what is given back in between wakes us.
            let freed = self.account.shared.freed.notified();
            if let Some(permit) = self.try_acquire(demand) {
                return permit;
            }
            freed.await;
        }
    }

    /// As [`acquire`](ShardBudget::acquire), if that needs no waiting.
    pub(crate) fn try_acquire(&self, demand: usize) -> Option<BytePermit> {
        let bytes = self.account.grant(demand)?;
        Some(BytePermit::new(bytes, Arc::clone(&self.account) as Arc<dyn ByteAccount>))
    }
}

impl Drop for ShardBudget {
    fn drop(&mut self) {
        let shared = &self.account.shared;
        let mut state = shared.state();
        state.shards = state.shards.saturating_sub(1);
        drop(state);
        shared.freed.notify_waiters();
    }
}

impl ShardAccount {
    /// Up to `demand` bytes: all that fits, or the fair share at most for a shard that holds nothing.
    fn grant(&self, demand: usize) -> Option<usize> {
        self.take(|holdings| {
            let bytes = demand.min(holdings.share);
            (holdings.mine == 0 || holdings.have_room(bytes)).then_some(bytes)
        })
    }

    /// Takes what `decide` says.
    fn take(&self, decide: impl FnOnce(&Holdings) -> Option<usize>) -> Option<usize> {
        let mut state = self.shared.state();
        let mut mine = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let total = self.shared.total;
        let share = (total / state.shards.max(1)).max(LEAST_SHARE);
        let bytes = decide(&Holdings { total, share, used: state.used, mine: *mine })?;
        state.used = state.used.saturating_add(bytes);
        *mine = mine.saturating_add(bytes);
        self.shared.changed(state.used);
        Some(bytes)
    }
}

/// How a shard stands among the others.
struct Holdings {
    total: usize,
    share: usize,
    /// By all shards.
    used: usize,
    mine: usize,
}

impl Holdings {
    fn have_room(&self, bytes: usize) -> bool {
        self.used.saturating_add(bytes) <= self.total && self.mine.saturating_add(bytes) <= self.share
    }
}

impl ByteAccount for ShardAccount {
    fn give_back(&self, bytes: usize) {
        let mut state = self.shared.state();
        state.used = state.used.saturating_sub(bytes);
        let mut mine = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *mine = mine.saturating_sub(bytes);
        self.shared.changed(state.used);
        drop((mine, state));
        self.shared.freed.notify_waiters();
    }

    fn overdraw(&self, bytes: usize) {
        let _whatever_it_is = self.take(|_| Some(bytes));
    }

    fn try_take(&self, bytes: usize) -> bool {
        self.take(|holdings| holdings.have_room(bytes).then_some(bytes)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_shard_with_nothing_never_waits_and_one_with_something_keeps_to_its_share() {
        let budget = ByteBudget::new(4 * MIB, Gauge::noop());
        let (slow, other) = (budget.shard(), budget.shard());
        let held = slow.acquire(10 * MIB).now_or_never().expect("the first is granted");
        assert_eq!(held.bytes(), 2 * MIB, "the fair share of two");
        assert!(slow.acquire(1).now_or_never().is_none(), "its share is used up");
        let first = other.acquire(MIB).now_or_never().expect("the other shard is undisturbed");
        let second = other.acquire(MIB).now_or_never().expect("up to its share");
        drop((held, first, second));
        assert!(slow.acquire(2 * MIB).now_or_never().is_some());
    }

    #[test]
    fn what_comes_back_wakes_those_who_wait() {
        let budget = ByteBudget::new(MIB, Gauge::noop());
        let shard = budget.shard();
        let mut held = shard.acquire(MIB).now_or_never().unwrap();
        let mut waiting = Box::pin(shard.acquire(MIB / 2));
        assert!(waiting.as_mut().now_or_never().is_none());
        held.resize(MIB / 2);
        assert_eq!(waiting.as_mut().now_or_never().map(|permit| permit.bytes()), Some(MIB / 2));
    }

    #[test]
    fn a_permit_grows_within_the_share_and_no_further() {
        let budget = ByteBudget::new(4 * MIB, Gauge::noop());
        let (shard, _other) = (budget.shard(), budget.shard());
        let mut held = shard.acquire(MIB).now_or_never().unwrap();
        assert!(held.grow(MIB / 2) && held.bytes() == MIB, "it is there already");
        assert!(held.grow(2 * MIB) && held.bytes() == 2 * MIB, "the fair share of two");
        assert!(!held.grow(2 * MIB + 1) && held.bytes() == 2 * MIB);
        drop(held);
        let mut first = shard.acquire(2 * MIB).now_or_never().expect("all of it came back");
        first.resize(MIB);
        let mut second = shard.acquire(MIB / 2).now_or_never().unwrap();
        assert!(!second.grow(MIB + 1), "the share counts what the shard holds besides");
        assert!(second.grow(MIB));
    }

    #[test]
    fn a_response_larger_than_foreseen_overdraws() {
        let budget = ByteBudget::new(MIB, Gauge::noop());
        let shard = budget.shard();
        let mut held = shard.acquire(MIB).now_or_never().unwrap();
        held.resize(3 * MIB);
        assert!(shard.acquire(1).now_or_never().is_none());
        drop(held);
        assert!(shard.acquire(MIB).now_or_never().is_some());
    }
}
