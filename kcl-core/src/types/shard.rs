//! A shard as the stream lists it.

use std::fmt;

use super::{SequenceNumber, ShardId};

/// A range of the 128-bit hash space, both ends included; the start lies below the end.
///
/// Kept as bytes, which order as the numbers do: numbers of 128 bits leave gaps of 15 bytes in everything that has a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HashRange {
    start: [u8; 16],
    end: [u8; 16],
}

impl HashRange {
    /// The whole hash space.
    pub const ALL: HashRange = HashRange { start: [0; 16], end: [u8::MAX; 16] };

    /// A range from `start` to `end`, both included; `None` unless `start < end`, the rule of the KCL for lease rows.
    pub fn new(start: u128, end: u128) -> Option<Self> {
        (start < end).then_some(HashRange { start: start.to_be_bytes(), end: end.to_be_bytes() })
    }

    /// The first hash key.
    pub fn start(&self) -> u128 {
        u128::from_be_bytes(self.start)
    }

    /// The last hash key.
    pub fn end(&self) -> u128 {
        u128::from_be_bytes(self.end)
    }
}

impl fmt::Debug for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start(), self.end())
    }
}

/// A shard in a listing of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// The id within the stream.
    pub id: ShardId,
    /// The shard it was split from, or one of the two it was merged from.
    pub parent: Option<ShardId>,
    /// The other shard it was merged from.
    pub adjacent_parent: Option<ShardId>,
    /// The hash keys it takes; absent for sources without hash ranges.
    pub hash_range: Option<HashRange>,
    /// Where its numbering starts.
    pub starting_sequence: Option<SequenceNumber>,
    /// Where its numbering ends: present once the shard is closed.
    pub ending_sequence: Option<SequenceNumber>,
}

impl Shard {
    /// An open shard without parents.
    pub fn open(id: ShardId, hash_range: Option<HashRange>) -> Self {
        Shard { id, parent: None, adjacent_parent: None, hash_range, starting_sequence: None, ending_sequence: None }
    }

    /// The one or two shards it came from.
    pub fn parents(&self) -> impl Iterator<Item = &ShardId> {
        self.parent.iter().chain(self.adjacent_parent.iter())
    }

    /// Whether it takes no more records.
    pub fn is_closed(&self) -> bool {
        self.ending_sequence.is_some()
    }
}

/// A child named in the last response of a closed shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildShard {
    /// The child's id.
    pub id: ShardId,
    /// All of its parents, one after a split and two after a merge.
    pub parents: Vec<ShardId>,
    /// The hash keys it takes.
    pub hash_range: Option<HashRange>,
}

impl ChildShard {
    /// A child and its parents.
    pub fn new(id: ShardId, parents: Vec<ShardId>, hash_range: Option<HashRange>) -> Self {
        ChildShard { id, parents, hash_range }
    }
}

/// What the source saw at the end of a shard.
///
/// An end without children is no proof that everything was read: the runtime then looks for the closed shard in a fresh
/// listing before it believes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardEnd {
    /// The children that the response named; empty if the source does not tell.
    pub children: Vec<ChildShard>,
}

impl ShardEnd {
    /// An end with the children that the response named.
    pub fn with_children(children: Vec<ChildShard>) -> Self {
        ShardEnd { children }
    }
}
