//! What a plan is made from: every lease and every worker as observed, and the rules in force.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::standing::{Standing, standing};
use crate::types::{Lease, LeaseKey, Moment, Throughput, WorkerId, WorkerRow};

/// The limits that a plan keeps to. All workers of a fleet should have the same.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// A holder or worker that has not moved for longer than this is taken for dead: 1.1 F.
    pub expiry: Duration,
    /// A hand-off that has been pending for longer than this is overdue: 1.1 (30 s + F), since a holder ends its work 30 s
    /// after it learned of the request, and learns of it within F or loses the lease.
    pub overdue: Duration,
    /// A lease that was moved less than this ago is left alone where another will do: one minute.
    pub rest: Duration,
    /// How many moves one plan may ask for; `None` says a quarter of the readable leases and at least ten.
    ///
    /// The budget bounds what one wrong look at the fleet can do. It is a large one because it must not slow down growth:
    /// two workers share what one has read within two plans, and twenty that join one are served within four.
    pub moves: Option<usize>,
}

impl Rules {
    /// The rules that follow from the failover time (F).
    pub fn from_failover_time(failover: Duration) -> Self {
        let with_margin = |time: Duration| time + time / 10;
        Rules {
            expiry: with_margin(failover),
            overdue: with_margin(HAND_OVER + failover),
            rest: Duration::from_secs(60),
            moves: None,
        }
    }
}

/// How long a holder may take to hand over once it was asked.
const HAND_OVER: Duration = Duration::from_secs(30);

/// A lease as observed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeaseState<'a> {
    /// The row as it was last read.
    pub row: &'a Lease,
    /// How long its counter has not moved, by the observer's clock.
    pub silent: Duration,
    /// How long a hand-off has been pending, if one is.
    pub pending: Option<Duration>,
    /// How long ago it was moved from one worker to another, if that was observed.
    pub moved: Option<Duration>,
    /// Its last owner gave it up, although it went on living.
    pub given_up: bool,
    /// What it carries: the average, over the last minutes of observation, of what its holders measured.
    pub throughput: Option<Throughput>,
    /// Its shard has records to read now: it is not processed to the end, and neither is a parent of it still open.
    ///
    /// Filled in by [`Snapshot::new`]. A lease that is not readable weighs nothing. One that waits for its parents is not
    /// given to anybody: it would cost renewals and bring nothing, and which worker has room is known best when its parents
    /// have ended. Who holds it may keep it.
    pub readable: bool,
    /// Who has it, and whether that is as it should be. Filled in by [`Snapshot::new`].
    pub standing: Standing<'a>,
}

impl<'a> LeaseState<'a> {
    /// A row that was read this moment, and about which nothing else is known.
    pub fn new(row: &'a Lease) -> Self {
        LeaseState {
            row,
            silent: Duration::ZERO,
            pending: row.checkpoint_owner.as_ref().map(|_| Duration::ZERO),
            moved: None,
            given_up: false,
            throughput: row.throughput,
            readable: !row.is_ended(),
            standing: Standing::Free,
        }
    }

    /// The key of the lease.
    pub fn key(&self) -> &'a LeaseKey {
        &self.row.key
    }

    /// Whether it must be given to a worker: it can be read, and nobody does.
    pub fn needs_worker(&self) -> bool {
        self.readable
            && match self.standing {
                Standing::Free | Standing::Expired { .. } | Standing::Stranded { .. } => true,
                Standing::Ended | Standing::Held { .. } | Standing::HandingOver { .. } => false,
            }
    }

    /// The worker that should have it only if no other can: it was silent on this lease, or gave it up.
    pub fn shunned(&self) -> Option<&'a WorkerId> {
        match self.standing {
            Standing::Expired { holder } => Some(holder),
            Standing::Free if self.given_up => self.row.last_owner.as_ref(),
            _ => None,
        }
    }
}

/// A worker as observed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerState<'a> {
    /// The row as it was last read.
    pub row: &'a WorkerRow,
    /// How long its sign of life has not moved, by the observer's clock.
    pub silent: Duration,
    /// It is not taken for dead. [`Snapshot::new`] withdraws this from a worker that is silent on one of its leases and has
    /// missed heartbeats, too: it is dead, and its row only moved a little later than that lease.
    pub live: bool,
    /// Its sign of life has moved while it was observed: it is no relic of a process that is gone.
    pub moved: bool,
}

impl<'a> WorkerState<'a> {
    /// A worker that was seen alive this moment.
    pub fn new(row: &'a WorkerRow) -> Self {
        WorkerState { row, silent: Duration::ZERO, live: true, moved: true }
    }

    /// Its id.
    pub fn id(&self) -> &'a WorkerId {
        &self.row.worker
    }

    /// Its capacity weight: 1 where it says nothing, 0 while it stops.
    pub fn capacity(&self) -> f64 {
        match self.row.capacity {
            None => 1.0,
            Some(capacity) if capacity > 0.0 => capacity.min(MOST_CAPACITY),
            Some(_) => 0.0,
        }
    }

    /// How many leases it may hold.
    pub fn max_leases(&self) -> Option<usize> {
        self.row.max_leases.map(|most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Its availability zone.
    pub fn zone(&self) -> Option<&'a str> {
        self.row.zone.as_deref()
    }

    /// Whether leases may be given to it: it lives and does not stop.
    pub fn takes_leases(&self) -> bool {
        self.live && self.capacity() > 0.0
    }

    /// Whether leases may be moved to it, away from a worker that reads them well: it takes leases, and it has shown life
    /// while it was observed.
    pub fn takes_moves(&self) -> bool {
        self.takes_leases() && self.moved
    }
}

/// Weights beyond this are a mistake, and sums of them would be inexact.
const MOST_CAPACITY: f64 = 1e6;

/// All leases and workers of a fleet at one moment, as one observer sees them.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    leases: Vec<LeaseState<'a>>,
    workers: Vec<WorkerState<'a>>,
    rules: Rules,
    now: Moment,
    seed: u64,
}

impl<'a> Snapshot<'a> {
    /// Puts together what was observed, and works out what follows: which leases can be read, who has them, and which
    /// workers are to be doubted.
    ///
    /// `seed` decides between equals. It must be the same in the whole fleet.
    pub fn new(
        mut leases: Vec<LeaseState<'a>>,
        mut workers: Vec<WorkerState<'a>>,
        rules: Rules,
        now: Moment,
        seed: u64,
    ) -> Self {
        leases.sort_by(|a, b| a.row.key.cmp(&b.row.key));
        workers.sort_by(|a, b| a.row.worker.cmp(&b.row.worker));
        doubt_silent_workers(&leases, &mut workers, &rules);
        let open: BTreeSet<&LeaseKey> = leases.iter().filter(|l| !l.row.is_ended()).map(|l| &l.row.key).collect();
        let readable: Vec<bool> = leases.iter().map(|lease| is_readable(lease.row, &open)).collect();
        let mut snapshot = Snapshot { leases, workers, rules, now, seed };
        let standings: Vec<Standing<'a>> = snapshot.leases.iter().map(|lease| standing(lease, &snapshot)).collect();
        for (lease, (readable, standing)) in snapshot.leases.iter_mut().zip(readable.into_iter().zip(standings)) {
            lease.readable = readable;
            lease.standing = standing;
        }
        snapshot
    }

    /// All leases, in the order of their keys.
    pub fn leases(&self) -> &[LeaseState<'a>] {
        &self.leases
    }

    /// All workers that have a row, in the order of their ids; dead ones and such that stop are among them.
    pub fn workers(&self) -> &[WorkerState<'a>] {
        &self.workers
    }

    /// A lease by its key.
    pub fn lease(&self, key: &LeaseKey) -> Option<&LeaseState<'a>> {
        self.leases.binary_search_by(|lease| lease.row.key.cmp(key)).ok().map(|index| &self.leases[index])
    }

    /// A worker by its id.
    pub fn worker(&self, id: &WorkerId) -> Option<&WorkerState<'a>> {
        self.worker_index(id).map(|index| &self.workers[index])
    }

    pub(super) fn worker_index(&self, id: &WorkerId) -> Option<usize> {
        self.workers.binary_search_by(|worker| worker.row.worker.cmp(id)).ok()
    }

    /// The limits in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When this was observed, by the observer's clock.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Decides between equals.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many moves a plan may ask for.
    pub fn move_budget(&self) -> usize {
        let readable = || self.leases.iter().filter(|lease| lease.readable).count();
        self.rules.moves.unwrap_or_else(|| readable().div_ceil(4).max(10))
    }

    /// How many leases each worker of [`workers`](Snapshot::workers) is burdened with: those it holds and those on their
    /// way to it, readable or not. This is what `max_leases` limits.
    pub fn burdens(&self) -> Vec<usize> {
        let mut burdens = vec![0; self.workers.len()];
        for lease in &self.leases {
            let parties: &[&WorkerId] = match &lease.standing {
                Standing::Held { by } => &[by],
                Standing::HandingOver { from, to } => &[from, to],
                Standing::Ended | Standing::Free | Standing::Expired { .. } | Standing::Stranded { .. } => &[],
            };
            for index in parties.iter().filter_map(|worker| self.worker_index(worker)) {
                burdens[index] += 1;
            }
        }
        burdens
    }

    /// How many leases could be read and are read by nobody, and for how long the longest of them has not been written.
    pub fn unread(&self) -> (usize, Duration) {
        let unread = self.leases.iter().filter(|lease| lease.needs_worker());
        unread.fold((0, Duration::ZERO), |(count, longest), lease| (count + 1, longest.max(lease.silent)))
    }

    pub(super) fn parts(&self) -> (Vec<LeaseState<'a>>, Vec<WorkerState<'a>>) {
        (self.leases.clone(), self.workers.clone())
    }
}

/// A parent without a row does not block: rows of children are made only when their parents' rows exist or are known to
/// be over.
fn is_readable(lease: &Lease, open: &BTreeSet<&LeaseKey>) -> bool {
    !lease.is_ended() && lease.parents.iter().all(|parent| !open.contains(&lease.sibling_key(parent)))
}

/// The leases of a worker that dies are found silent a moment before its row is: their counters moved a moment earlier.
/// A worker whose heartbeat goes on while one of its leases is silent has a problem with that lease alone.
fn doubt_silent_workers(leases: &[LeaseState<'_>], workers: &mut [WorkerState<'_>], rules: &Rules) {
    let silent: BTreeMap<&WorkerId, ()> = leases
        .iter()
        .filter(|lease| !lease.row.is_ended() && lease.silent > rules.expiry)
        .filter_map(|lease| lease.row.holder())
        .map(|holder| (holder, ()))
        .collect();
    for worker in workers.iter_mut().filter(|worker| silent.contains_key(&worker.row.worker)) {
        worker.live &= worker.silent <= rules.expiry / 2;
    }
}
