//! Moving leases from workers that carry much to workers that carry little.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::weight::ordered;
use super::{INNER_BAND, Rank, Spread};
use crate::plan::assignment::share::Member;
use crate::plan::assignment::standing::Standing;
use crate::plan::assignment::steps::Step;

/// Moving begins when a load lies farther than this from the mean.
const OUTER_BAND: f64 = 0.10;
/// So far from the mean, leases are moved again that were moved a moment ago.
const GROSS: f64 = 0.5;
/// By how much the higher load of both workers must fall, as a part of what is moved.
const LEAST_GAIN: f64 = 0.25;

/// Leases by weight: the weight as [`ordered`], and where the lease stands in the snapshot.
type ByWeight = BTreeSet<(u64, usize)>;

/// The leases that a member may give away.
#[derive(Debug, Default)]
struct Stock {
    rested: ByWeight,
    moved_lately: ByWeight,
}

/// Who gives and who takes, the first of each order first. A member may be both.
#[derive(Debug, Default)]
struct Parties {
    givers: BTreeSet<(Reverse<u64>, u64, usize)>,
    receivers: BTreeSet<Rank>,
    stocks: BTreeMap<usize, Stock>,
    /// Members that carry too much and can give nothing away.
    left_alone: BTreeSet<usize>,
}

impl Spread<'_, '_> {
    /// Moves leases from the member that carries most to the one that carries least, until all are about even.
    pub(super) fn even_out(&mut self) {
        let mut parties = Parties::default();
        if !self.is_uneven(&parties) {
            return;
        }
        parties.stocks = self.stocks();
        (0..self.members.list.len()).for_each(|member| self.enlist(&mut parties, member));
        let mut budget = self.snapshot.move_budget();
        while budget > 0
            && let (Some(&(.., receiver)), Some(&(.., giver))) = (parties.receivers.first(), parties.givers.first())
            && !self.is_even(giver, receiver)
        {
            let chosen = parties.stocks.get_mut(&giver).and_then(|stock| self.choose(stock, giver, receiver));
            let Some((bits, lease)) = chosen else {
                // Nor has it anything for the others, which carry more than this one.
                self.leave_alone(&mut parties, giver);
                if !self.is_uneven(&parties) {
                    return;
                }
                continue;
            };
            budget -= 1;
            self.steps.push(self.step_of_move(lease, giver, receiver));
            let weight = f64::from_bits(bits);
            [giver, receiver].into_iter().for_each(|member| self.strike(&mut parties, member));
            self.members.list[giver].weight -= weight;
            self.members.list[giver].has -= 1;
            self.add(receiver, weight);
            [giver, receiver].into_iter().for_each(|member| self.enlist(&mut parties, member));
        }
    }

    /// Counts without a member: what it carries too much, the others cannot carry for it.
    fn leave_alone(&mut self, parties: &mut Parties, member: usize) {
        self.strike(parties, member);
        parties.left_alone.insert(member);
        let others = self.members.list.iter().enumerate().filter(|(index, _)| !parties.left_alone.contains(index));
        let sum = |(weight, capacity), other: &Member<'_>| (weight + other.weight, capacity + other.capacity);
        let (weight, capacity) = others.map(|(_, other)| other).fold((0.0, 0.0), sum);
        self.mean = if capacity > 0.0 { weight / capacity } else { 0.0 };
    }

    /// Whether a member carries so much, or one that may be helped so little, that leases should be moved.
    fn is_uneven(&self, parties: &Parties) -> bool {
        (0..self.members.list.len()).filter(|member| !parties.left_alone.contains(member)).any(|member| {
            let takes = self.members.list[member].takes_moves && self.has_room(member);
            let load = self.load(member);
            load > self.mean * (1.0 + OUTER_BAND) || takes && load < self.mean * (1.0 - OUTER_BAND)
        })
    }

    fn is_even(&self, giver: usize, receiver: usize) -> bool {
        let most = self.mean * (1.0 + INNER_BAND);
        let least = self.mean * (1.0 - INNER_BAND);
        giver == receiver || self.load(giver) <= most && self.load(receiver) >= least
    }

    fn stocks(&self) -> BTreeMap<usize, Stock> {
        let mut stocks: BTreeMap<usize, Stock> = BTreeMap::new();
        let rest = self.snapshot.rules().rest;
        for (index, lease) in self.snapshot.leases().iter().enumerate().filter(|(_, lease)| lease.readable) {
            if let Standing::Held { by } = lease.standing
                && let Some(member) = self.members.index(by)
            {
                let stock = stocks.entry(member).or_default();
                let moved_lately = lease.moved.is_some_and(|moved| moved < rest);
                let leases = if moved_lately { &mut stock.moved_lately } else { &mut stock.rested };
                leases.insert((ordered(self.scale.weigh(lease)), index));
            }
        }
        stocks
    }

    /// Puts a member where its load says.
    fn enlist(&self, parties: &mut Parties, member: usize) {
        if parties.stocks.contains_key(&member) {
            parties.givers.insert(self.giver(member));
        }
        if self.members.list[member].takes_moves && self.has_room(member) {
            parties.receivers.insert(self.rank(member));
        }
    }

    fn strike(&self, parties: &mut Parties, member: usize) {
        parties.givers.remove(&self.giver(member));
        parties.receivers.remove(&self.rank(member));
    }

    fn giver(&self, member: usize) -> (Reverse<u64>, u64, usize) {
        (Reverse(ordered(self.load(member))), self.members.list[member].tie, member)
    }

    /// Takes out of a stock what is best moved, if anything is worth it.
    fn choose(&self, stock: &mut Stock, giver: usize, receiver: usize) -> Option<(u64, usize)> {
        let is_gross = self.load(giver) > self.mean * (1.0 + GROSS) || self.load(receiver) < self.mean * (1.0 - GROSS);
        let Stock { rested, moved_lately } = stock;
        for leases in [Some(rested), is_gross.then_some(moved_lately)].into_iter().flatten() {
            if let Some(best) = self.best(leases, giver, receiver) {
                leases.remove(&best);
                return Some(best);
            }
        }
        None
    }

    /// The lease whose move lowers the higher load of both most. That is the next lighter or the next heavier one than that
    /// after which both would carry the same.
    fn best(&self, leases: &ByWeight, giver: usize, receiver: usize) -> Option<(u64, usize)> {
        let (from, to) = (self.members.list[giver].capacity, self.members.list[receiver].capacity);
        let gap = self.load(giver) - self.load(receiver);
        let ideal = (ordered(gap / (1.0 / from + 1.0 / to)), 0);
        let gain = |weight: f64| (weight / from).min(gap - weight / to);
        let candidates = [leases.range(..ideal).next_back(), leases.range(ideal..).next()];
        let worthwhile = candidates.into_iter().flatten().filter(|(bits, _)| {
            let weight = f64::from_bits(*bits);
            gain(weight) >= LEAST_GAIN * weight / from
        });
        worthwhile.max_by(|(a, _), (b, _)| gain(f64::from_bits(*a)).total_cmp(&gain(f64::from_bits(*b)))).copied()
    }

    fn step_of_move(&self, lease: usize, giver: usize, receiver: usize) -> Step {
        let (from, to) = (self.members.list[giver].id, self.members.list[receiver].id);
        let percent = |member: usize| 100.0 * self.load(member) / self.mean;
        let why = format!("{from} carries {:.0} % of the mean load, {to} {:.0} %", percent(giver), percent(receiver));
        Step::hand_over(self.snapshot.leases()[lease].key(), from, to, why)
    }
}
