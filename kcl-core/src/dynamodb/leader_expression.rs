//! The leader lock as a request, in the shape that Java's lock client reads, waits for and takes over.

use super::expression::Expression;
use super::write::{number, text};
use crate::row_names as a;
use crate::types::{Expect, LeaderRow};

/// Writes the whole lock if its version is the expected one. What the lock client calls on without a question (owner,
/// duration, version) is always there and always a text.
///
/// An UpdateItem that names its attributes, where the lock client puts a whole item: so what nobody here knows survives, and
/// the answer brings the row. `isReleased` has to be removed then, since the lock client takes a row that has it.
pub(super) fn write(expected: &Expect<String>, row: &LeaderRow) -> Expression {
    let mut expression = Expression::default();
    match expected {
        Expect::Absent => expression.require_absent(a::KEY),
        Expect::Is(version) => require_readable(version, &mut expression),
    }
    expression.set(a::ENTITY_TYPE, text(a::TYPE_LEADER));
    expression.set(a::LEADER_OWNER, text(row.owner.as_str()));
    expression.set(a::LEADER_DURATION, text(row.lease_duration.as_millis().to_string()));
    expression.set(a::LEADER_VERSION, text(&row.version));
    expression.set_or_remove(a::LEADER_RELEASED, row.released.then(|| text(a::RELEASED)));
    expression.set_or_remove(a::LEADER_CYCLE, row.cycle.map(number));
    expression.set_or_remove(a::LEADER_STANDBY, row.standby.as_ref().map(|standby| text(standby.as_str())));
    expression
}

/// A row that cannot be read must stay as it is, for whoever repairs it. Rows of KCL 3.4 and before have no `entityType`.
fn require_readable(version: &str, expression: &mut Expression) {
    expression.require_equal(a::LEADER_VERSION, text(version));
    expression.require_absent_or_equal(a::ENTITY_TYPE, text(a::TYPE_LEADER));
    expression.require_type(a::LEADER_OWNER, "S");
    expression.require_type(a::LEADER_DURATION, "S");
    expression.require_absent_or_equal(a::LEADER_RELEASED, text(a::RELEASED));
}
