//! What a lease row, read because somebody pointed at it, asks of this worker.

use std::time::Duration;

use super::transition::{self, LeaseWrite};
use crate::types::{Lease, WorkerId};

/// What to do about a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// It is none of our business, or all is as it should be.
    Nothing,
    /// It names us: begin a tenure with this write.
    Adopt(LeaseWrite),
    /// We hold it and are asked to hand it over.
    HandOver,
    /// It will be ours once its holder has handed it over: look again soon.
    Wait,
    /// A hand-off is pending that its holder does not complete: it is overdue, or we are that holder and have no tenure.
    Complete(LeaseWrite),
}

/// What the row asks of `me`. `running`: a task of ours works on the shard; `pending`: for how long the hand-off that the row
/// shows has been seen; `overdue`: from when on anybody may complete it.
pub(crate) fn look(row: &Lease, me: &WorkerId, running: bool, pending: Duration, overdue: Duration) -> Look {
    if row.is_ended() {
        return Look::Nothing;
    }
    let complete = || transition::complete_hand_over(row).map_or(Look::Nothing, Look::Complete);
    let names_me = row.owner.as_ref() == Some(me);
    match &row.checkpoint_owner {
        // Nobody would do it before we are found silent: a worker that restarted, or that never adopted the row.
        Some(holder) if holder == me && !running => complete(),
        Some(holder) if holder == me => Look::HandOver,
        Some(_) if names_me && pending > overdue => complete(),
        Some(_) if names_me => Look::Wait,
        None if names_me && !running => Look::Adopt(transition::adopt(row, me)),
        Some(_) | None => Look::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Checkpoint, LeaseKey};

    const OVERDUE: Duration = Duration::from_secs(44);

    fn row(owner: &str, holder: Option<&str>) -> Lease {
        let mut row = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 5);
        row.owner = Some(WorkerId::new(owner).unwrap());
        row.checkpoint_owner = holder.map(|holder| WorkerId::new(holder).unwrap());
        row
    }

    fn seen(row: &Lease, running: bool, pending: u64) -> &'static str {
        match look(row, &WorkerId::new("me").unwrap(), running, Duration::from_secs(pending), OVERDUE) {
            Look::Nothing => "nothing",
            Look::Adopt(_) => "adopt",
            Look::HandOver => "hand over",
            Look::Wait => "wait",
            Look::Complete(write) => {
                assert!(write.condition.holds(row));
                "complete"
            }
        }
    }

    #[test]
    fn a_row_that_names_us_is_adopted_once() {
        assert_eq!(seen(&row("me", None), false, 0), "adopt");
        assert_eq!(seen(&row("me", None), true, 0), "nothing");
        assert_eq!(seen(&row("other", None), false, 0), "nothing");
    }

    #[test]
    fn a_pending_hand_off_to_us_is_waited_for_until_it_is_overdue() {
        assert_eq!(seen(&row("me", Some("a")), false, 44), "wait");
        assert_eq!(seen(&row("me", Some("a")), false, 45), "complete");
        assert_eq!(seen(&row("b", Some("a")), false, 45), "nothing", "the leader's business");
    }

    #[test]
    fn a_holder_hands_over_and_one_without_a_tenure_does_so_at_once() {
        assert_eq!(seen(&row("b", Some("me")), true, 0), "hand over");
        assert_eq!(seen(&row("b", Some("me")), false, 0), "complete");
        assert_eq!(seen(&row("me", Some("me")), false, 0), "complete", "no library writes it, and it must not stay");
    }

    #[test]
    fn what_has_ended_asks_for_nothing() {
        let mut ended = row("me", None);
        ended.checkpoint = Checkpoint::ShardEnd;
        assert_eq!(seen(&ended, false, 0), "nothing");
    }
}
