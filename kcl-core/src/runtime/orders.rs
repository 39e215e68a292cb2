//! What others want of a shard task, and how it hears of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::ports::LeaseLostReason;
use crate::shard::machine::StopReason;
use crate::types::{Moment, WorkerId};

/// What others want of the shard task of one tenure. What was said stays said, and the task wakes up for it.
///
/// Only that task waits, so one waker is enough: every idle shard would keep a token for each kind of order, and a place to
/// wait for it.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    given: Mutex<Given>,
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct Given {
    over: Option<Over>,
    stop: Option<Stop>,
    /// When this worker learned that it should hand over.
    hand_over: Option<Moment>,
    /// To the run that is there now.
    restart: bool,
    drop: bool,
}

/// How the tenure ended.
#[derive(Debug, Clone, Copy)]
enum Over {
    AsWished,
    Lost(LeaseLostReason),
}

#[derive(Debug)]
struct Stop {
    reason: StopReason,
    deadline: Moment,
    successor: Option<WorkerId>,
}

/// What a shard task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The tenure is over.
    Lose(LeaseLostReason),
    /// Give the lease back by then.
    Stop { reason: StopReason, deadline: Moment },
    /// A leader asked for the lease, as this worker learned then.
    HandOver { asked: Moment },
    /// Come to an end and begin anew.
    Restart,
}

/// The orders that a shard task need not be told, because it was or because they change nothing any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) abort: bool,
    pub(crate) over: bool,
    pub(crate) stop: bool,
    pub(crate) hand_over: bool,
    pub(crate) restart: bool,
}

impl Orders {
    /// The tenure is over; the first reason counts.
    pub(crate) fn end(&self, reason: LeaseLostReason) {
        self.give(|given| {
            given.over.get_or_insert(Over::Lost(reason));
        });
    }

    /// The tenure is over as we wished.
    pub(crate) fn close(&self) {
        self.give(|given| {
            given.over.get_or_insert(Over::AsWished);
        });
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.given().over.is_some()
    }

    /// Why the tenure ended; of one that ended as we wished, the reason that later calls are given.
    pub(crate) fn end_reason(&self) -> LeaseLostReason {
        match self.given().over {
            Some(Over::Lost(reason)) => reason,
            Some(Over::AsWished) | None => LeaseLostReason::Taken,
        }
    }

    /// Give the lease back; the first reason and deadline count. A successor may be named, or named anew, until the lease is
    /// given back; without one it is given to nobody.
    pub(crate) fn stop(&self, reason: StopReason, deadline: Moment, successor: Option<WorkerId>) {
        self.give(|given| match &mut given.stop {
            Some(stop) => stop.successor = successor.or(stop.successor.take()),
            None => given.stop = Some(Stop { reason, deadline, successor }),
        });
    }

    /// Who is to have the lease once it is given back.
    pub(crate) fn successor(&self) -> Option<WorkerId> {
        self.given().stop.as_ref()?.successor.clone()
    }

    /// A leader asked for the lease, as this worker learned now; the first time counts.
    pub(crate) fn hand_over(&self, now: Moment) {
        self.give(|given| {
            given.hand_over.get_or_insert(now);
        });
    }

    /// Come to an end and begin anew.
    pub(crate) fn restart(&self) {
        self.give(|given| given.restart = true);
    }

    /// It did not come to an end: it is dropped.
    pub(crate) fn drop_run(&self) {
        self.give(|given| given.drop = true);
    }

    /// Whether the run that is there now was to be dropped.
    pub(crate) fn drops_run(&self) -> bool {
        self.given().drop
    }

    /// What was said to the run before does not concern the one that begins.
    pub(crate) fn begin_run(&self) {
        let mut given = self.given();
        (given.restart, given.drop) = (false, false);
    }

    /// The task should look again at what it waits for.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// The most important order that was not heard.
    pub(crate) fn poll(&self, heard: Heard, context: &mut Context<'_>) -> Poll<Order> {
        // Registered before looking, so that what is said in between wakes the task.
        self.task.register(context.waker());
        self.given().next(heard).map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready once the run is to be dropped.
    pub(crate) fn poll_drop(&self, context: &mut Context<'_>) -> Poll<()> {
        self.task.register(context.waker());
        if self.drops_run() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn give(&self, order: impl FnOnce(&mut Given)) {
        order(&mut self.given());
        self.task.wake();
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    fn next(&self, heard: Heard) -> Option<Order> {
        let over = self.over.filter(|_| !heard.over).map(|over| match over {
            Over::Lost(reason) => Order::Lose(reason),
            // By somebody else than its task, which is told as if it were taken.
            Over::AsWished => Order::Lose(LeaseLostReason::Taken),
        });
        let stop = self.stop.as_ref().filter(|_| !heard.stop);
        let hand_over = self.hand_over.filter(|_| !heard.hand_over);
        let restart = (self.restart && !heard.restart).then_some(Order::Restart);
        over.or_else(|| stop.map(|stop| Order::Stop { reason: stop.reason, deadline: stop.deadline }))
            .or_else(|| hand_over.map(|asked| Order::HandOver { asked }))
            .or(restart)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn next(orders: &Orders, heard: Heard) -> Option<Order> {
        poll_fn(|context| orders.poll(heard, context)).now_or_never()
    }

    #[test]
    fn what_ends_the_tenure_comes_first_and_what_was_heard_is_not_told_again() {
        let orders = Orders::default();
        let mut heard = Heard::default();
        assert_eq!(next(&orders, heard), None);
        orders.restart();
        orders.hand_over(at(1));
        orders.hand_over(at(2));
        orders.stop(StopReason::Shutdown, at(3), None);
        orders.stop(StopReason::Stuck, at(4), None);
        orders.end(LeaseLostReason::Expired);
        assert_eq!(next(&orders, heard), Some(Order::Lose(LeaseLostReason::Expired)));
        heard.over = true;
        assert_eq!(next(&orders, heard), Some(Order::Stop { reason: StopReason::Shutdown, deadline: at(3) }));
        heard.stop = true;
        assert_eq!(next(&orders, heard), Some(Order::HandOver { asked: at(1) }));
        heard.hand_over = true;
        assert_eq!(next(&orders, heard), Some(Order::Restart));
        orders.begin_run();
        assert_eq!(next(&orders, heard), None);
    }

    #[test]
    fn the_first_reason_of_an_end_counts() {
        let orders = Orders::default();
        assert!(!orders.is_ended());
        orders.end(LeaseLostReason::Expired);
        orders.close();
        orders.end(LeaseLostReason::Taken);
        assert_eq!(orders.end_reason(), LeaseLostReason::Expired);
        assert!(orders.is_ended());
    }

    #[test]
    fn a_successor_may_be_named_anew_and_is_not_forgotten() {
        let (orders, worker) = (Orders::default(), |id| WorkerId::new(id).unwrap());
        assert_eq!(orders.successor(), None);
        orders.stop(StopReason::Shutdown, at(1), Some(worker("a")));
        orders.stop(StopReason::Shutdown, at(1), None);
        assert_eq!(orders.successor(), Some(worker("a")));
        orders.stop(StopReason::Shutdown, at(1), Some(worker("b")));
        assert_eq!(orders.successor(), Some(worker("b")));
    }

    #[test]
    fn a_task_that_waits_is_woken() {
        let orders = Orders::default();
        let mut task = Box::pin(poll_fn(|context| orders.poll_drop(context)));
        assert!(task.as_mut().now_or_never().is_none());
        orders.drop_run();
        assert!(task.now_or_never().is_some());
    }
}
