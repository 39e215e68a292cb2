//! What to do next.

use super::{Action, Callback, End, Farewell, Finish, ShardMachine};
use crate::types::Moment;

impl ShardMachine {
    /// When to wake up at the latest. After [`poll_action`](ShardMachine::poll_action) had nothing to do it lies ahead: a
    /// time that has come, and at which nothing happens, would keep the shell awake for ever.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        if self.finished || self.lost {
            return None;
        }
        if self.is_stopping() {
            let runs = self.callback.is_some() && !self.cancelling;
            return self.stop.filter(|_| runs).map(|(_, deadline)| deadline);
        }
        let callback = (self.callback.is_none() && self.wants_callback()).then_some(self.callback_after);
        let fetch = (!self.fetching && self.wants_fetch()).then_some(self.fetch_after);
        let give_up = self.stop.filter(|_| self.farewell == Farewell::End).map(|(_, deadline)| deadline);
        [callback, fetch, give_up].into_iter().flatten().min()
    }

    /// What to do now; `None` when there is nothing until something happens or time passes.
    pub(crate) fn poll_action(&mut self, now: Moment) -> Option<Action> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        if self.finished {
            return None;
        }
        if self.lost {
            return self.poll_lost();
        }
        if self.is_stopping() {
            return self.poll_stopping(now);
        }
        if self.farewell == Farewell::End && self.stop.is_some_and(|(_, deadline)| now >= deadline) {
            self.farewell = Farewell::Release;
            return Some(Action::Release);
        }
        // The callback first: it makes room in the queue for the next fetch.
        // Opening a batch may have something to report although there is nothing to call.
        self.poll_callback(now).or_else(|| self.reports.pop_front()).or_else(|| self.poll_fetching(now))
    }

    fn poll_lost(&mut self) -> Option<Action> {
        match self.callback {
            Some(Callback::LeaseLost) => None,
            Some(_) if self.cancelling => None,
            Some(_) => {
                self.cancelling = true;
                Some(Action::CancelCallback)
            }
            None if self.initialized && !self.lost_told => {
                self.lost_told = true;
                self.callback = Some(Callback::LeaseLost);
                Some(Action::CallLeaseLost)
            }
            None => {
                self.finished = true;
                Some(Action::Finished(Finish::Lost))
            }
        }
    }

    /// An end that the processor already knows of is written, also when the worker stops meanwhile; but a stop waits neither
    /// for the repetition of one that could not be prepared, nor beyond its deadline: the next owner ends the shard again.
    fn is_stopping(&self) -> bool {
        let ending = matches!(self.end, End::Told(_)) && (self.farewell == Farewell::End || self.failures == 0);
        let ending = ending && self.farewell != Farewell::Release;
        self.stop.is_some() && !ending
    }

    fn poll_stopping(&mut self, now: Moment) -> Option<Action> {
        let (_, deadline) = self.stop?;
        if self.callback.is_some() {
            let overdue = now >= deadline && !self.cancelling;
            self.cancelling |= overdue;
            return overdue.then_some(Action::CancelCallback);
        }
        // A batch that waits for its next attempt is not completed: its records are delivered again elsewhere.
        self.current = None;
        if self.initialized && !self.shutdown_called && now < deadline {
            self.shutdown_called = true;
            self.callback = Some(Callback::ShutdownRequested);
            return Some(Action::CallShutdownRequested { deadline });
        }
        (std::mem::replace(&mut self.farewell, Farewell::Release) == Farewell::NotYet).then_some(Action::Release)
    }

    fn wants_fetch(&self) -> bool {
        let room = self.queue.len() < self.settings.queue;
        match self.end {
            _ if self.stop.is_some() || self.lost => false,
            _ if self.waiting_for_parents => true,
            End::NotSeen | End::Closed(_) => self.initialized && room,
            End::Claimed => true,
            End::Proving | End::Proven(_) | End::Told(_) => false,
        }
    }

    fn poll_fetching(&mut self, now: Moment) -> Option<Action> {
        if self.fetching || !self.wants_fetch() || now < self.fetch_after {
            return None;
        }
        self.fetching = true;
        Some(if self.waiting_for_parents {
            Action::CheckParents
        } else if self.end == End::Claimed {
            self.end = End::Proving;
            Action::ProveEnd
        } else {
            Action::Fetch
        })
    }

    fn wants_callback(&self) -> bool {
        if self.waiting_for_parents {
            return false;
        }
        !self.initialized
            || self.current.is_some()
            || !self.queue.is_empty()
            || matches!(self.end, End::Proven(_))
            || (matches!(self.end, End::Told(_)) && self.farewell == Farewell::NotYet)
    }

    fn poll_callback(&mut self, now: Moment) -> Option<Action> {
        if self.callback.is_some() || !self.wants_callback() || now < self.callback_after {
            return None;
        }
        if let End::Told(children) = &self.end {
            self.farewell = Farewell::End;
            return Some(Action::WriteEnd { children: children.clone() });
        }
        let attempt = self.failures + 1;
        if !self.initialized {
            self.callback = Some(Callback::Initialize);
            return Some(Action::Initialize);
        }
        self.open_next(now);
        if let Some(current) = &self.current {
            self.callback = Some(Callback::Deliver);
            return Some(Action::Deliver { batch: current.batch.clone(), attempt });
        }
        if !self.queue.is_empty() || !matches!(self.end, End::Proven(_)) {
            return None;
        }
        self.callback = Some(Callback::ShardEnded);
        Some(Action::CallShardEnded { attempt })
    }
}
