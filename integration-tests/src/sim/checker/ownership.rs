//! Who may write and who may deliver.

use kcl_core::LeaseLostReason;
use kcl_core::types::{Checkpoint, Epoch, FencingToken, Lease, LeaseKey};

use super::{Checker, Life, ShardState, Tenure, Violation, after, holds, key_shard, row_text};
use crate::sim::executor::ProcessId;
use crate::sim::observation::{Holder, Shard};
use crate::sim::timeline::At;

const P1: &str = "P1, a checkpoint of a worker that lost the lease is never stored";
const P1_BACK: &str = "P1, a stored checkpoint never goes back";
const P2: &str = "P2, a worker starts no delivery after another may own the shard";
const P3: &str = "P3, fencing tokens grow from tenure to tenure";
const P7: &str = "P7, an ambiguous answer loses no lease";

impl Checker {
    /// A write took effect.
    pub(super) fn written(
        &mut self,
        at: At,
        (process, sent): (ProcessId, At),
        shard: Shard,
        (before, now): (Option<&Lease>, Option<&Lease>),
    ) -> Result<(), Violation> {
        let worker = self.worker(process).to_owned();
        self.not_too_early(at, process, shard, (before, now))?;
        let state = self.shard(shard);
        if before.is_none() && std::mem::take(&mut state.proof_is_gone) {
            state.forget_row();
        }
        if let Some(now) = now {
            may_store(state, (process, sent), shard, before, now)?;
            state.stored = state.stored.take().max(Some(now.checkpoint.clone()));
            state.counter = now.counter;
        }
        let kept = before.is_some_and(|before| {
            now.is_some_and(|now| now.epoch() == before.epoch() && now.holder() == before.holder())
        });
        if !kept {
            let begun = now.filter(|now| holds(now, &worker, now.epoch()) && now.checkpoint_owner.is_none());
            // Of a row that was deleted and made anew a tenure may look like one of the row before.
            let again = |row: &Lease, newest: &Holder| {
                (newest.process, newest.epoch, newest.token) == (process, row.epoch(), FencingToken(row.counter))
            };
            state.newest.take_if(|(newest, _)| begun.is_some_and(|row| again(row, newest)));
            state.tenure = begun.map(|row| Tenure {
                process,
                epoch: row.epoch(),
                sent,
                start: after(&row.checkpoint),
                confirmed: sent,
                over: false,
            });
        }
        state.row = now.cloned();
        if before.is_none() && now.is_some_and(|now| now.checkpoint > Checkpoint::TrimHorizon) {
            self.restore_proof(shard);
        }
        match now {
            Some(now) => self.checkpointed(shard, &now.checkpoint),
            None => Ok(()),
        }
    }

    /// A lease goes to another one only when its holder has stopped, by its own clock. One that has been asked to hand over
    /// has its own time, and a process that goes on under the same name takes over at once.
    fn not_too_early(
        &self,
        at: At,
        process: ProcessId,
        shard: Shard,
        (before, now): (Option<&Lease>, Option<&Lease>),
    ) -> Result<(), Violation> {
        let (Some(before), Some(now)) = (before, now) else { return Ok(()) };
        let Some(tenure) = self.shards.get(&shard).and_then(|state| state.tenure.as_ref()) else { return Ok(()) };
        let holder = self.worker(tenure.process);
        let ends = !holds(now, holder, tenure.epoch) && holds(before, holder, tenure.epoch);
        if !ends || before.checkpoint_owner.is_some() || self.worker(process) == holder {
            return Ok(());
        }
        match self.lasts_until(tenure) {
            Some(end) if at < end => {
                let (left, row) = ((end - at).as_secs_f64(), row_text(Some(now)));
                let holder = tenure.process;
                Err(Violation::new(
                    P2,
                    format!("{process} wrote {shard}: {row}, but {holder} may work for {left:.3} s"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// User code works on something: its tenure must be the one that stands in the table.
    pub(super) fn may_act(&mut self, holder: Holder) -> Result<(), Violation> {
        let worker = self.worker(holder.process).to_owned();
        let state = self.shard(holder.shard);
        match &state.row {
            // Made again, for nobody yet, while the holder has not found out that its row was deleted.
            Some(row) if state.token_is_gone && row.holder().is_none() => Ok(()),
            Some(row) if !holds(row, &worker, holder.epoch) => {
                Err(Violation::new(P2, format!("{holder} works, but the row is {}", row_text(Some(row)))))
            }
            _ => Ok(()),
        }
    }

    /// No other tenure may be at work. One that is paused is not; it must notice when it wakes.
    pub(super) fn works_alone(&self, holder: Holder) -> Result<(), Violation> {
        let Some(state) = self.shards.get(&holder.shard) else { return Ok(()) };
        let at_work =
            |other: &Holder| self.processes.get(&other.process).is_some_and(|process| process.life == Life::Running);
        match state.working.keys().find(|other| **other != holder && at_work(other)) {
            Some(other) => Err(Violation::new(P2, format!("{holder} starts while {other} is still at work"))),
            None => Ok(()),
        }
    }

    /// User code is made for a tenure: its token is higher than all that user code has seen for the shard.
    pub(super) fn processor(&mut self, holder: Holder) -> Result<(), Violation> {
        let state = self.shard(holder.shard);
        match &state.newest {
            Some((newest, _)) if *newest == holder => Ok(()),
            Some((newest, _)) if newest.token >= holder.token && !state.token_is_gone => {
                Err(Violation::new(P3, format!("{holder} begins after {newest}")))
            }
            _ => {
                (state.newest, state.token_is_gone) = (Some((holder, None)), false);
                Ok(())
            }
        }
    }

    /// A holder hears that a write was applied. Heard too late by its own clock it prolongs nothing: the tenure is over.
    pub(super) fn confirmed(&mut self, at: At, (process, sent): (ProcessId, At), key: &LeaseKey) {
        let running = self.processes.get(&process).filter(|state| state.life == Life::Running);
        let term = running.map(|state| state.term);
        let Some(shard) = key_shard(key) else { return };
        if let Some(term) = term
            && let Some(tenure) = &mut self.shard(shard).tenure
            && tenure.process == process
            && at < tenure.confirmed + term
        {
            tenure.confirmed = tenure.confirmed.max(sent);
        }
    }

    /// A worker says that it lost a lease. It must have: a row that still names this tenure was not taken, and where
    /// nothing goes wrong nothing is lost.
    pub(super) fn lost(
        &mut self,
        at: At,
        process: ProcessId,
        shard: Shard,
        (epoch, reason): (Epoch, LeaseLostReason),
    ) -> Result<(), Violation> {
        let (undisturbed, worker) = (self.undisturbed, self.worker(process).to_owned());
        let tenure = self.shards.get(&shard).and_then(|state| state.tenure.as_ref());
        let tenure = tenure.filter(|it| it.process == process && it.epoch == epoch);
        let end = tenure.and_then(|tenure| self.lasts_until(tenure));
        if let Some(tenure) = self.shard(shard).tenure.as_mut().filter(|it| it.process == process && it.epoch == epoch)
        {
            tenure.over = true;
        }
        let row = self.shard(shard).row.as_ref();
        let text = || format!("{process} lost {shard} epoch {epoch} ({reason}), the row is {}", row_text(row));
        if undisturbed {
            return Err(Violation::new(P7, format!("{}, and nothing was disturbed", text())));
        }
        match reason {
            LeaseLostReason::Taken if row.is_some_and(|row| holds(row, &worker, epoch)) => {
                Err(Violation::new(P7, text()))
            }
            LeaseLostReason::Expired if end.is_some_and(|end| at < end) => {
                let left = end.unwrap_or_default().saturating_sub(at).as_secs_f64();
                Err(Violation::new(P7, format!("{}, and had {left:.3} s left", text())))
            }
            LeaseLostReason::Internal => Err(Violation::new("the runtime has no defects", text())),
            _ => Ok(()),
        }
    }
}

/// Whether a write may leave this checkpoint behind.
fn may_store(
    state: &ShardState,
    (process, sent): (ProcessId, At),
    shard: Shard,
    before: Option<&Lease>,
    now: &Lease,
) -> Result<(), Violation> {
    let text = || {
        let (sent, before, now) = (sent.as_secs_f64(), row_text(before), row_text(Some(now)));
        format!("{process} wrote {shard}, sent {sent:.6}: {before} -> {now}")
    };
    if state.stored.as_ref().is_some_and(|stored| now.checkpoint < *stored) {
        return Err(Violation::new(P1_BACK, text()));
    }
    if now.counter < state.counter {
        return Err(Violation::new(P3, format!("{}, but its counter was {} before", text(), state.counter)));
    }
    let Some(before) = before.filter(|before| before.checkpoint != now.checkpoint) else { return Ok(()) };
    let tenure = state.tenure.as_ref();
    if tenure.is_some_and(|it| it.process == process && it.epoch == before.epoch() && it.sent <= sent) {
        return Ok(());
    }
    let holder = tenure.map_or("nobody".to_owned(), |it| format!("{} epoch {}", it.process, it.epoch));
    Err(Violation::new(P1, format!("{}, in the tenure of {holder}", text())))
}
