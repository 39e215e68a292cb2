//! From documents to values.

use std::time::Duration;

use bytes::Bytes;

use super::document::Document;
use crate::row_names as a;
use crate::types::{
    Checkpoint, Epoch, HashRange, Incarnation, LeaderRow, Lease, LeaseKey, MultiStream, PendingCheckpoint,
    RecordPosition, Row, RowProblem, SequenceNumber, ShardId, Throughput, Timestamp, WorkerId, WorkerRow,
};

/// Any row.
pub(super) fn row(document: &Document<'_>) -> Result<Row, RowProblem> {
    Ok(match kind(document)? {
        a::TYPE_LEASE => Row::Lease(Box::new(lease_from(document)?)),
        a::TYPE_WORKER => Row::Worker(Box::new(worker_from(document)?)),
        a::TYPE_LEADER => Row::Leader(leader_from(document)?),
        other => Row::Other { key: document.key().to_owned(), entity_type: other.to_owned() },
    })
}

/// A row that must be a lease.
pub(super) fn lease(document: &Document<'_>) -> Result<Lease, RowProblem> {
    must_be(document, a::TYPE_LEASE)?;
    lease_from(document)
}

/// A row that must be a worker's.
pub(super) fn worker(document: &Document<'_>) -> Result<WorkerRow, RowProblem> {
    must_be(document, a::TYPE_WORKER)?;
    worker_from(document)
}

/// A row that must be the leader lock.
pub(super) fn leader(document: &Document<'_>) -> Result<LeaderRow, RowProblem> {
    must_be(document, a::TYPE_LEADER)?;
    leader_from(document)
}

fn kind<'d>(document: &'d Document<'_>) -> Result<&'d str, RowProblem> {
    Ok(document.text(a::ENTITY_TYPE)?.unwrap_or(a::TYPE_LEASE))
}

fn must_be(document: &Document<'_>, expected: &str) -> Result<(), RowProblem> {
    match kind(document)? {
        kind if kind == expected => Ok(()),
        other => Err(document.problem(a::ENTITY_TYPE, format!("{other:?} where {expected:?} was expected"))),
    }
}

fn lease_from(document: &Document<'_>) -> Result<Lease, RowProblem> {
    let key = LeaseKey::new(document.key()).map_err(|error| document.problem(a::KEY, error.to_string()))?;
    let counter = document.required(a::COUNTER, document.count(a::COUNTER)?)?;
    let checkpoint = checkpoint(document, a::CHECKPOINT, a::CHECKPOINT_SUB)?;
    let mut lease = Lease::unowned(key, document.required(a::CHECKPOINT, checkpoint)?, counter);
    lease.owner = document.parsed(a::OWNER, WorkerId::new)?;
    lease.checkpoint_owner = document.parsed(a::CHECKPOINT_OWNER, WorkerId::new)?;
    lease.owner_switches = document.required(a::OWNER_SWITCHES, document.count(a::OWNER_SWITCHES)?)?;
    lease.pending = pending(document)?.map(Box::new);
    lease.parents = document.parsed_set(a::PARENTS, ShardId::new)?;
    lease.children = document.parsed_set(a::CHILDREN, ShardId::new)?;
    lease.hash_range = hash_range(document)?;
    lease.throughput = document.amount(a::THROUGHPUT)?.map(Throughput);
    lease.multi_stream = multi_stream(document)?.map(Box::new);
    lease.typed = document.text(a::ENTITY_TYPE)?.is_some();
    lease.epoch = document.count(a::EPOCH)?.map(Epoch);
    lease.own_counter = document.count(a::OWN_COUNTER)?;
    lease.start = document.whole(a::START)?.map(Timestamp::from_millis);
    lease.last_owner = document.parsed(a::LAST_OWNER, WorkerId::new)?;
    lease.stream_created = document.whole(a::STREAM_CREATED)?.map(Timestamp::from_seconds);
    lease.tip = document.whole(a::TIP)?.map(Timestamp::from_millis);
    Ok(lease)
}

fn checkpoint(document: &Document<'_>, name: &str, sub_name: &str) -> Result<Option<Checkpoint>, RowProblem> {
    let sub = document.count(sub_name)?;
    let Some(text) = document.text(name)? else {
        return match sub {
            None => Ok(None),
            Some(_) => Err(document.problem(sub_name, format!("it is there without {name:?}"))),
        };
    };
    let sentinel = match text {
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "SHARD_END" => Checkpoint::ShardEnd,
        number => {
            let sequence = SequenceNumber::new(number).map_err(|error| document.problem(name, error.to_string()))?;
            return Ok(Some(Checkpoint::At(RecordPosition { sequence, sub: sub.unwrap_or(0) })));
        }
    };
    match sub {
        None | Some(0) => Ok(Some(sentinel)),
        Some(sub) => Err(document.problem(sub_name, format!("it is {sub}, but must be 0 beside {text}"))),
    }
}

fn pending(document: &Document<'_>) -> Result<Option<PendingCheckpoint>, RowProblem> {
    let state = document.parsed(a::PENDING_STATE, from_hex)?;
    match (checkpoint(document, a::PENDING, a::PENDING_SUB)?, state) {
        (Some(checkpoint), state) => Ok(Some(PendingCheckpoint::new(checkpoint, state))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(document.problem(a::PENDING_STATE, format!("it is there without {:?}", a::PENDING))),
    }
}

fn from_hex(text: &str) -> Result<Bytes, &'static str> {
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
        u8::from_str_radix(digits.filter(|digits| digits.len() == 2)?, 16).ok()
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    bytes.map(Bytes::from).ok_or("it must be bytes in hexadecimal digits")
}

fn hash_range(document: &Document<'_>) -> Result<Option<HashRange>, RowProblem> {
    let hash_key = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u128>().ok().filter(|_| digits).ok_or("it is no decimal number of 128 bits")
    };
    let (start, end) = (document.parsed(a::HASH_START, hash_key)?, document.parsed(a::HASH_END, hash_key)?);
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let start = document.required(a::HASH_START, start)?;
    let end = document.required(a::HASH_END, end)?;
    let range = HashRange::new(start, end);
    range.map(Some).ok_or_else(|| document.problem(a::HASH_START, format!("{start} must lie below {}", a::HASH_END)))
}

fn multi_stream(document: &Document<'_>) -> Result<Option<MultiStream>, RowProblem> {
    let (stream, shard) = (document.text(a::STREAM)?, document.parsed(a::SHARD, ShardId::new)?);
    if stream.is_none() && shard.is_none() {
        return Ok(None);
    }
    let stream = document.required(a::STREAM, stream)?;
    Ok(Some(MultiStream::new(stream, document.required(a::SHARD, shard)?)))
}

fn worker_from(document: &Document<'_>) -> Result<WorkerRow, RowProblem> {
    let id = WorkerId::new(document.key()).map_err(|error| document.problem(a::KEY, error.to_string()))?;
    let mut row = WorkerRow::new(id);
    row.updated =
        match document.whole(a::UPDATED)? {
            None => None,
            Some(seconds) => {
                let millis = seconds.checked_mul(1_000);
                Some(Timestamp::from_millis(millis.ok_or_else(|| {
                    document.problem(a::UPDATED, format!("{seconds} is no time in seconds since 1970"))
                })?))
            }
        };
    row.implementation = document.text(a::IMPLEMENTATION)?.map(str::to_owned);
    row.heartbeat = document.count(a::HEARTBEAT)?;
    row.incarnation = document.parsed(a::INCARNATION, Incarnation::new)?;
    row.inbox = document.parsed_set(a::INBOX, LeaseKey::new)?;
    row.capacity = document.amount(a::CAPACITY)?;
    row.max_leases = document.count(a::MAX_LEASES)?;
    row.zone = document.text(a::ZONE)?.map(str::to_owned);
    Ok(row)
}

fn leader_from(document: &Document<'_>) -> Result<LeaderRow, RowProblem> {
    let owner = document.required(a::LEADER_OWNER, document.parsed(a::LEADER_OWNER, WorkerId::new)?)?;
    let millis = document.parsed(a::LEADER_DURATION, str::parse::<u64>)?;
    let duration = Duration::from_millis(document.required(a::LEADER_DURATION, millis)?);
    let version = document.required(a::LEADER_VERSION, document.text(a::LEADER_VERSION)?)?;
    let mut row = LeaderRow::new(owner, duration, version);
    row.released = match document.text(a::LEADER_RELEASED)? {
        None => false,
        Some(a::RELEASED) => true,
        Some(other) => {
            return Err(document.problem(a::LEADER_RELEASED, format!("{other:?} must be \"1\" or absent")));
        }
    };
    row.cycle = document.count(a::LEADER_CYCLE)?;
    row.standby = document.parsed(a::LEADER_STANDBY, WorkerId::new)?;
    Ok(row)
}
