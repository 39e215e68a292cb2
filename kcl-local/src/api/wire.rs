//! Values as they stand in bodies.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::cbor::TIMESTAMP;
use crate::model::{HashRange, ServiceError, ShardDescription, Timestamp};

/// A string that is borrowed from the body unless it holds escapes. Unlike a bare `Cow` it also borrows inside an
/// `Option`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Data of a record: base64 in JSON, as it is in CBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blob<'a> {
    Base64(Cow<'a, str>),
    Raw(Cow<'a, [u8]>),
}

impl Blob<'_> {
    /// How much room the data takes at most.
    pub(super) fn size_hint(&self) -> usize {
        match self {
            Self::Base64(text) => text.len() / 4 * 3 + 3,
            Self::Raw(bytes) => bytes.len(),
        }
    }

    /// Appends the data to `out`; `None` if it is not base64.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Base64(text) => base64_simd::STANDARD.decode_append(text.as_bytes(), out).ok(),
            Self::Raw(bytes) => {
                out.extend_from_slice(bytes);
                Some(())
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Blob::Base64(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Blob::Base64(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Blob::Raw(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Blob::Raw(Cow::Owned(bytes.to_vec())))
            }
        }
        // In JSON a blob is a string. CBOR says itself what it has.
        deserializer.deserialize_str(BlobVisitor)
    }
}

/// A moment in seconds since the epoch, with milliseconds as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EpochSeconds(pub(super) Timestamp);

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // Rounded, because 0.123 has no exact binary form and may stand a little below itself.
        let millis = (seconds * 1000.0).round();
        Ok(Self(Timestamp::from_millis(millis.max(0.0) as u64)))
    }
}

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TIMESTAMP, &(self.0.as_millis() as f64 / 1000.0))
    }
}

/// Serialises what has a textual form as a string.
pub(super) fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// An answer without content: the service sends an empty object.
#[derive(Debug, Serialize)]
pub(super) struct Empty {}

/// A shard in `ListShards` and `DescribeStream`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardWire {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashRangeWire,
    sequence_number_range: SequenceRangeWire,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceRangeWire {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

impl From<&ShardDescription> for ShardWire {
    fn from(shard: &ShardDescription) -> Self {
        Self {
            shard_id: shard.id.to_string(),
            parent_shard_id: shard.parent.map(|id| id.to_string()),
            adjacent_parent_shard_id: shard.adjacent_parent.map(|id| id.to_string()),
            hash_key_range: shard.hash_range.into(),
            sequence_number_range: SequenceRangeWire {
                starting_sequence_number: shard.starting_sequence_number.to_string(),
                ending_sequence_number: shard.ending_sequence_number.map(|number| number.to_string()),
            },
        }
    }
}

/// A range of hash keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HashRangeWire {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl From<HashRange> for HashRangeWire {
    fn from(range: HashRange) -> Self {
        Self { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
    }
}

/// How a stream gets its capacity.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeWire {
    pub(super) stream_mode: Cow<'static, str>,
}

/// What every request that names a stream can carry.
pub(super) type StreamRef = (Option<String>, Option<String>);

/// The shorthand for handlers.
pub(super) type Handled<T> = Result<T, ServiceError>;
