//! From items to values. Strict, because a row that is misread loses records, and precise, because somebody must repair
//! it.

use std::time::Duration;

use super::fields::{Fields, Item, shortened};
use crate::row_names as a;
use crate::types::{
    Checkpoint, Epoch, HashRange, Incarnation, LeaderRow, Lease, LeaseKey, MultiStream, PendingCheckpoint,
    RecordPosition, Row, RowProblem, SequenceNumber, ShardId, Throughput, Timestamp, WorkerId, WorkerRow,
};

/// Any row.
pub(super) fn row(item: &Item) -> Result<Row, RowProblem> {
    let fields = Fields::new(item)?;
    Ok(match kind(&fields)? {
        Kind::Lease => Row::Lease(Box::new(lease_from(&fields)?)),
        Kind::Worker => Row::Worker(Box::new(worker_from(&fields)?)),
        Kind::Leader => Row::Leader(leader_from(&fields)?),
        Kind::Other(entity_type) => Row::Other { key: fields.key().to_owned(), entity_type: entity_type.to_owned() },
    })
}

/// A row that must be a lease.
pub(super) fn lease(item: &Item) -> Result<Lease, RowProblem> {
    let fields = Fields::new(item)?;
    match kind(&fields)? {
        Kind::Lease => lease_from(&fields),
        other => Err(not_a(&fields, "lease", &other)),
    }
}

/// A row that must be a worker's.
pub(super) fn worker(item: &Item) -> Result<WorkerRow, RowProblem> {
    let fields = Fields::new(item)?;
    match kind(&fields)? {
        Kind::Worker => worker_from(&fields),
        other => Err(not_a(&fields, "worker row", &other)),
    }
}

/// The row that must be the leader lock.
pub(super) fn leader(item: &Item) -> Result<LeaderRow, RowProblem> {
    let fields = Fields::new(item)?;
    match kind(&fields)? {
        Kind::Leader => leader_from(&fields),
        other => Err(not_a(&fields, "leader lock", &other)),
    }
}

enum Kind<'a> {
    Lease,
    Worker,
    Leader,
    Other(&'a str),
}

/// By `entityType`; rows of earlier libraries lack it and are known by their key, as the KCL does.
fn kind<'a>(fields: &Fields<'a>) -> Result<Kind<'a>, RowProblem> {
    Ok(match (fields.text(a::ENTITY_TYPE)?, fields.key()) {
        (Some(a::TYPE_LEADER) | None, a::KEY_LEADER) => Kind::Leader,
        (None, a::KEY_CLIENT_VERSION) => Kind::Other(a::TYPE_CLIENT_VERSION),
        (None, a::KEY_TABLE_MIGRATION) => Kind::Other(a::TYPE_TABLE_MIGRATION),
        (Some(a::TYPE_LEASE) | None, _) => Kind::Lease,
        (Some(a::TYPE_WORKER), _) => Kind::Worker,
        (Some(other), _) => Kind::Other(other),
    })
}

fn not_a(fields: &Fields<'_>, expected: &str, found: &Kind<'_>) -> RowProblem {
    let found = match found {
        Kind::Lease => "a lease",
        Kind::Worker => "a worker row",
        Kind::Leader => "the leader lock",
        Kind::Other(entity_type) => &format!("a row of type {:?}", shortened(entity_type)),
    };
    fields.problem(a::ENTITY_TYPE, format!("the row is {found} and no {expected}"))
}

fn lease_from(fields: &Fields<'_>) -> Result<Lease, RowProblem> {
    let key = fields.required(a::KEY, fields.parsed(a::KEY, LeaseKey::new)?)?;
    let counter = fields.required(a::COUNTER, fields.count(a::COUNTER)?)?;
    let owner_switches = fields.required(a::OWNER_SWITCHES, fields.count(a::OWNER_SWITCHES)?)?;
    let checkpoint = fields.required(a::CHECKPOINT, checkpoint(fields, a::CHECKPOINT, a::CHECKPOINT_SUB)?)?;
    let mut lease = Lease::unowned(key, checkpoint, counter);
    lease.owner_switches = owner_switches;
    lease.owner = fields.parsed(a::OWNER, WorkerId::new)?;
    lease.checkpoint_owner = fields.parsed(a::CHECKPOINT_OWNER, WorkerId::new)?;
    lease.pending = pending(fields)?.map(Box::new);
    lease.parents = fields.parsed_set(a::PARENTS, ShardId::new)?;
    lease.children = fields.parsed_set(a::CHILDREN, ShardId::new)?;
    lease.hash_range = hash_range(fields)?;
    lease.throughput = fields.amount(a::THROUGHPUT)?.map(Throughput);
    lease.multi_stream = multi_stream(fields)?.map(Box::new);
    lease.typed = fields.text(a::ENTITY_TYPE)?.is_some();
    lease.epoch = fields.count(a::EPOCH)?.map(Epoch);
    lease.own_counter = fields.count(a::OWN_COUNTER)?;
    lease.start = fields.whole(a::START)?.map(Timestamp::from_millis);
    lease.last_owner = fields.parsed(a::LAST_OWNER, WorkerId::new)?;
    lease.stream_created = fields.whole(a::STREAM_CREATED)?.map(Timestamp::from_seconds);
    lease.tip = fields.whole(a::TIP)?.map(Timestamp::from_millis);
    Ok(lease)
}

fn checkpoint(fields: &Fields<'_>, name: &str, sub_name: &str) -> Result<Option<Checkpoint>, RowProblem> {
    let text = fields.text(name)?;
    let sub = fields.count(sub_name)?;
    let Some(text) = text else {
        return match sub {
            None => Ok(None),
            Some(_) => Err(fields.problem(sub_name, format!("it is there without {name:?}"))),
        };
    };
    let sub = sub.unwrap_or(0);
    let sentinel = match text {
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "SHARD_END" => Checkpoint::ShardEnd,
        number => {
            let sequence = SequenceNumber::new(number).map_err(|error| fields.problem(name, error.to_string()))?;
            return Ok(Some(Checkpoint::At(RecordPosition { sequence, sub })));
        }
    };
    match sub {
        0 => Ok(Some(sentinel)),
        _ => Err(fields.problem(sub_name, format!("it is {sub}, but must be 0 beside {text}"))),
    }
}

fn pending(fields: &Fields<'_>) -> Result<Option<PendingCheckpoint>, RowProblem> {
    let state = fields.bytes(a::PENDING_STATE)?;
    match (checkpoint(fields, a::PENDING, a::PENDING_SUB)?, state) {
        (Some(checkpoint), state) => Ok(Some(PendingCheckpoint::new(checkpoint, state))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(fields.problem(a::PENDING_STATE, format!("it is there without {:?}", a::PENDING))),
    }
}

fn hash_range(fields: &Fields<'_>) -> Result<Option<HashRange>, RowProblem> {
    let start = fields.parsed(a::HASH_START, hash_key)?;
    let end = fields.parsed(a::HASH_END, hash_key)?;
    match (start, end) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) => HashRange::new(start, end)
            .map(Some)
            .ok_or_else(|| fields.problem(a::HASH_START, format!("{start} must lie below {} = {end}", a::HASH_END))),
        (Some(start), None) => {
            Err(fields.problem(a::HASH_END, format!("it is missing beside {} = {start}", a::HASH_START)))
        }
        (None, Some(end)) => {
            Err(fields.problem(a::HASH_START, format!("it is missing beside {} = {end}", a::HASH_END)))
        }
    }
}

fn hash_key(text: &str) -> Result<u128, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("{:?} is not a decimal number of 128 bits", shortened(text)))
}

fn multi_stream(fields: &Fields<'_>) -> Result<Option<MultiStream>, RowProblem> {
    match (fields.text(a::STREAM)?, fields.parsed(a::SHARD, ShardId::new)?) {
        (None, None) => Ok(None),
        (Some(stream), Some(shard)) => Ok(Some(MultiStream::new(stream, shard))),
        (Some(_), None) => Err(fields.problem(a::SHARD, format!("it is missing beside {:?}", a::STREAM))),
        (None, Some(_)) => Err(fields.problem(a::STREAM, format!("it is missing beside {:?}", a::SHARD))),
    }
}

fn worker_from(fields: &Fields<'_>) -> Result<WorkerRow, RowProblem> {
    let mut row = WorkerRow::new(fields.required(a::KEY, fields.parsed(a::KEY, WorkerId::new)?)?);
    row.updated = match fields.whole(a::UPDATED)? {
        None => None,
        Some(seconds) => Some(Timestamp::from_millis(
            seconds
                .checked_mul(1000)
                .ok_or_else(|| fields.problem(a::UPDATED, format!("{seconds} is no time in seconds since 1970")))?,
        )),
    };
    row.implementation = fields.text(a::IMPLEMENTATION)?.map(str::to_owned);
    row.heartbeat = fields.count(a::HEARTBEAT)?;
    row.incarnation = fields.parsed(a::INCARNATION, Incarnation::new)?;
    row.inbox = fields.parsed_set(a::INBOX, LeaseKey::new)?;
    row.capacity = fields.amount(a::CAPACITY)?;
    row.max_leases = fields.count(a::MAX_LEASES)?;
    row.zone = fields.text(a::ZONE)?.map(str::to_owned);
    Ok(row)
}

fn leader_from(fields: &Fields<'_>) -> Result<LeaderRow, RowProblem> {
    let owner = fields.required(a::LEADER_OWNER, fields.parsed(a::LEADER_OWNER, WorkerId::new)?)?;
    let millis = fields.required(a::LEADER_DURATION, fields.parsed(a::LEADER_DURATION, whole_millis)?)?;
    let version = fields.required(a::LEADER_VERSION, fields.text(a::LEADER_VERSION)?)?;
    let mut row = LeaderRow::new(owner, Duration::from_millis(millis), version);
    row.released = match fields.text(a::LEADER_RELEASED)? {
        None => false,
        Some(a::RELEASED) => true,
        Some(other) => {
            let problem = format!("{:?} must be \"1\" or absent", shortened(other));
            return Err(fields.problem(a::LEADER_RELEASED, problem));
        }
    };
    row.cycle = fields.count(a::LEADER_CYCLE)?;
    row.standby = fields.parsed(a::LEADER_STANDBY, WorkerId::new)?;
    Ok(row)
}

fn whole_millis(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{:?} is no number of milliseconds", shortened(text)))
}
