//! The format in which the Kinesis Producer Library packs many user records into one record of the stream.
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord as protobuf (proto2) | MD5 of the protobuf, 16 bytes
//! ```
//!
//! The format is described in the KPL's repository (`aggregation-format.md`). Reading it by hand needs no allocation per user
//! record, since all parts are ranges of the one buffer.

use std::ops::Range;

use md5::{Digest, Md5};

/// The first bytes of an aggregate.
const MAGIC: &[u8; 4] = &[0xF3, 0x89, 0x9A, 0xC2];
/// The checksum at the end.
const CHECKSUM: usize = 16;

/// Whether the data claims to be an aggregate. A plain record that begins with these four bytes is one in 4 thousand million.
pub(crate) fn is_aggregate(data: &[u8]) -> bool {
    data.starts_with(MAGIC)
}

/// What is wrong with data that begins like an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// Shorter than an aggregate can be.
    #[error("it has {0} bytes, less than an aggregate can have")]
    TooShort(usize),
    /// The content is not what the producer sent.
    #[error("its checksum is wrong")]
    Checksum,
    /// The content is no protobuf message of this kind.
    #[error("its content cannot be read at byte {at}: {problem}")]
    Malformed {
        /// Offset in the record's data.
        at: usize,
        /// What was found there.
        problem: &'static str,
    },
    /// A user record names a key that the aggregate does not have.
    #[error("user record {record} names {what} {index}, but there are {len}")]
    NoSuchKey {
        /// The index of the user record.
        record: usize,
        /// Which table.
        what: &'static str,
        /// What it names.
        index: u64,
        /// How many the table has.
        len: usize,
    },
    /// An explicit hash key is no number below 2^128.
    #[error("explicit hash key {0:?} is not a decimal number below 2^128")]
    HashKey(String),
}

/// A key of one of the two tables, and the hash key that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Where its text stands; it is UTF-8.
    pub(crate) text: Range<usize>,
    pub(crate) hash: u128,
}

/// One user record; ranges are in the record's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) partition_key: usize,
    pub(crate) explicit_hash_key: Option<usize>,
    pub(crate) data: Range<usize>,
}

/// An aggregate whose checksum and content were checked: every index lies within its table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aggregate {
    pub(crate) partition_keys: Vec<Key>,
    pub(crate) explicit_hash_keys: Vec<Key>,
    pub(crate) members: Vec<Member>,
}

impl Aggregate {
    /// Reads the data of one record that [`is_aggregate`].
    pub(crate) fn read(data: &[u8]) -> Result<Self, AggregateError> {
        let Some(end) = data.len().checked_sub(CHECKSUM).filter(|end| *end > MAGIC.len()) else {
            return Err(AggregateError::TooShort(data.len()));
        };
        let content = MAGIC.len()..end;
        if Md5::digest(&data[content.clone()])[..] != data[end..] {
            return Err(AggregateError::Checksum);
        }
        let aggregate = Self::read_content(data, content)?;
        aggregate.check_indices()?;
        Ok(aggregate)
    }

    fn read_content(data: &[u8], content: Range<usize>) -> Result<Self, AggregateError> {
        let mut aggregate = Aggregate::default();
        let mut fields = Fields { data, next: content.start, end: content.end };
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(text)) => {
                    let hash = u128::from_be_bytes(Md5::digest(utf8(data, &text)?.as_bytes()).into());
                    aggregate.partition_keys.push(Key { text, hash });
                }
                (2, Value::Bytes(text)) => {
                    let hash = hash_key(utf8(data, &text)?)?;
                    aggregate.explicit_hash_keys.push(Key { text, hash });
                }
                (3, Value::Bytes(member)) => aggregate.members.push(read_member(data, member)?),
                (1..=3, _) => return Err(fields.malformed("a field of the wrong type")),
                // Fields of later versions.
                _ => {}
            }
        }
        Ok(aggregate)
    }

    fn check_indices(&self) -> Result<(), AggregateError> {
        let (keys, hash_keys) = (self.partition_keys.len(), self.explicit_hash_keys.len());
        for (record, member) in self.members.iter().enumerate() {
            let none = |what, index: usize, len| AggregateError::NoSuchKey { record, what, index: index as u64, len };
            if member.partition_key >= keys {
                return Err(none("partition key", member.partition_key, keys));
            }
            if let Some(index) = member.explicit_hash_key.filter(|index| *index >= hash_keys) {
                return Err(none("explicit hash key", index, hash_keys));
            }
        }
        Ok(())
    }

    /// The hash key by which the stream would have placed this user record.
    pub(crate) fn hash(&self, member: &Member) -> u128 {
        match member.explicit_hash_key {
            Some(index) => self.explicit_hash_keys[index].hash,
            None => self.partition_keys[member.partition_key].hash,
        }
    }
}

fn read_member(data: &[u8], content: Range<usize>) -> Result<Member, AggregateError> {
    let (mut partition_key, mut explicit_hash_key, mut payload) = (None, None, None);
    let at = content.start;
    let mut fields = Fields { data, next: content.start, end: content.end };
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Number(index)) => partition_key = Some(index),
            (2, Value::Number(index)) => explicit_hash_key = Some(index),
            (3, Value::Bytes(bytes)) => payload = Some(bytes),
            (1..=3, _) => return Err(fields.malformed("a field of the wrong type")),
            // Tags, which nobody reads, and fields of later versions.
            _ => {}
        }
    }
    match (partition_key, payload) {
        // An index beyond the address space is beyond its table, too.
        (Some(key), Some(data)) => Ok(Member {
            partition_key: usize::try_from(key).unwrap_or(usize::MAX),
            explicit_hash_key: explicit_hash_key.map(|index| usize::try_from(index).unwrap_or(usize::MAX)),
            data,
        }),
        (None, _) => Err(AggregateError::Malformed { at, problem: "a user record without partition key" }),
        (_, None) => Err(AggregateError::Malformed { at, problem: "a user record without data" }),
    }
}

fn utf8<'a>(data: &'a [u8], range: &Range<usize>) -> Result<&'a str, AggregateError> {
    let malformed = |_| AggregateError::Malformed { at: range.start, problem: "a key that is not UTF-8" };
    std::str::from_utf8(&data[range.clone()]).map_err(malformed)
}

/// Decimal digits only: the parser of the standard library would let a sign pass.
fn hash_key(text: &str) -> Result<u128, AggregateError> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| AggregateError::HashKey(text.chars().take(60).collect()))
}

enum Value {
    Number(u64),
    Bytes(Range<usize>),
    Fixed,
}

/// The fields of one protobuf message.
struct Fields<'a> {
    data: &'a [u8],
    next: usize,
    end: usize,
}

impl Fields<'_> {
    fn malformed(&self, problem: &'static str) -> AggregateError {
        AggregateError::Malformed { at: self.next, problem }
    }

    fn next(&mut self) -> Result<Option<(u64, Value)>, AggregateError> {
        if self.next == self.end {
            return Ok(None);
        }
        let tag = self.varint()?;
        if tag >> 3 == 0 || tag > u64::from(u32::MAX) {
            return Err(self.malformed("a field number out of range"));
        }
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.skip(4)?,
            _ => return Err(self.malformed("an unknown wire type")),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn take(&mut self, len: u64) -> Result<Range<usize>, AggregateError> {
        let left = self.end - self.next;
        let len = usize::try_from(len).ok().filter(|len| *len <= left);
        let Some(len) = len else { return Err(self.malformed("a length beyond the end")) };
        let start = self.next;
        self.next += len;
        Ok(start..self.next)
    }

    fn skip(&mut self, len: u64) -> Result<Value, AggregateError> {
        self.take(len).map(|_| Value::Fixed)
    }

    fn varint(&mut self) -> Result<u64, AggregateError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?;
            let byte = self.data[byte.start];
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number with more than 64 bits"))
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
pub(crate) mod tests;
