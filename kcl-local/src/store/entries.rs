//! The records of one call, as one value of the database.

use bytes::Bytes;

use super::Append;
use crate::model::{Payload, ShardId, Timestamp};

/// One after the other: shard, ordinal, arrival, flags, length of the key, length of all, key and data.
pub(super) fn encode(appends: &[Append]) -> Vec<u8> {
    let size = appends.iter().map(|append| append.payload.size() + HEADER).sum();
    let mut out = Vec::with_capacity(size);
    for append in appends {
        let key = append.payload.partition_key();
        let data = append.payload.data_bytes();
        out.extend_from_slice(&append.shard.0.to_le_bytes());
        out.extend_from_slice(&append.ordinal.to_le_bytes());
        out.extend_from_slice(&append.arrival.as_millis().to_le_bytes());
        out.push(u8::from(append.encrypted));
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(append.payload.size() as u32).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(data);
    }
    out
}

/// Reads them back, sharing the buffer; `None` if that is not what it holds.
pub(super) fn decode(bytes: Bytes) -> Option<Vec<Append>> {
    let mut rest = bytes;
    let mut appends = Vec::new();
    while !rest.is_empty() {
        if rest.len() < HEADER {
            return None;
        }
        let header = rest.split_to(HEADER);
        let shard = ShardId(u32::from_le_bytes(header[0..4].try_into().ok()?));
        let ordinal = u64::from_le_bytes(header[4..12].try_into().ok()?);
        let arrival = Timestamp::from_millis(u64::from_le_bytes(header[12..20].try_into().ok()?));
        let encrypted = header[20] != 0;
        let key_length = u32::from_le_bytes(header[21..25].try_into().ok()?);
        let size = u32::from_le_bytes(header[25..29].try_into().ok()?) as usize;
        if rest.len() < size {
            return None;
        }
        let payload = Payload::from_parts(rest.split_to(size), key_length)?;
        appends.push(Append { shard, ordinal, arrival, encrypted, payload });
    }
    Some(appends)
}

const HEADER: usize = 29;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_writing_and_reading() {
        let append = |shard, key: &str, data: &[u8]| Append {
            shard: ShardId(shard),
            ordinal: 7,
            arrival: Timestamp::from_millis(9),
            encrypted: shard == 1,
            payload: Payload::new(key, data),
        };
        let appends = vec![append(0, "ä", b"\0\xff"), append(1, "k", b"")];
        let bytes = encode(&appends);
        assert_eq!(decode(bytes.clone().into()), Some(appends));
        for length in 1..bytes.len() {
            let cut = decode(Bytes::copy_from_slice(&bytes[..length]));
            assert!(cut.is_none_or(|appends| appends.len() < 2));
        }
    }
}
