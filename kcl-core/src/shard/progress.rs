//! The ledger of a shard: what was delivered, what is completed, and up to where all is done.

use std::collections::VecDeque;

use crate::types::RecordPosition;

/// Names one delivery; deliveries are numbered in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeliveryId(u64);

#[derive(Debug, Clone)]
struct Delivery {
    id: DeliveryId,
    last: RecordPosition,
    /// The part of it that is completed, counted from its beginning.
    through: Option<RecordPosition>,
    complete: bool,
}

/// Deliveries in sequence order, completed in any order. Only the position below which everything is done may be stored:
/// a checkpoint never overtakes work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    safe: Option<RecordPosition>,
    open: VecDeque<Delivery>,
    next: u64,
}

impl Progress {
    /// The highest position below which everything is completed.
    pub(crate) fn safe(&self) -> Option<&RecordPosition> {
        self.safe.as_ref()
    }

    /// Whether everything that was handed out is completed.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Records up to `last` are handed out. They follow everything that was handed out before.
    pub(crate) fn deliver(&mut self, last: RecordPosition) -> DeliveryId {
        let before = self.open.back().map(|delivery| &delivery.last).or(self.safe.as_ref());
        assert!(before.is_none_or(|before| *before < last), "deliveries must follow each other in sequence order");
        let id = DeliveryId(self.next);
        self.next += 1;
        self.open.push_back(Delivery { id, last, through: None, complete: false });
        id
    }

    /// All records of a delivery are completed.
    pub(crate) fn complete(&mut self, id: DeliveryId) {
        self.find(id).complete = true;
        self.settle();
    }

    /// The records of a delivery up to and including `position` are completed, the rest is not.
    pub(crate) fn complete_through(&mut self, id: DeliveryId, position: RecordPosition) {
        let delivery = self.find(id);
        if position >= delivery.last {
            delivery.complete = true;
        } else if delivery.through.as_ref().is_none_or(|before| *before < position) {
            delivery.through = Some(position);
        }
        self.settle();
    }

    fn find(&mut self, id: DeliveryId) -> &mut Delivery {
        let found = self.open.iter_mut().find(|delivery| delivery.id == id);
        found.expect("only what was delivered and is not settled can be completed")
    }

    fn settle(&mut self) {
        while let Some(front) = self.open.front() {
            if !front.complete {
                if let Some(through) = front.through.clone() {
                    self.safe = Some(through);
                }
                return;
            }
            self.safe = self.open.pop_front().map(|done| done.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(number: u64) -> RecordPosition {
        RecordPosition { sequence: number.to_string().parse().unwrap(), sub: 0 }
    }

    #[test]
    fn a_partly_completed_delivery_advances_to_its_completed_part() {
        let mut progress = Progress::default();
        let before = progress.deliver(at(10));
        progress.complete(before);
        let first = progress.deliver(at(20));
        let second = progress.deliver(at(30));
        progress.complete(second);
        assert_eq!(progress.safe(), Some(&at(10)), "the second does not count before the first");
        progress.complete_through(first, at(15));
        assert_eq!(progress.safe(), Some(&at(15)));
        progress.complete_through(first, at(12));
        assert_eq!(progress.safe(), Some(&at(15)), "what is completed stays completed");
        progress.complete(first);
        assert_eq!(progress.safe(), Some(&at(30)));
    }

    #[test]
    #[should_panic(expected = "sequence order")]
    fn a_delivery_out_of_order_is_a_defect() {
        let mut progress = Progress::default();
        progress.deliver(at(20));
        progress.deliver(at(10));
    }

    proptest! {
        #[test]
        fn the_safe_position_is_the_last_before_the_first_gap(order in Just((0u64..20).collect::<Vec<_>>()).prop_shuffle(), upto in 0usize..20) {
            let mut progress = Progress::default();
            let ids: Vec<_> = (0..20).map(|n| progress.deliver(at(n + 1))).collect();
            let done = &order[..upto];
            for index in done {
                progress.complete(ids[*index as usize]);
            }
            let gap = (0..20).find(|n| !done.contains(n)).unwrap_or(20);
            prop_assert_eq!(progress.safe().cloned(), (gap > 0).then(|| at(gap)));
        }
    }
}
