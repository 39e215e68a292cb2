//! Each record completed, in order, and checkpoints behind the work.

use kcl_core::types::Checkpoint;

use super::{Checker, RecordState, Violation, after};
use crate::sim::observation::{Holder, Ordinal, Shard};
use crate::sim::timeline::At;

const P5: &str = "P5, a planned move costs no duplicates";
const OVERTAKES: &str = "a checkpoint never overtakes work";
const ORDER: &str = "records come in order, children after their parents";

impl Checker {
    pub(super) fn put(
        &mut self,
        at: At,
        shard: Shard,
        ordinal: Ordinal,
        (key, number): (u32, u64),
    ) -> Result<(), Violation> {
        let once = self.undisturbed;
        let records = &mut self.shard(shard).records;
        assert_eq!(ordinal, records.len() as Ordinal, "the model numbers the records of a shard one by one");
        records.push(RecordState { key, number, at, touched: false, once });
        Ok(())
    }

    /// A row says that everything up to this checkpoint is done.
    pub(super) fn checkpointed(&mut self, shard: Shard, checkpoint: &Checkpoint) -> Result<(), Violation> {
        let state = self.shard(shard);
        let overtakes = match checkpoint {
            Checkpoint::ShardEnd => !state.is_done(),
            other => after(other) > state.completed,
        };
        if overtakes {
            let (completed, all) = (state.completed, state.records.len());
            let text =
                format!("{shard} is stored at {checkpoint}, but only {completed} of {all} records are completed");
            return Err(Violation::new(OVERTAKES, text));
        }
        Ok(())
    }

    /// A delivery begins: where the tenure stands, and not before all parents are done.
    pub(super) fn delivery(&mut self, holder: Holder, first: Ordinal, last: Ordinal) -> Result<(), Violation> {
        self.works_alone(holder)?;
        let parents = self.shard(holder.shard).parents.clone();
        if let Some(parent) = parents.iter().find(|parent| !self.shard(**parent).has_ended()) {
            return Err(Violation::new(ORDER, format!("{holder} begins before {parent} has ended")));
        }
        let state = self.shard(holder.shard);
        let begun = state.tenure.as_ref().filter(|it| it.process == holder.process && it.epoch == holder.epoch);
        let start = begun.map(|tenure| tenure.start);
        let newest = state.newest.as_ref().filter(|(newest, _)| *newest == holder);
        let Some(due) = newest.and_then(|(_, next)| *next).or(start) else {
            return Err(Violation::new(ORDER, format!("{holder} delivers in no tenure that anybody saw begin")));
        };
        if first != due || last < first || last >= state.records.len() as Ordinal {
            return Err(Violation::new(ORDER, format!("{holder} delivers {first}..={last}, due was {due}")));
        }
        state.newest = Some((holder, Some(due)));
        state.working.insert(holder, last);
        Ok(())
    }

    /// User code works on a record: the one before it of its key is completed, or came earlier in this delivery.
    pub(super) fn touched(&mut self, holder: Holder, ordinal: Ordinal) -> Result<(), Violation> {
        let state = self.shards.entry(holder.shard).or_default();
        let undone = state.completed as usize..ordinal as usize;
        let Some(record) = state.records.get_mut(ordinal as usize) else {
            return Err(Violation::new(ORDER, format!("{holder} works on {ordinal}, which nobody wrote")));
        };
        let again = std::mem::replace(&mut record.touched, true);
        if again && record.once {
            return Err(Violation::new(P5, format!("{holder} works on {ordinal} a second time")));
        }
        let (key, number) = (record.key, record.number);
        let completed = self.keys.get(&key).copied().unwrap_or(0);
        let earlier = state.records.get(undone).unwrap_or_default().iter();
        if completed + 1 < number && !earlier.rev().any(|other| (other.key, other.number) == (key, number - 1)) {
            let text = format!("{holder} works on {ordinal}, number {number} of key {key}, after number {completed}");
            return Err(Violation::new(ORDER, text));
        }
        Ok(())
    }

    /// A delivery ended, with the records before `completed` done.
    pub(super) fn delivered(&mut self, holder: Holder, completed: Ordinal) -> Result<(), Violation> {
        let state = self.shards.entry(holder.shard).or_default();
        state.working.remove(&holder);
        if let Some((newest, next)) = &mut state.newest
            && *newest == holder
        {
            *next = Some(completed);
        }
        while state.completed < completed {
            let record = &state.records[state.completed as usize];
            let done = self.keys.entry(record.key).or_insert(0);
            *done = (*done).max(record.number);
            state.completed += 1;
        }
        Ok(())
    }
}
