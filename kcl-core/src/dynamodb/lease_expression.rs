//! Conditions and changes of leases as requests: [`Condition::holds`] and [`LeaseChange::apply`] in DynamoDB's language.

use super::expression::Expression;
use super::write::{self, number, text, text_set};
use crate::row_names as a;
use crate::types::{Change, Condition, Expect, LeaseChange, OwnerSwitches, PendingCheckpoint, WorkerId};

/// Changes a lease on a condition.
pub(super) fn update(condition: &Condition, change: &LeaseChange) -> Expression {
    let mut expression = on_condition(condition);
    apply(change, &mut expression);
    expression
}

/// A condition alone, as for deleting.
pub(super) fn on_condition(condition: &Condition) -> Expression {
    let mut expression = Expression::default();
    require_lease(&mut expression);
    require(condition, &mut expression);
    expression
}

/// The row exists and is a lease, readable or not.
pub(super) fn exists() -> Expression {
    let mut expression = Expression::default();
    expression.require_present(a::KEY);
    expression.require_absent_or_equal(a::ENTITY_TYPE, text(a::TYPE_LEASE));
    expression
}

/// The row does not exist.
pub(super) fn missing() -> Expression {
    let mut expression = Expression::default();
    expression.require_absent(a::KEY);
    expression
}

/// An UpdateItem creates the row it does not find, and the table holds rows that are no leases: neither may happen. The
/// types are asked for because a row that cannot be read must stay as it is, for whoever repairs it.
fn require_lease(expression: &mut Expression) {
    expression.require_present(a::KEY);
    expression.require_absent_or_equal(a::ENTITY_TYPE, text(a::TYPE_LEASE));
    expression.require_type(a::COUNTER, "N");
    expression.require_type(a::OWNER_SWITCHES, "N");
    expression.require_type(a::CHECKPOINT, "S");
}

fn require(condition: &Condition, expression: &mut Expression) {
    require_worker(&condition.owner, a::OWNER, expression);
    require_worker(&condition.checkpoint_owner, a::CHECKPOINT_OWNER, expression);
    match condition.epoch {
        None => {}
        Some(epoch) if epoch.0 == 0 => expression.require_absent_or_equal(a::EPOCH, number(0)),
        Some(epoch) => expression.require_equal(a::EPOCH, number(epoch)),
    }
    if let Some(counter) = condition.counter {
        expression.require_equal(a::COUNTER, number(counter));
    }
    let (end, _) = write::checkpoint(&crate::types::Checkpoint::ShardEnd);
    match condition.ended {
        None => {}
        Some(true) => expression.require_equal(a::CHECKPOINT, end),
        Some(false) => expression.require_different(a::CHECKPOINT, end),
    }
}

fn require_worker(expected: &Option<Expect<WorkerId>>, attribute: &str, expression: &mut Expression) {
    match expected {
        None => {}
        Some(Expect::Is(worker)) => expression.require_equal(attribute, text(worker.as_str())),
        Some(Expect::Absent) => expression.require_absent(attribute),
    }
}

fn apply(change: &LeaseChange, expression: &mut Expression) {
    change_worker(&change.owner, a::OWNER, expression);
    change_worker(&change.checkpoint_owner, a::CHECKPOINT_OWNER, expression);
    if let Some(counter) = change.counter {
        expression.set(a::COUNTER, number(counter));
        expression.set(a::OWN_COUNTER, number(counter));
    }
    if change.raise_epoch {
        expression.add(a::EPOCH, number(1));
    }
    match change.owner_switches {
        None => {}
        Some(OwnerSwitches::Reset) => expression.set(a::OWNER_SWITCHES, number(0)),
        Some(OwnerSwitches::Increment) => expression.add(a::OWNER_SWITCHES, number(1)),
    }
    if let Some(checkpoint) = &change.checkpoint {
        let (position, sub) = write::checkpoint(checkpoint);
        expression.set(a::CHECKPOINT, position);
        expression.set(a::CHECKPOINT_SUB, sub);
    }
    change_pending(&change.pending, expression);
    if let Some(children) = &change.children {
        expression.set_or_remove(a::CHILDREN, (!children.is_empty()).then(|| text_set(children)));
    }
    if let Some(range) = change.hash_range {
        expression.set(a::HASH_START, text(range.start().to_string()));
        expression.set(a::HASH_END, text(range.end().to_string()));
    }
    if let Some(throughput) = change.throughput {
        expression.set(a::THROUGHPUT, write::throughput(throughput));
    }
    if let Some(start) = change.start {
        expression.set(a::START, number(start.as_millis()));
    }
    if let Some(worker) = &change.last_owner {
        expression.set(a::LAST_OWNER, text(worker.as_str()));
    }
    if let Some(tip) = change.tip {
        expression.set(a::TIP, number(tip.as_millis()));
    }
}

fn change_worker(change: &Change<WorkerId>, attribute: &str, expression: &mut Expression) {
    match change {
        Change::Keep => {}
        Change::Set(worker) => expression.set(attribute, text(worker.as_str())),
        Change::Remove => expression.remove(attribute),
    }
}

fn change_pending(change: &Change<PendingCheckpoint>, expression: &mut Expression) {
    match change {
        Change::Keep => {}
        Change::Set(pending) => {
            let (position, sub, state) = write::pending(pending);
            expression.set(a::PENDING, position);
            expression.set(a::PENDING_SUB, sub);
            expression.set_or_remove(a::PENDING_STATE, state);
        }
        Change::Remove => {
            expression.remove(a::PENDING);
            expression.remove(a::PENDING_SUB);
            expression.remove(a::PENDING_STATE);
        }
    }
}
