//! Sequence numbers like the service's.

use std::cmp::Ordering;
use std::fmt;

/// A sequence number: 186 bits, written as 56 decimal digits that begin with 49.
///
/// The number is made of parts, the most significant first, as in the service's own numbers:
///
/// | bits | part |
/// |---|---|
/// | 184-187 | always 2 |
/// | 148-183 | second in which the shard was created |
/// | 144-147 | lowest digit of the shard's index |
/// | 80-143 | ordinal of the record within its shard |
/// | 36-71 | second in which the record arrived |
/// | 4-35 | index of the shard |
/// | 0-3 | version, always 2 |
///
/// Order within a shard comes from the ordinal alone, so a clock that goes back cannot disturb it. Order from parent
/// to child comes from the second of creation, which a reshard raises above that of every parent, also when both
/// happen in the same second.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber {
    high: u64,
    low: u128,
}

/// What a sequence number is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceParts {
    /// Second in which the shard was created.
    pub shard_created: u64,
    /// Index of the shard, the number in its id.
    pub shard_index: u32,
    /// Ordinal of the record within the shard; 0 is the shard's start, before its first record.
    pub ordinal: u64,
    /// Second in which the record arrived.
    pub arrival: u64,
}

impl SequenceNumber {
    /// The number made of these parts.
    #[must_use]
    pub fn from_parts(parts: SequenceParts) -> Self {
        let index = parts.shard_index;
        let high = (LEADING << 56)
            | ((parts.shard_created & SECONDS_MASK) << 20)
            | (u64::from(index & 0xf) << 16)
            | (parts.ordinal >> 48);
        let low = (u128::from(parts.ordinal & 0xffff_ffff_ffff) << 80)
            | (u128::from(parts.arrival & SECONDS_MASK) << 36)
            | (u128::from(index) << 4)
            | VERSION;
        Self { high, low }
    }

    /// The parts, or `None` if this is a number that no shard of this model gives out.
    #[must_use]
    pub fn parts(self) -> Option<SequenceParts> {
        let shard_index = ((self.low >> 4) & 0xffff_ffff) as u32;
        let parts = SequenceParts {
            shard_created: (self.high >> 20) & SECONDS_MASK,
            shard_index,
            ordinal: ((self.high & 0xffff) << 48) | ((self.low >> 80) as u64),
            arrival: ((self.low >> 36) as u64) & SECONDS_MASK,
        };
        (Self::from_parts(parts) == self).then_some(parts)
    }

    /// Reads the decimal form; `None` if it is not a number or does not fit into 192 bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut limbs = [0_u64; 3];
        for byte in text.bytes() {
            let mut carry = u128::from(byte.is_ascii_digit().then(|| byte - b'0')?);
            for limb in &mut limbs {
                let value = u128::from(*limb) * 10 + carry;
                *limb = value as u64;
                carry = value >> 64;
            }
            if carry != 0 {
                return None;
            }
        }
        Some(Self { high: limbs[2], low: (u128::from(limbs[1]) << 64) | u128::from(limbs[0]) })
    }

    /// The decimal digits, right-aligned in a buffer of this many bytes, and where they begin.
    fn digits(self) -> ([u8; MAX_DIGITS], usize) {
        let mut limbs = [self.high, (self.low >> 64) as u64, self.low as u64];
        let mut buffer = [b'0'; MAX_DIGITS];
        let mut end = MAX_DIGITS;
        // Nineteen digits at a time: the largest power of ten that a machine word holds.
        while end > 0 {
            let mut chunk = divide(&mut limbs, TEN_TO_19);
            let start = end.saturating_sub(19);
            for digit in buffer[start..end].iter_mut().rev() {
                *digit = b'0' + (chunk % 10) as u8;
                chunk /= 10;
            }
            end = start;
        }
        let start = buffer.iter().position(|&digit| digit != b'0').unwrap_or(MAX_DIGITS - 1);
        (buffer, start)
    }

    /// Appends the decimal form to `out`.
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        let (digits, start) = self.digits();
        out.extend_from_slice(&digits[start..]);
    }
}

/// Divides the number in place and returns the remainder; the most significant limb comes first.
fn divide(limbs: &mut [u64; 3], divisor: u64) -> u64 {
    let mut remainder = 0_u128;
    for limb in limbs {
        let value = (remainder << 64) | u128::from(*limb);
        *limb = (value / u128::from(divisor)) as u64;
        remainder = value % u128::from(divisor);
    }
    remainder as u64
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.high, self.low).cmp(&(other.high, other.low))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, start) = self.digits();
        digits[start..].iter().try_for_each(|&digit| fmt::Write::write_char(f, char::from(digit)))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceNumber({self})")
    }
}

/// The ordinal that ends a closed shard: above every record it can hold.
pub(crate) const LAST_ORDINAL: u64 = 0x7fff_ffff_ffff_ffff;

const LEADING: u64 = 2;
const VERSION: u128 = 2;
const SECONDS_MASK: u64 = (1 << 36) - 1;
/// 192 bits are at most 58 decimal digits.
const MAX_DIGITS: usize = 58;
const TEN_TO_19: u64 = 10_000_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts() -> impl Strategy<Value = SequenceParts> {
        (0..2_600_000_000_u64, any::<u32>(), 0..=LAST_ORDINAL, 0..SECONDS_MASK).prop_map(
            |(shard_created, shard_index, ordinal, arrival)| SequenceParts {
                shard_created,
                shard_index,
                ordinal,
                arrival,
            },
        )
    }

    proptest! {
        #[test]
        fn numbers_survive_writing_and_reading(parts in parts()) {
            let number = SequenceNumber::from_parts(parts);
            let text = number.to_string();
            prop_assert_eq!(text.len(), 56);
            prop_assert!(text.starts_with("49"));
            prop_assert_eq!(SequenceNumber::parse(&text), Some(number));
            prop_assert_eq!(number.parts(), Some(parts));
        }

        #[test]
        fn order_is_that_of_the_decimal_text(a in parts(), b in parts()) {
            let (a, b) = (SequenceNumber::from_parts(a), SequenceNumber::from_parts(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn foreign_numbers_have_no_parts() {
        assert_eq!(SequenceNumber::parse("0").unwrap().parts(), None);
        assert_eq!(SequenceNumber::parse("0").unwrap().to_string(), "0");
        assert_eq!(SequenceNumber::parse("12a"), None);
        assert_eq!(SequenceNumber::parse(""), None);
        assert_eq!(SequenceNumber::parse(&"9".repeat(129)), None);
    }
}
