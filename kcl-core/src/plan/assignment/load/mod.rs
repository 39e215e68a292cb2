//! Spreading by what the leases carry.

mod even_out;
mod weight;

use std::collections::BTreeSet;

use super::AssignmentStrategy;
use super::reason;
use super::share::Members;
use super::snapshot::{LeaseState, Snapshot};
use super::steps::{Plan, Step};
use weight::{Scale, ordered};

/// Spreads leases by their measured throughput, so that each worker carries about the same for its capacity.
///
/// - A lease weighs what its holders measured over the last minutes, or the mean where nothing is measured yet, and a quarter
///   of the mean on top (1 KiB/s at least): an idle lease costs something, too, and leases that are all idle spread by number.
/// - Leases that nobody reads go to the worker that carries least, heavy ones first; to their last owner if that does not
///   carry too much then.
/// - Nothing is moved while all workers carry within 10 % of the mean. Beyond, leases are moved until all are within 5 %, so
///   that noise in the measurements does not begin it anew; and only where the higher load of both workers falls by at least
///   a quarter of what is moved. So it comes to rest also where heavy leases leave no even spread: a worker that carries too
///   much, with nothing that another could better carry, is left alone, and the others are evened out among themselves.
/// - What was moved within the last minute stays where it is, unless a worker carries more than half too much or too little,
///   as when many join one after another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load;

impl AssignmentStrategy for Load {
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan {
        let mut spread = Spread::new(snapshot);
        spread.assign();
        spread.even_out();
        Plan::from(spread.steps)
    }
}

/// So far from the mean, moving ends, and a last owner is not given more.
const INNER_BAND: f64 = 0.05;

/// A member by how much it carries; the first of the order is given to first.
type Rank = (u64, usize, u64, usize);

struct Spread<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    scale: Scale,
    members: Members<'a>,
    /// What a worker of capacity 1 should carry.
    mean: f64,
    steps: Vec<Step>,
}

impl<'s, 'a> Spread<'s, 'a> {
    fn new(snapshot: &'s Snapshot<'a>) -> Self {
        let scale = Scale::of(snapshot);
        let members = Members::weighed(snapshot, None, |lease| scale.weigh(lease));
        let capacity: f64 = members.list.iter().map(|member| member.capacity).sum();
        let mean = if capacity > 0.0 { members.total_weight / capacity } else { 0.0 };
        Spread { snapshot, scale, members, mean, steps: Vec::new() }
    }

    /// What a member carries for its capacity.
    fn load(&self, member: usize) -> f64 {
        self.members.list[member].weight / self.members.list[member].capacity
    }

    fn rank(&self, member: usize) -> Rank {
        let list = &self.members.list;
        (ordered(self.load(member)), list[member].has, list[member].tie, member)
    }

    fn has_room(&self, member: usize) -> bool {
        self.members.list[member].room > 0
    }

    fn add(&mut self, member: usize, weight: f64) {
        let member = &mut self.members.list[member];
        member.weight += weight;
        member.has += 1;
        member.room -= 1;
    }

    /// Gives every lease that needs a worker to one, the heavy ones first.
    fn assign(&mut self) {
        let snapshot = self.snapshot;
        let needy = snapshot.leases().iter().filter(|lease| lease.needs_worker());
        let mut needy: Vec<(f64, &LeaseState<'a>)> = needy.map(|lease| (self.scale.weigh(lease), lease)).collect();
        needy.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let members = 0..self.members.list.len();
        let mut ranks: BTreeSet<Rank> =
            members.filter(|&member| self.has_room(member)).map(|member| self.rank(member)).collect();
        for (weight, lease) in needy {
            let Some(member) = self.expecting(lease, weight).or_else(|| self.lightest(&ranks, lease)) else { continue };
            self.steps.push(Step::assign(lease.key(), self.members.list[member].id, reason::needs_worker(lease)));
            ranks.remove(&self.rank(member));
            self.add(member, weight);
            if self.has_room(member) {
                ranks.insert(self.rank(member));
            }
        }
    }

    /// The worker that prepares for the lease already, or had it last, if it does not carry too much with it.
    fn expecting(&self, lease: &LeaseState<'a>, weight: f64) -> Option<usize> {
        let most = self.mean * (1.0 + INNER_BAND);
        let fits = |member: &usize| {
            self.has_room(*member) && self.load(*member) + weight / self.members.list[*member].capacity <= most
        };
        self.members.expecting(lease).find(fits)
    }

    fn lightest(&self, ranks: &BTreeSet<Rank>, lease: &LeaseState<'a>) -> Option<usize> {
        let shunned = lease.shunned().and_then(|worker| self.members.index(worker));
        let others = ranks.iter().map(|rank| rank.3).find(|member| Some(*member) != shunned);
        others.or(shunned.filter(|&member| self.has_room(member)))
    }
}
