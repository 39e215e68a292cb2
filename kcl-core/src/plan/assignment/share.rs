//! How many leases each worker should have.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::snapshot::{LeaseState, Snapshot, WorkerState};
use super::standing::Standing;
use super::tie::tie;
use crate::types::WorkerId;

/// A worker that takes part in the spreading.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) id: &'a WorkerId,
    pub(super) capacity: f64,
    zone: Option<&'a str>,
    pub(super) takes_moves: bool,
    /// How many readable leases it has, those on their way to it included.
    pub(super) has: usize,
    /// What they weigh.
    pub(super) weight: f64,
    /// How many readable leases it may have.
    most: usize,
    /// How many leases it may be given now.
    pub(super) room: usize,
    /// Decides between equals.
    pub(super) tie: u64,
}

/// The workers that take leases, and how many leases are to be spread over them.
#[derive(Debug)]
pub(super) struct Members<'a> {
    /// In the order of their ids.
    pub(super) list: Vec<Member<'a>>,
    /// Readable leases that a member has, or that need one now or soon.
    pub(super) total: usize,
    /// What they weigh.
    pub(super) total_weight: f64,
}

impl<'a> Members<'a> {
    /// All workers that take leases, with leases of the same weight.
    pub(super) fn of(snapshot: &Snapshot<'a>) -> Self {
        Members::weighed(snapshot, None, |_| 1.0)
    }

    /// `me` takes part whatever its row says.
    pub(super) fn with(snapshot: &Snapshot<'a>, me: &WorkerId) -> Self {
        Members::weighed(snapshot, Some(me), |_| 1.0)
    }

    pub(super) fn weighed(
        snapshot: &Snapshot<'a>,
        me: Option<&WorkerId>,
        weigh: impl Fn(&LeaseState<'a>) -> f64,
    ) -> Self {
        let burdens = snapshot.burdens();
        let takes_part = |worker: &WorkerState<'_>| worker.takes_leases() || me == Some(worker.id());
        let member = |(worker, burden): (&WorkerState<'a>, usize)| {
            let most = worker.max_leases().unwrap_or(usize::MAX);
            Member {
                id: worker.id(),
                capacity: if worker.capacity() > 0.0 { worker.capacity() } else { 1.0 },
                zone: worker.zone(),
                takes_moves: worker.takes_moves(),
                has: 0,
                weight: 0.0,
                most,
                room: most.saturating_sub(burden),
                tie: tie(snapshot.seed(), worker.id(), ""),
            }
        };
        let workers = snapshot.workers().iter().zip(burdens).filter(|(worker, _)| takes_part(worker));
        let mut members = Members { list: workers.map(member).collect(), total: 0, total_weight: 0.0 };
        for lease in snapshot.leases() {
            members.count(lease, weigh(lease), snapshot);
        }
        members
    }

    fn count(&mut self, lease: &LeaseState<'_>, weight: f64, snapshot: &Snapshot<'_>) {
        let (at, from) = match lease.standing {
            Standing::Ended => return,
            Standing::Free | Standing::Expired { .. } | Standing::Stranded { .. } => (None, None),
            Standing::Held { by } => (Some(by), Some(by)),
            Standing::HandingOver { from, to } => (Some(to), Some(from)),
        };
        let at = at.and_then(|id| self.index(id));
        match at {
            Some(member) if lease.readable => {
                self.list[member].has += 1;
                self.list[member].weight += weight;
            }
            Some(member) => self.list[member].most = self.list[member].most.saturating_sub(1),
            None => {}
        }
        // What a worker has that stops will need another soon. What an unknown worker has, such as a Java worker whose row
        // has not moved yet, is its own affair: to count it would make the others give up theirs.
        let soon_free = |from: &WorkerId| {
            self.index(from).is_some() || snapshot.worker(from).is_some_and(|from| from.live && from.capacity() == 0.0)
        };
        let is_spread = at.is_some() || from.is_none_or(soon_free);
        if lease.readable && is_spread {
            self.total += 1;
            self.total_weight += weight;
        }
    }

    pub(super) fn index(&self, worker: &WorkerId) -> Option<usize> {
        self.list.binary_search_by(|member| member.id.cmp(worker)).ok()
    }

    /// The members that should rather have a lease than others: who prepares for it already, and who had it last.
    pub(super) fn expecting(&self, lease: &LeaseState<'a>) -> impl Iterator<Item = usize> {
        let shunned = lease.shunned();
        let candidates = [lease.row.owner.as_ref(), lease.row.last_owner.as_ref()].into_iter().flatten();
        candidates.filter(move |candidate| Some(*candidate) != shunned).filter_map(|candidate| self.index(candidate))
    }

    /// How many readable leases each member should have: its part by capacity, rounded down or up, so that n leases on w
    /// equal workers are floor(n/w) or ceil(n/w). As far as that allows it is what it has already, so nothing moves without
    /// gain; what remains goes to the largest remainders, then to the zones that have least, then as the seed says.
    pub(super) fn shares(&self) -> Vec<usize> {
        let parts = self.parts();
        let mut shares: Vec<usize> =
            self.list.iter().zip(&parts).map(|(m, part)| m.has.clamp(part.least, part.most)).collect();
        let mut zones = Zones::of(self, &shares);
        let mut sum: usize = shares.iter().sum();
        while sum < self.total {
            let candidates = (0..shares.len()).filter(|&i| shares[i] < parts[i].most);
            let open = |i: usize| parts[i].exact - shares[i] as f64;
            let best = candidates.min_by(|&a, &b| {
                let by_zone = || zones.has(&self.list[a]).cmp(&zones.has(&self.list[b]));
                compare(open(b), open(a)).then_with(by_zone).then_with(|| self.list[a].tie.cmp(&self.list[b].tie))
            });
            // Nobody has room for the rest.
            let Some(best) = best else { break };
            shares[best] += 1;
            *zones.of_member(&self.list[best]) += 1;
            sum += 1;
        }
        while sum > self.total {
            let candidates = (0..shares.len()).filter(|&i| shares[i] > parts[i].least);
            let over = |i: usize| shares[i] as f64 - parts[i].exact;
            let best = candidates.min_by(|&a, &b| {
                let by_zone = || zones.has(&self.list[b]).cmp(&zones.has(&self.list[a]));
                compare(over(b), over(a)).then_with(by_zone).then_with(|| self.list[b].tie.cmp(&self.list[a].tie))
            });
            let Some(best) = best else { break };
            shares[best] -= 1;
            *zones.of_member(&self.list[best]) -= 1;
            sum -= 1;
        }
        shares
    }

    /// The part of each member by capacity. Whoever may not have its part has what it may, and the others share the rest.
    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Option<Part>> = vec![None; self.list.len()];
        let mut rest = self.total;
        loop {
            let open: Vec<usize> = (0..parts.len()).filter(|&i| parts[i].is_none()).collect();
            let weight: f64 = open.iter().map(|&i| self.list[i].capacity).sum();
            let exact = |i: usize| rest as f64 * self.list[i].capacity / weight;
            let limited: Vec<usize> = open.iter().copied().filter(|&i| exact(i) > self.list[i].most as f64).collect();
            if limited.is_empty() {
                for i in open {
                    parts[i] = Some(Part::around(exact(i), self.list[i].most));
                }
                return parts.into_iter().flatten().collect();
            }
            for i in limited {
                let most = self.list[i].most;
                parts[i] = Some(Part { exact: most as f64, least: most, most });
                rest = rest.saturating_sub(most);
            }
        }
    }
}

/// What a member should have: a number of leases that lies between two whole ones.
#[derive(Debug, Clone, Copy)]
struct Part {
    exact: f64,
    least: usize,
    most: usize,
}

impl Part {
    fn around(exact: f64, limit: usize) -> Self {
        // Rounding errors of the division must not make 3 leases 3 or 4.
        let near = exact.round();
        let (least, most) = if (exact - near).abs() < 1e-6 { (near, near) } else { (exact.floor(), exact.ceil()) };
        Part { exact, least: (least as usize).min(limit), most: (most as usize).min(limit) }
    }
}

/// Equal up to rounding errors.
fn compare(a: f64, b: f64) -> Ordering {
    if (a - b).abs() < 1e-6 { Ordering::Equal } else { a.total_cmp(&b) }
}

/// How many leases each zone has: the fewer there are in one place, the fewer stop when it fails.
struct Zones<'a> {
    leases: BTreeMap<Option<&'a str>, usize>,
}

impl<'a> Zones<'a> {
    fn of(members: &Members<'a>, shares: &[usize]) -> Self {
        let mut leases: BTreeMap<Option<&'a str>, usize> = BTreeMap::new();
        for (member, share) in members.list.iter().zip(shares) {
            *leases.entry(member.zone).or_default() += share;
        }
        Zones { leases }
    }

    fn of_member(&mut self, member: &Member<'a>) -> &mut usize {
        self.leases.entry(member.zone).or_default()
    }

    fn has(&self, member: &Member<'a>) -> usize {
        self.leases.get(&member.zone).copied().unwrap_or_default()
    }
}
