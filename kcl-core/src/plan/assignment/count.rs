//! Spreading by number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::AssignmentStrategy;
use super::reason;
use super::share::Members;
use super::snapshot::{LeaseState, Snapshot};
use super::standing::Standing;
use super::steps::{Plan, Step};
use super::tie::tie;

/// Spreads leases by number, the default: of n readable leases each of w workers has floor(n/w) or ceil(n/w), or in the same
/// way its part by capacity.
///
/// - Leases that nobody holds, or whose holder is silent, go to the workers that lack most; to their last owner if it lacks
///   any, since it may have something warm; never back to the worker that is silent on them, unless it lives and no other
///   has room.
/// - A lease is moved only from a worker that has more than its part to one that has less, so nothing is moved without gain,
///   and what is even stays as it is. Leases that were moved within the last minute are left alone where others will do.
/// - Where n does not divide, the zones with the fewest leases get the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count;

impl AssignmentStrategy for Count {
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan {
        let mut spread = Spread::new(snapshot);
        spread.assign();
        spread.even_out();
        Plan::from(spread.steps)
    }
}

/// A member by how much it lacks; the first of the order is given to first.
type Need = (Reverse<i64>, usize, u64, usize);

struct Spread<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    members: Members<'a>,
    shares: Vec<usize>,
    /// Members that have room, by need.
    needs: BTreeSet<Need>,
    steps: Vec<Step>,
}

impl<'s, 'a> Spread<'s, 'a> {
    fn new(snapshot: &'s Snapshot<'a>) -> Self {
        let members = Members::of(snapshot);
        let shares = members.shares();
        let mut spread = Spread { snapshot, members, shares, needs: BTreeSet::new(), steps: Vec::new() };
        spread.needs =
            (0..spread.shares.len()).filter(|&i| spread.members.list[i].room > 0).map(|i| spread.need(i)).collect();
        spread
    }

    fn lacks(&self, member: usize) -> i64 {
        self.shares[member] as i64 - self.members.list[member].has as i64
    }

    fn need(&self, member: usize) -> Need {
        let Reverse(lacks) = Reverse(self.lacks(member));
        (Reverse(lacks), self.members.list[member].has, self.members.list[member].tie, member)
    }

    /// Notes that a member has a lease more.
    fn add(&mut self, member: usize) {
        self.needs.remove(&self.need(member));
        self.members.list[member].has += 1;
        self.members.list[member].room -= 1;
        if self.members.list[member].room > 0 {
            self.needs.insert(self.need(member));
        }
    }

    /// Gives every lease that needs a worker to one: first those that are wanted somewhere, then the rest to who lacks most.
    fn assign(&mut self) {
        let needy: Vec<&LeaseState<'a>> = self.snapshot.leases().iter().filter(|lease| lease.needs_worker()).collect();
        let mut others = Vec::new();
        for lease in needy {
            match self.expecting(lease) {
                Some(member) => self.give(lease, member),
                None => others.push(lease),
            }
        }
        for lease in others {
            if let Some(member) = self.most_in_need(lease) {
                self.give(lease, member);
            }
        }
    }

    fn give(&mut self, lease: &LeaseState<'a>, member: usize) {
        self.steps.push(Step::assign(lease.key(), self.members.list[member].id, reason::needs_worker(lease)));
        self.add(member);
    }

    /// The worker that prepares for the lease already, or had it last, if it lacks leases.
    fn expecting(&self, lease: &LeaseState<'a>) -> Option<usize> {
        self.members.expecting(lease).find(|&member| self.lacks(member) > 0 && self.members.list[member].room > 0)
    }

    fn most_in_need(&self, lease: &LeaseState<'a>) -> Option<usize> {
        let shunned = lease.shunned().and_then(|worker| self.members.index(worker));
        let others = self.needs.iter().map(|need| need.3).find(|member| Some(*member) != shunned);
        others.or(shunned.filter(|&member| self.members.list[member].room > 0))
    }

    /// Moves leases from members that have too many to those that have too few.
    fn even_out(&mut self) {
        let mut givers: BTreeMap<usize, Vec<&'s LeaseState<'a>>> = (0..self.shares.len())
            .filter(|&member| self.lacks(member) < 0)
            .map(|member| (member, Vec::new()))
            .collect();
        for lease in self.snapshot.leases().iter().filter(|lease| lease.readable) {
            if let Standing::Held { by } = lease.standing
                && let Some(leases) = self.members.index(by).and_then(|member| givers.get_mut(&member))
            {
                leases.push(lease);
            }
        }
        for leases in givers.values_mut() {
            leases.sort_by_cached_key(|lease| Reverse(self.reluctance(lease)));
        }
        self.needs.retain(|need| need.0.0 > 0 && self.members.list[need.3].takes_moves);
        let mut surplus: BTreeSet<(i64, u64, usize)> = givers.keys().map(|&giver| self.surplus(giver)).collect();
        for _ in 0..self.snapshot.move_budget() {
            let Some(receiver) = self.needs.first().map(|need| need.3).filter(|&member| self.lacks(member) > 0) else {
                return;
            };
            let Some((lease, giver)) = self.next_to_move(&mut givers, &mut surplus) else { return };
            self.steps.push(self.step_of_move(lease, giver, receiver));
            self.members.list[giver].has -= 1;
            if self.lacks(giver) < 0 {
                surplus.insert(self.surplus(giver));
            }
            self.add(receiver);
        }
    }

    /// The order of givers: the first has most beyond its share.
    fn surplus(&self, giver: usize) -> (i64, u64, usize) {
        (self.lacks(giver), self.members.list[giver].tie, giver)
    }

    /// Takes a lease from the member that has most beyond its share, and the member from `surplus`.
    fn next_to_move(
        &self,
        givers: &mut BTreeMap<usize, Vec<&'s LeaseState<'a>>>,
        surplus: &mut BTreeSet<(i64, u64, usize)>,
    ) -> Option<(&'s LeaseState<'a>, usize)> {
        while let Some((_, _, giver)) = surplus.pop_first() {
            // What it is given in this plan, or gives away already, cannot be moved.
            if let Some(lease) = givers.get_mut(&giver).and_then(Vec::pop) {
                return Some((lease, giver));
            }
        }
        None
    }

    /// Those that rest the longest are moved first; all that were not moved lately are equal.
    fn reluctance(&self, lease: &LeaseState<'a>) -> (u128, u64) {
        let rest = self.snapshot.rules().rest;
        let remaining = lease.moved.map_or(0, |moved| rest.saturating_sub(moved).as_millis());
        let by = lease.row.owner.as_ref().map_or(0, |owner| tie(self.snapshot.seed(), owner, lease.key().as_str()));
        (remaining, by)
    }

    fn step_of_move(&self, lease: &LeaseState<'a>, giver: usize, receiver: usize) -> Step {
        let (from, to) = (&self.members.list[giver], &self.members.list[receiver]);
        let why =
            format!("{} has {}, its share is {}; {} has {}", from.id, from.has, self.shares[giver], to.id, to.has);
        Step::hand_over(lease.key(), from.id, to.id, why)
    }
}
