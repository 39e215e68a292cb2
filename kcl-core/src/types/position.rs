//! Where in a shard: sequence numbers, the position to read from, and the checkpoint that is stored.

use std::cmp::Ordering;
use std::fmt;

use super::Timestamp;

/// The number that the service gave a record: decimal, up to 129 digits, growing within a shard.
///
/// Real ones have 56 digits, more than a `u128` holds, so the text is kept; without leading zeros it orders by length,
/// then by bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Box<str>);

/// A text that is no sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sequence number {0:?} is not valid: it must have 1 to 129 decimal digits and no leading zero")]
pub struct InvalidSequenceNumber(String);

impl SequenceNumber {
    /// Checks the text and wraps it without copying.
    ///
    /// # Errors
    /// [`InvalidSequenceNumber`] if it is not 1 to 129 decimal digits without leading zero.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidSequenceNumber> {
        let text = text.into();
        let bytes = text.as_bytes();
        // Looking at all bytes, and not only up to the first wrong one, lets the compiler look at many at a time.
        let valid = matches!(bytes.len(), 1..=129)
            && bytes.iter().fold(true, |digits, byte| digits & byte.is_ascii_digit())
            && (bytes[0] != b'0' || bytes.len() == 1);
        if valid { Ok(SequenceNumber(text)) } else { Err(InvalidSequenceNumber(text.chars().take(200).collect())) }
    }

    /// The decimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), self.0.as_bytes()).cmp(&(other.0.len(), other.0.as_bytes()))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;
    fn from_str(text: &str) -> Result<Self, InvalidSequenceNumber> {
        SequenceNumber::new(text)
    }
}

/// The position of one user record: its sequence number and, inside an aggregate, its index there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordPosition {
    /// The sequence number of the record as the stream stores it.
    pub sequence: SequenceNumber,
    /// The index inside an aggregated record, 0 for a plain one.
    pub sub: u64,
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            0 => write!(f, "{}", self.sequence),
            sub => write!(f, "{}.{sub}", self.sequence),
        }
    }
}

/// Where reading of a shard begins. There is no "latest": it is pinned to an instant when a lease is created, so that
/// nothing is lost between that moment and the first read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// The oldest record that the stream still holds.
    TrimHorizon,
    /// The first record that arrived at or after this instant.
    AtTime(Timestamp),
    /// Inside an aggregate: the record with this sequence number, from this user record on.
    At(RecordPosition),
    /// The record after the one with this sequence number.
    After(SequenceNumber),
}

/// How far a shard has been processed, as the lease row stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checkpoint {
    /// Nothing processed yet; begin with the oldest record.
    TrimHorizon,
    /// Nothing processed yet; begin with what arrived after the lease was created (see `Lease::start`).
    Latest,
    /// Nothing processed yet; begin at the instant in `Lease::start`.
    AtTimestamp,
    /// Everything up to and including this record is processed.
    At(RecordPosition),
    /// Everything is processed and the shard is closed.
    ShardEnd,
}

impl Checkpoint {
    /// The record up to which all is processed, if there is one.
    pub fn record(&self) -> Option<&RecordPosition> {
        match self {
            Checkpoint::At(position) => Some(position),
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp | Checkpoint::ShardEnd => None,
        }
    }

    /// Whether the shard is processed to its end.
    pub fn is_shard_end(&self) -> bool {
        matches!(self, Checkpoint::ShardEnd)
    }

    fn rank(&self) -> u8 {
        match self {
            Checkpoint::AtTimestamp => 0,
            Checkpoint::TrimHorizon => 1,
            Checkpoint::Latest => 2,
            Checkpoint::At(_) => 3,
            Checkpoint::ShardEnd => 4,
        }
    }
}

impl PartialOrd for Checkpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of the KCL: the starting points, then records, then the end.
impl Ord for Checkpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Checkpoint::At(a), Checkpoint::At(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Checkpoint::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Checkpoint::Latest => f.write_str("LATEST"),
            Checkpoint::AtTimestamp => f.write_str("AT_TIMESTAMP"),
            Checkpoint::At(position) => write!(f, "{position}"),
            Checkpoint::ShardEnd => f.write_str("SHARD_END"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, sub: u64) -> Checkpoint {
        Checkpoint::At(RecordPosition { sequence: text.parse().unwrap(), sub })
    }

    #[test]
    fn sequence_numbers_order_as_numbers() {
        let ordered = ["0", "9", "10", "99", "100", "49680426505810185045732782624289612274056794581097250866"];
        for pair in ordered.windows(2) {
            assert!(pair[0].parse::<SequenceNumber>().unwrap() < pair[1].parse::<SequenceNumber>().unwrap());
        }
    }

    #[test]
    fn texts_that_are_no_sequence_numbers_are_refused() {
        for text in ["", "01", "-1", "1a", "TRIM_HORIZON", &"1".repeat(130)] {
            assert!(SequenceNumber::new(text).is_err(), "{text:?}");
        }
        assert!(SequenceNumber::new("1".repeat(129)).is_ok());
    }

    #[test]
    fn checkpoints_order_from_start_to_end() {
        let ordered = [
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            at("5", 0),
            at("5", 3),
            at("6", 0),
            at("10", 0),
            Checkpoint::ShardEnd,
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }
}
