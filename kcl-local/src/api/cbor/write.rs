//! Values to bytes.

use serde::ser::{Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer};

use super::{CborError, TIMESTAMP};

/// Writes an answer.
pub(in crate::api) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(256), is_timestamp: false };
    value.serialize(&mut writer).expect("answers hold nothing that CBOR has no form for");
    writer.out
}

/// The kinds of values that have a length or a number.
pub(in crate::api) type Head = u8;
pub(in crate::api) const UNSIGNED: Head = 0;
const NEGATIVE: Head = 1;
pub(in crate::api) const BYTES: Head = 2;
pub(in crate::api) const TEXT: Head = 3;
const ARRAY: Head = 4;
pub(in crate::api) const MAP: Head = 5;

/// Writes the beginning of a value, as short as it can be.
pub(in crate::api) fn head(out: &mut Vec<u8>, kind: Head, number: u64) {
    let kind = kind << 5;
    if number < 24 {
        out.push(kind | number as u8);
    } else if number <= 0xff {
        out.extend([kind | 24, number as u8]);
    } else if number <= 0xffff {
        out.push(kind | 25);
        out.extend_from_slice(&(number as u16).to_be_bytes());
    } else if number <= 0xffff_ffff {
        out.push(kind | 26);
        out.extend_from_slice(&(number as u32).to_be_bytes());
    } else {
        out.push(kind | 27);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

struct Writer {
    out: Vec<u8>,
    /// Whether the next number is a moment in seconds.
    is_timestamp: bool,
}

impl Writer {
    fn begin(&mut self, kind: Head, length: Option<usize>) -> Collection<'_> {
        match length {
            Some(length) => head(&mut self.out, kind, length as u64),
            None => self.out.push((kind << 5) | 31),
        }
        Collection { writer: self, is_open_ended: length.is_none() }
    }

    fn text(&mut self, text: &str) {
        head(&mut self.out, TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }
}

struct Collection<'a> {
    writer: &'a mut Writer,
    is_open_ended: bool,
}

impl Collection<'_> {
    fn finish(self) {
        if self.is_open_ended {
            self.writer.out.push(0xff);
        }
    }
}

type Written = Result<(), CborError>;

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = CborError;
    type SerializeSeq = Collection<'a>;
    type SerializeTuple = Collection<'a>;
    type SerializeTupleStruct = Impossible<(), CborError>;
    type SerializeTupleVariant = Impossible<(), CborError>;
    type SerializeMap = Collection<'a>;
    type SerializeStruct = Collection<'a>;
    type SerializeStructVariant = Impossible<(), CborError>;

    fn serialize_bool(self, value: bool) -> Written {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Written {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Written {
        match u64::try_from(value) {
            Ok(value) => head(&mut self.out, UNSIGNED, value),
            Err(_) => head(&mut self.out, NEGATIVE, !value as u64),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Written {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Written {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Written {
        head(&mut self.out, UNSIGNED, value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Written {
        if std::mem::take(&mut self.is_timestamp) {
            self.out.push(TAG_1);
            return self.serialize_i64((value * 1000.0).round() as i64);
        }
        self.out.push(0xfb);
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Written {
        self.text(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Written {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        head(&mut self.out, BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.out.push(0xf6);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        self.is_timestamp = name == TIMESTAMP;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let collection = self.begin(MAP, Some(1));
        collection.writer.text(variant);
        value.serialize(&mut *collection.writer)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Collection<'a>, CborError> {
        Ok(self.begin(ARRAY, length))
    }

    fn serialize_tuple(self, length: usize) -> Result<Collection<'a>, CborError> {
        Ok(self.begin(ARRAY, Some(length)))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, CborError> {
        Err(CborError(format!("{name} is no structure of the API")))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CborError> {
        Err(CborError(format!("{name} is no structure of the API")))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Collection<'a>, CborError> {
        Ok(self.begin(MAP, length))
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Collection<'a>, CborError> {
        Ok(self.begin(MAP, Some(length)))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, CborError> {
        Err(CborError(format!("{name} is no structure of the API")))
    }
}

impl SerializeSeq for Collection<'_> {
    type Ok = ();
    type Error = CborError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.finish();
        Ok(())
    }
}

impl SerializeTuple for Collection<'_> {
    type Ok = ();
    type Error = CborError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.finish();
        Ok(())
    }
}

impl SerializeMap for Collection<'_> {
    type Ok = ();
    type Error = CborError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        key.serialize(&mut *self.writer)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.finish();
        Ok(())
    }
}

impl SerializeStruct for Collection<'_> {
    type Ok = ();
    type Error = CborError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.writer.text(key);
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.finish();
        Ok(())
    }
}

const TAG_1: u8 = 0xc1;
