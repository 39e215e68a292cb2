//! Bytes to values.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::CborError;

/// Reads one value, which has to be all there is.
pub(in crate::api) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, CborError> {
    let mut reader = Reader { rest: bytes, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(CborError("there are bytes behind the value".into())) }
}

struct Reader<'de> {
    rest: &'de [u8],
    depth: u8,
}

/// The first byte of a value, and the number in or behind it. `None` means a length that is not given.
struct Item {
    major: u8,
    minor: u8,
    number: Option<u64>,
}

impl<'de> Reader<'de> {
    fn take(&mut self, length: u64) -> Result<&'de [u8], CborError> {
        let cut = || CborError("the body ends within a value".into());
        let length = usize::try_from(length).map_err(|_| cut())?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn item(&mut self) -> Result<Item, CborError> {
        let first = self.take(1)?[0];
        let (major, minor) = (first >> 5, first & 0x1f);
        let number = match minor {
            0..=23 => Some(u64::from(minor)),
            24..=27 => {
                let bytes = self.take(1 << (minor - 24))?;
                Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
            }
            31 => None,
            _ => return Err(CborError(format!("byte {first:#04x} begins no value"))),
        };
        Ok(Item { major, minor, number })
    }

    /// Whether the end of a value of unknown length is next; takes it.
    fn at_break(&mut self) -> bool {
        let at_break = self.rest.first() == Some(&0xff);
        if at_break {
            self.rest = &self.rest[1..];
        }
        at_break
    }

    /// The pieces of a string of unknown length.
    fn pieces(&mut self, major: u8) -> Result<Vec<u8>, CborError> {
        let mut whole = Vec::new();
        while !self.at_break() {
            match self.item()? {
                Item { major: of_piece, number: Some(length), .. } if of_piece == major => {
                    whole.extend_from_slice(self.take(length)?);
                }
                _ => return Err(CborError("a piece of a string is of another kind".into())),
            }
        }
        Ok(whole)
    }

    fn string<V: Visitor<'de>>(&mut self, item: &Item, visitor: V) -> Result<V::Value, CborError> {
        let not_text = |_| CborError("a text is not UTF-8".into());
        match (item.major, item.number) {
            (2, Some(length)) => visitor.visit_borrowed_bytes(self.take(length)?),
            (2, None) => visitor.visit_byte_buf(self.pieces(2)?),
            (_, Some(length)) => visitor.visit_borrowed_str(std::str::from_utf8(self.take(length)?).map_err(not_text)?),
            (_, None) => {
                let whole = self.pieces(3)?;
                visitor.visit_str(std::str::from_utf8(&whole).map_err(not_text)?)
            }
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, CborError>) -> Result<T, CborError> {
        if self.depth == MAX_DEPTH {
            return Err(CborError(format!("values are nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn collection<V: Visitor<'de>>(&mut self, item: &Item, visitor: V) -> Result<V::Value, CborError> {
        let left = item.number;
        self.nested(|reader| {
            let mut elements = Elements { reader, left };
            let value =
                if item.major == 4 { visitor.visit_seq(&mut elements) } else { visitor.visit_map(&mut elements) }?;
            // A visitor that stops early must not leave the rest to be taken for something else.
            if elements.left == Some(0) { Ok(value) } else { Err(CborError("a list is longer than it may be".into())) }
        })
    }

    fn tagged<V: Visitor<'de>>(&mut self, tag: Option<u64>, visitor: V) -> Result<V::Value, CborError> {
        if tag != Some(1) {
            return self.nested(|reader| reader.deserialize_any(visitor));
        }
        match self.item()? {
            Item { major: 0, number: Some(millis), .. } => visitor.visit_f64(millis as f64 / 1000.0),
            Item { major: 1, number: Some(millis), .. } => visitor.visit_f64((-1.0 - millis as f64) / 1000.0),
            // RFC 8949 has seconds here, and only a client that follows it sends a fraction.
            Item { major: 7, minor, number: Some(bits) } if minor >= 25 => visitor.visit_f64(float(minor, bits)),
            _ => Err(CborError("a timestamp is no number".into())),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = CborError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        let item = self.item()?;
        match (item.major, item.minor, item.number) {
            (0, _, Some(number)) => visitor.visit_u64(number),
            (1, _, Some(number)) => match i64::try_from(number) {
                Ok(number) => visitor.visit_i64(-1 - number),
                Err(_) => Err(CborError("a number is too small".into())),
            },
            (2 | 3, ..) => self.string(&item, visitor),
            (4 | 5, ..) => self.collection(&item, visitor),
            (6, _, tag) => self.tagged(tag, visitor),
            (7, 20, _) => visitor.visit_bool(false),
            (7, 21, _) => visitor.visit_bool(true),
            (7, 22 | 23, _) => visitor.visit_unit(),
            (7, minor @ 25..=27, Some(bits)) => visitor.visit_f64(float(minor, bits)),
            (major, minor, _) => Err(CborError(format!("major type {major} with {minor} is no value"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        if matches!(self.rest.first(), Some(0xf6 | 0xf7)) {
            self.rest = &self.rest[1..];
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CborError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        // serde would take an array for a structure; the protocol does not.
        match self.rest.first() {
            Some(first) if first >> 5 == 5 => self.deserialize_any(visitor),
            _ => Err(CborError::custom(format!("{name} has to be a map"))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// How many there still are; `None` until the end is found.
    left: Option<u64>,
}

impl Elements<'_, '_> {
    fn has_more(&mut self) -> bool {
        match &mut self.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None if self.reader.at_break() => {
                self.left = Some(0);
                false
            }
            None => true,
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CborError> {
        if self.has_more() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CborError> {
        if self.has_more() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CborError> {
        seed.deserialize(&mut *self.reader)
    }
}

fn float(minor: u8, bits: u64) -> f64 {
    match minor {
        27 => f64::from_bits(bits),
        26 => f64::from(f32::from_bits(bits as u32)),
        _ => half(bits as u16),
    }
}

/// A float of two bytes.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// No request comes near it.
const MAX_DEPTH: u8 = 32;
