//! The transaction at the end of a shard.

use kcl_core::testing::protocol::lineage::{Creator, Ending};
use kcl_core::testing::protocol::{self, Holder, Role};
use kcl_core::types::{Epoch, Lease, StepResult, TransactionStep};

use super::LineageModel;
use super::state::{Answer, Call, End, State};
use super::world::{Set, bit, members};
use crate::protocol::row::{Row, Who};
use crate::protocol::rule::Rule;

impl LineageModel {
    /// Everything is read. The first time the rows of the other parents are read, to see which children are due.
    pub(super) fn send_end(&self, state: &mut State, who: Who, shard: usize) {
        let Some(tenure) = state.tenure(who, shard).copied() else { return };
        let end = tenure.end.unwrap_or_else(|| {
            let counter = self.counter(state);
            let known = |other: usize| state.rows[other].is_some() || !self.rules.has(Rule::MergeChildWaits);
            let end =
                End { by: who, shard: shard as u8, seen: tenure.confirmed, makes: self.world.children[shard], counter };
            End { makes: self.makes(&self.ending(&end, known), who), ..end }
        });
        let end = End { seen: tenure.confirmed, ..end };
        let worker = state.worker_mut(who);
        if let Some(tenure) = &mut worker.tenures[shard] {
            tenure.end = Some(end);
        }
        worker.call = Some(Call { end, answer: None });
    }

    /// Where the counters of rows begin that are made now.
    pub(super) fn counter(&self, state: &State) -> u8 {
        if self.rules.has(Rule::CreateFromClock) { state.clock + 1 } else { 0 }
    }

    /// The end as the library puts it together, where the rows of the other parents are known that are `known`.
    fn ending(&self, end: &End, known: impl Fn(usize) -> bool) -> Ending {
        let shard = usize::from(end.shard);
        let others = members(end.makes).fold(0, |set, child| set | self.world.parents[child]) & !bit(shard);
        let others: Vec<Lease> = members(others)
            .filter(|other| known(*other))
            .map(|other| self.world.lease(other, &Row::made(None, 0)))
            .collect();
        let creator = Creator::new(end.by.id().clone(), u64::from(end.counter));
        let parent = self.world.lease(shard, &end.seen);
        Ending::new(&parent, &self.world.named(end.makes), &others, &creator, usize::MAX)
    }

    fn makes(&self, ending: &Ending, who: Who) -> Set {
        let rows = ending.begun(who.id());
        rows.iter().fold(0, |set, row| set | bit(self.world.shard_of(&row.key)))
    }

    /// The transaction reaches the table.
    pub(super) fn land_end(&self, state: &mut State, end: &End) -> Answer {
        let mut ending = self.ending(end, |_known_when_it_was_prepared| true);
        let parent = self.world.lease(usize::from(end.shard), &end.seen);
        let mut steps = ending.steps(&Holder::new(&parent, end.by.id(), Role::Owner, Epoch(u64::from(end.seen.epoch))));
        if !self.rules.has(Rule::MergeChildWaits) {
            steps.retain(|step| !matches!(step, TransactionStep::Exists(_)));
        }
        let results: Vec<StepResult> = steps.iter().map(|step| self.judge(state, step)).collect();
        if results.iter().all(|result| *result == StepResult::Held) {
            for step in &steps {
                self.apply(state, step);
            }
            return Answer::Applied(end.makes);
        }
        if results.first() == Some(&StepResult::Failed) {
            return Answer::ParentMoved;
        }
        if !self.rules.has(Rule::ExistingChildStays) {
            // The transaction is repeated as it was.
            return Answer::InTheWay(end.makes);
        }
        let _something_was = ending.give_way(&results);
        Answer::InTheWay(self.makes(&ending, end.by))
    }

    fn judge(&self, state: &State, step: &TransactionStep) -> StepResult {
        let shard = self.world.shard_of(step.key());
        let row = state.rows[shard].map(|row| self.world.lease(shard, &row));
        let held = match step {
            TransactionStep::Update { condition, .. } => row.is_some_and(|row| condition.holds(&row)),
            TransactionStep::Create(_) => row.is_none(),
            TransactionStep::Exists(_) => row.is_some(),
            // What the library adds is to be taken in here.
            _ => false,
        };
        if held { StepResult::Held } else { StepResult::Failed }
    }

    fn apply(&self, state: &mut State, step: &TransactionStep) {
        let shard = self.world.shard_of(step.key());
        match step {
            TransactionStep::Update { change, .. } => {
                if let Some(row) = state.rows[shard] {
                    let row = Row::of(&change.apply(&self.world.lease(shard, &row)));
                    self.put(state, shard, row);
                }
            }
            TransactionStep::Create(row) => self.put(state, shard, Row::of(row)),
            _ => {}
        }
    }

    /// The answer reaches the worker.
    pub(super) fn hear(&self, state: &mut State, who: Who) {
        let Some(Call { end, answer: Some(answer) }) = state.worker_mut(who).call.take() else { return };
        let shard = usize::from(end.shard);
        match answer {
            Answer::Applied(begun) => {
                state.lose(who, shard);
                for child in members(begun).filter(|child| state.tenure(who, *child).is_none()).collect::<Vec<_>>() {
                    self.begin(state, who, child, Row::made(Some(who), end.counter));
                }
            }
            Answer::ParentMoved => self.read_parent(state, who, shard),
            Answer::InTheWay(makes) => {
                if let Some(tenure) = &mut state.worker_mut(who).tenures[shard] {
                    tenure.end = Some(End { makes, ..end });
                }
            }
        }
    }

    /// The row that was in the way is that of the parent, which is read: it has ended, it is gone, it is still ours, or it
    /// is not.
    fn read_parent(&self, state: &mut State, who: Who, shard: usize) {
        let Some(tenure) = state.tenure(who, shard).copied() else { return };
        let Some(row) = state.rows[shard] else { return self.remake(state, who, shard) };
        let lease = self.world.lease(shard, &row);
        let epoch = Epoch(u64::from(tenure.confirmed.epoch));
        if row.ended() || protocol::standing(&lease, who.id(), epoch).is_none() {
            return state.lose(who, shard);
        }
        if let Some(tenure) = &mut state.worker_mut(who).tenures[shard] {
            tenure.confirmed = row;
        }
    }
}
