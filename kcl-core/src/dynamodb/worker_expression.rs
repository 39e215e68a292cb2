//! Worker rows as requests, in the shape of the KCL's worker metrics.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use super::write::{empty_map, number, text, text_set};
use crate::row_names as a;
use crate::types::{Heartbeat, Incarnation, LeaseKey, Timestamp, WorkerRow};

/// The first heartbeat of a process: the row that was seen is taken over, whoever's it is, but neither one of a process that
/// joined since (`Heartbeat::may_join_over` in DynamoDB's language) nor a row of another kind.
pub(super) fn join(heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> Expression {
    let mut expression = Expression::default();
    expression.require_no_row_or_one_of(a::KEY, a::ENTITY_TYPE, [text(a::TYPE_WORKER)]);
    let own = text(heartbeat.incarnation.as_str());
    match seen.map(|row| row.incarnation.as_ref()) {
        None => expression.require_no_row_or_one_of(a::KEY, a::INCARNATION, [own]),
        Some(Some(seen)) => expression.require_no_row_or_one_of(a::KEY, a::INCARNATION, [text(seen.as_str()), own]),
        // Of a row that is not there, no attribute is.
        Some(None) => expression.require_absent_or_equal(a::INCARNATION, own),
    }
    expression.set(a::ENTITY_TYPE, text(a::TYPE_WORKER));
    expression.set(a::INCARNATION, text(heartbeat.incarnation.as_str()));
    // A Java leader hands leases only to workers whose row has both maps. Empty ones say that nothing is measured, and
    // then it goes by throughput.
    expression.set(a::SAMPLES, empty_map());
    expression.set(a::OPERATING_RANGE, empty_map());
    set_signs_of_life(heartbeat, &mut expression);
    expression
}

/// A later heartbeat.
pub(super) fn heartbeat(heartbeat: &Heartbeat) -> Expression {
    let mut expression = of_incarnation(&heartbeat.incarnation);
    set_signs_of_life(heartbeat, &mut expression);
    if !heartbeat.handled.is_empty() {
        expression.delete(a::INBOX, text_set(&heartbeat.handled));
    }
    expression
}

/// The row is still this process's.
pub(super) fn of_incarnation(incarnation: &Incarnation) -> Expression {
    let mut expression = Expression::default();
    expression.require_equal(a::ENTITY_TYPE, text(a::TYPE_WORKER));
    expression.require_equal(a::INCARNATION, text(incarnation.as_str()));
    expression
}

/// The row is a worker's, and all that moves while a worker lives is as it was seen: `WorkerRow::moved_since` in
/// DynamoDB's language.
pub(super) fn as_silent_as(seen: &WorkerRow) -> Expression {
    let mut expression = Expression::default();
    expression.require_equal(a::ENTITY_TYPE, text(a::TYPE_WORKER));
    expression.require_as_seen(a::INCARNATION, seen.incarnation.as_ref().map(|incarnation| text(incarnation.as_str())));
    expression.require_as_seen(a::HEARTBEAT, seen.heartbeat.map(number));
    expression.require_as_seen(a::UPDATED, seen.updated.map(seconds));
    expression
}

/// A line in the inbox. The conditions keep the write from making a row of its own, which the KCL would read as a lease.
pub(super) fn notify(lease: &LeaseKey) -> Expression {
    let mut expression = Expression::default();
    expression.require_equal(a::ENTITY_TYPE, text(a::TYPE_WORKER));
    expression.require_present(a::IMPLEMENTATION);
    expression.add(a::INBOX, text_set([lease]));
    expression
}

fn set_signs_of_life(heartbeat: &Heartbeat, expression: &mut Expression) {
    expression.set(a::UPDATED, seconds(heartbeat.now));
    expression.set(a::IMPLEMENTATION, text(&heartbeat.implementation));
    expression.set(a::HEARTBEAT, number(heartbeat.count));
    expression.set(a::CAPACITY, number(heartbeat.capacity));
    match heartbeat.max_leases {
        None => expression.remove(a::MAX_LEASES),
        Some(most) => expression.set(a::MAX_LEASES, number(most)),
    }
    match heartbeat.zone.as_deref() {
        None | Some("") => expression.remove(a::ZONE),
        Some(zone) => expression.set(a::ZONE, text(zone)),
    }
}

/// The KCL keeps times of worker rows in whole seconds.
fn seconds(at: Timestamp) -> AttributeValue {
    number(at.as_millis().div_euclid(1000))
}
