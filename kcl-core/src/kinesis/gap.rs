//! Whether the record at which reading resumes is still kept.

use crate::ports::DataLoss;
use crate::types::{Position, RecordEntry, SequenceNumber};

/// Looks at the first records after a start at a checkpoint.
///
/// A tenure resumes *at* the record of its checkpoint, so that record comes first, unless it is older than the stream's
/// retention. What else is gone cannot be seen here: whoever reads knows whether the shard was at its tip not long ago.
#[derive(Debug)]
pub(super) struct Resumption {
    at: Option<SequenceNumber>,
}

impl Resumption {
    pub(super) fn new(position: &Position) -> Self {
        let at = match position {
            Position::At(record) => Some(record.sequence.clone()),
            Position::TrimHorizon | Position::AtTime(_) | Position::After(_) => None,
        };
        Resumption { at }
    }

    /// What these records, the next ones, say. A gap is found once.
    pub(super) fn gap(&mut self, records: &[RecordEntry]) -> Option<DataLoss> {
        let first = &records.first()?.sequence;
        let at = self.at.take().filter(|at| at < first)?;
        Some(DataLoss { checkpoint: at, next: first.clone() })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::RecordPosition;

    fn records(numbers: &[u64]) -> Vec<RecordEntry> {
        let record = |n: &u64| RecordEntry::new(n.to_string().parse().unwrap(), "key", Bytes::new());
        numbers.iter().map(record).collect()
    }

    fn resumed_at(number: &str) -> Resumption {
        Resumption::new(&Position::At(RecordPosition { sequence: number.parse().unwrap(), sub: 1 }))
    }

    #[test]
    fn a_checkpoint_whose_record_comes_first_has_no_gap_behind_it() {
        let mut resumption = resumed_at("5");
        assert_eq!(resumption.gap(&[]), None);
        assert_eq!(resumption.gap(&records(&[5, 9])), None);
        assert_eq!(resumption.gap(&records(&[12])), None, "it was there");
    }

    #[test]
    fn a_gap_is_found_once() {
        let mut resumption = resumed_at("5");
        let loss = DataLoss { checkpoint: "5".parse().unwrap(), next: "9".parse().unwrap() };
        assert_eq!(resumption.gap(&[]), None);
        assert_eq!(resumption.gap(&records(&[9, 10])), Some(loss));
        assert_eq!(resumption.gap(&records(&[11])), None);
    }

    #[test]
    fn without_a_checkpoint_nothing_can_be_missing() {
        let positions = [Position::TrimHorizon, Position::After("5".parse().unwrap())];
        for position in positions {
            assert_eq!(Resumption::new(&position).gap(&records(&[9])), None);
        }
    }
}
