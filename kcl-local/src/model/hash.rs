//! Where a partition key lands.

use std::fmt;

use md5::{Digest, Md5};

use super::error::ServiceError;

/// A point of the 128-bit hash space that the shards of a stream divide among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HashKey(pub u128);

impl From<HashKey> for String {
    fn from(key: HashKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for HashKey {
    type Error = ServiceError;

    fn try_from(text: String) -> Result<Self, ServiceError> {
        Self::parse("HashKey", &text)
    }
}

impl HashKey {
    /// Where the service puts a record with this partition key: its MD5, read as a number.
    #[must_use]
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
    }

    /// Reads the decimal form that the API uses for the member called `field`.
    ///
    /// # Errors
    /// `InvalidArgumentException` if the text is not a whole number between 0 and 2^128-1 without leading zeros.
    pub fn parse(field: &str, text: &str) -> Result<Self, ServiceError> {
        let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = digits_only && (text == "0" || !text.starts_with('0'));
        canonical.then(|| text.parse().ok().map(Self)).flatten().ok_or_else(|| {
            ServiceError::invalid_argument(format!(
                "Invalid {field}. {field} must be in the range: [0, 2^128-1]. Specified value was {text}"
            ))
        })
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of the hash space; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HashRange {
    /// The first key of the range.
    pub start: HashKey,
    /// The last key of the range.
    pub end: HashKey,
}

impl HashRange {
    /// The whole hash space.
    pub const FULL: Self = Self { start: HashKey(0), end: HashKey(u128::MAX) };

    /// `count` ranges of (almost) the same width that tile the hash space; the last takes what rounding leaves.
    #[must_use]
    pub fn uniform(count: u32) -> Vec<Self> {
        let count = u128::from(count.max(1));
        let width = floor_of_hash_space_divided_by(count);
        (0..count)
            .map(|i| Self {
                start: HashKey(if i == 0 { 0 } else { i * width }),
                end: HashKey(if i + 1 == count { u128::MAX } else { (i + 1) * width - 1 }),
            })
            .collect()
    }

    /// Whether the key lies in this range.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// The two parts left and right of `middle`, which becomes the start of the right one; `None` if either would be
    /// empty.
    #[must_use]
    pub fn split_at(&self, middle: HashKey) -> Option<(Self, Self)> {
        (self.start < middle && middle <= self.end)
            .then(|| (Self { start: self.start, end: HashKey(middle.0 - 1) }, Self { start: middle, end: self.end }))
    }

    /// The middle of the range: where an even split cuts.
    #[must_use]
    pub fn middle(&self) -> HashKey {
        HashKey((self.start.0 + (self.end.0 - self.start.0) / 2).saturating_add(1))
    }

    /// This range and `other` as one, if they are neighbours (in either order).
    #[must_use]
    pub fn joined_with(&self, other: &Self) -> Option<Self> {
        let (low, high) = if self.start <= other.start { (self, other) } else { (other, self) };
        (low.end.0.checked_add(1) == Some(high.start.0)).then_some(Self { start: low.start, end: high.end })
    }
}

fn floor_of_hash_space_divided_by(count: u128) -> u128 {
    if count == 1 {
        // 2^128 itself does not fit; one range never multiplies its width.
        return u128::MAX;
    }
    let exact_one_more = u128::MAX % count == count - 1;
    u128::MAX / count + u128::from(exact_one_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_keys_hash_like_the_service() {
        // The MD5 of "a" is 0cc175b9c0f1b6a831c399e269772661.
        assert_eq!(HashKey::of_partition_key("a"), HashKey(0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661));
    }

    #[test]
    fn uniform_ranges_tile_the_space() {
        for count in [1, 2, 3, 4, 7, 1000, 10_000] {
            let ranges = HashRange::uniform(count);
            assert_eq!(ranges.len(), count as usize);
            assert_eq!(ranges[0].start, HashKey(0));
            assert_eq!(ranges.last().unwrap().end, HashKey(u128::MAX));
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].end.0 + 1, pair[1].start.0);
            }
        }
        assert_eq!(HashRange::uniform(4)[1].start.to_string(), "85070591730234615865843651857942052864");
        assert_eq!(HashRange::uniform(3)[2].start.to_string(), "226854911280625642308916404954512140970");
    }

    #[test]
    fn explicit_hash_keys_outside_the_space_are_refused() {
        assert_eq!(HashKey::parse("ExplicitHashKey", &u128::MAX.to_string()), Ok(HashKey(u128::MAX)));
        for bad in ["", "-1", "00", "1x", "340282366920938463463374607431768211456"] {
            assert!(HashKey::parse("ExplicitHashKey", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn splitting_and_joining_are_inverse() {
        let (low, high) = HashRange::FULL.split_at(HashRange::FULL.middle()).unwrap();
        assert_eq!(high.start, HashKey(1 << 127));
        assert_eq!(high.joined_with(&low), Some(HashRange::FULL));
        assert_eq!(low.split_at(low.start), None);
        assert_eq!(low.joined_with(&low), None);
    }
}
