//! CBOR as `application/x-amz-cbor-1.1` has it: RFC 8949, but a timestamp is tag 1 with an integer of milliseconds.

mod read;
mod write;

use std::fmt;

pub(super) use read::decode;
pub(super) use write::encode;
pub(in crate::api) use write::{BYTES, Head, MAP, TEXT, UNSIGNED, head};

/// The name by which a serialiser knows that a number is a moment in seconds.
pub(in crate::api) const TIMESTAMP: &str = "Timestamp";

/// What is wrong with a body.
#[derive(Debug)]
pub(super) struct CborError(String);

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CborError {}

impl serde::de::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl serde::ser::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::super::wire::EpochSeconds;
    use super::*;
    use crate::model::Timestamp;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Sample {
        name: String,
        count: i64,
        more: Option<u32>,
        on: bool,
        at: EpochSeconds,
        list: Vec<i32>,
        tags: BTreeMap<String, String>,
    }

    fn sample() -> Sample {
        Sample {
            name: "täg".into(),
            count: -70_000,
            more: None,
            on: true,
            at: EpochSeconds(Timestamp::from_millis(1_790_000_000_123)),
            list: vec![0, 23, 24, 255, 256, 65_536, -1, -24, -25],
            tags: BTreeMap::from([("a".into(), "b".into())]),
        }
    }

    #[test]
    fn values_survive_writing_and_reading() {
        let bytes = encode(&sample());
        assert_eq!(decode::<Sample>(&bytes).unwrap(), sample());
        // Tag 1, and eight bytes of milliseconds.
        let stamp = [&[0xc1, 0x1b][..], &1_790_000_000_123_u64.to_be_bytes()].concat();
        assert!(bytes.windows(stamp.len()).any(|window| window == stamp));
    }

    #[test]
    fn cut_bodies_and_trailing_bytes_are_refused() {
        let bytes = encode(&sample());
        for length in 0..bytes.len() {
            assert!(decode::<Sample>(&bytes[..length]).is_err(), "{length}");
        }
        assert!(decode::<Sample>(&[bytes, vec![0]].concat()).is_err());
        assert!(decode::<Sample>(&[0x80]).is_err(), "an array is no structure");
        assert!(decode::<Sample>(&vec![0x81; 100_000]).is_err(), "no stack overflow");
        assert!(decode::<Vec<u8>>(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn indefinite_lengths_and_other_writers_habits_are_read() {
        #[derive(Deserialize)]
        struct Loose<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
            list: Vec<f64>,
            absent: Option<u8>,
        }
        let mut bytes = vec![0xbf];
        bytes.extend(b"\x64name\x7f\x61a\x62bc\xff");
        bytes.extend(b"\x64list\x9f\xf9\x3c\x00\xfa\x3f\x80\x00\x00\xc1\x19\x03\xe8\xff");
        bytes.extend(b"\x66absent\xf6");
        bytes.extend(b"\x67unknown\xa1\x01\x5f\x41\x00\xff\xff");
        let loose: Loose<'_> = decode(&bytes).unwrap();
        assert_eq!((&*loose.name, loose.absent), ("abc", None));
        assert_eq!(loose.list, [1.0, 1.0, 1.0]);
    }
}
