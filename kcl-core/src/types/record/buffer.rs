//! What the records of a batch share.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::RecordEntry;
use crate::types::{BytePermit, RecordPosition, SequenceNumber};

/// The records of one response as the source delivered them.
pub(super) struct Delivered {
    pub(super) entries: Vec<RecordEntry>,
    /// One of them may be an aggregate, which is easily seen while the data is at hand.
    pub(super) aggregates: bool,
    /// Comes back when the last record of the buffer is gone.
    pub(super) permit: Option<BytePermit>,
}

/// One user record of a batch whose aggregates are open: a small entry that points into what was delivered.
#[derive(Debug)]
pub(super) struct UserEntry {
    /// The record it came in.
    pub(super) carrier: u32,
    /// Its index there; 0 for a plain one.
    pub(super) sub: u32,
    pub(super) data: Bytes,
    /// Where its keys stand in the carrier's data; absent for a plain record, which has them itself.
    pub(super) keys: Option<Keys>,
}

/// Where the keys of a user record stand in the data of its carrier. They were checked to be UTF-8.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) partition: (u32, u32),
    pub(super) explicit_hash: Option<(u32, u32)>,
}

/// User records over delivered ones.
pub(super) struct Opened {
    pub(super) users: Box<[UserEntry]>,
    /// The last of the records that were opened, whether it is among the users or was dropped.
    pub(super) through: RecordPosition,
    /// The entries above; only its drop matters.
    pub(super) _permit: Option<BytePermit>,
}

/// What the records of a batch share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Buffer {
    pub(super) delivered: Arc<Delivered>,
    /// Present once aggregates are open.
    pub(super) opened: Option<Arc<Opened>>,
}

impl Buffer {
    #[inline]
    fn user(&self, index: usize) -> Option<&UserEntry> {
        self.opened.as_ref().map(|opened| &opened.users[index])
    }

    /// The record in which this one was delivered: itself, if it is a plain one.
    pub(super) fn carrier(&self, index: usize) -> &RecordEntry {
        let index = self.user(index).map_or(index, |user| user.carrier as usize);
        &self.delivered.entries[index]
    }

    #[inline]
    pub(super) fn data(&self, index: usize) -> &Bytes {
        self.user(index).map_or_else(|| &self.delivered.entries[index].data, |user| &user.data)
    }

    pub(super) fn sub(&self, index: usize) -> u64 {
        let entry = self.carrier(index);
        self.user(index).filter(|user| user.keys.is_some()).map_or(entry.sub, |user| u64::from(user.sub))
    }

    pub(super) fn is_aggregated(&self, index: usize) -> bool {
        self.keys(index).is_some() || self.carrier(index).aggregated
    }

    pub(super) fn partition_key(&self, index: usize) -> &str {
        let entry = self.carrier(index);
        self.keys(index).map_or(&*entry.partition_key, |keys| text(&entry.data, keys.partition))
    }

    pub(super) fn explicit_hash_key(&self, index: usize) -> Option<&str> {
        let entry = self.carrier(index);
        match self.keys(index) {
            Some(keys) => keys.explicit_hash.map(|range| text(&entry.data, range)),
            None => entry.explicit_hash_key.as_deref(),
        }
    }

    fn keys(&self, index: usize) -> Option<Keys> {
        self.user(index).and_then(|user| user.keys)
    }

    /// Sequence and sub-sequence number, to compare without copying.
    pub(super) fn order(&self, index: usize) -> (&SequenceNumber, u64) {
        (&self.carrier(index).sequence, self.sub(index))
    }

    pub(super) fn position(&self, index: usize) -> RecordPosition {
        let (sequence, sub) = self.order(index);
        RecordPosition { sequence: sequence.clone(), sub }
    }

    /// The first of the records in `range` that lies above `position`.
    pub(super) fn first_after(&self, range: Range<usize>, position: &RecordPosition) -> usize {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.order(middle) <= (&position.sequence, position.sub) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

fn text(data: &[u8], (start, end): (u32, u32)) -> &str {
    // Checked when the aggregate was opened; checking again costs less than keeping a copy.
    std::str::from_utf8(&data[start as usize..end as usize]).unwrap_or_default()
}
