//! How a look is shown.

use std::fmt::Write;
use std::time::Duration;

use kcl_core::types::Checkpoint;
use kcl_local::SequenceNumber;

use super::look::{Look, ShardLook};

/// The table, for a terminal that is redrawn.
pub(super) fn table(look: &Look, elapsed: Duration) -> String {
    let mut text = format!("{:<20}  {:<18}  {:>9}  {:>9}  {}\n", "shard", "owner", "records", "lag", "checkpoint");
    for (id, shard) in look.shards.iter().take(MOST_ROWS) {
        let (owner, checkpoint) = (shard.owner.as_deref().unwrap_or("-"), checkpoint(shard));
        let (records, lag) = (shard.counts.distinct, shard.counts.missing);
        let _to_memory = writeln!(text, "{id:<20}  {owner:<18}  {records:>9}  {lag:>9}  {checkpoint}");
    }
    if look.shards.len() > MOST_ROWS {
        let _to_memory = writeln!(text, "and {} shards more", look.shards.len() - MOST_ROWS);
    }
    text.push_str(&line(look, elapsed));
    text
}

/// One line, for everything that is no terminal.
pub(super) fn line(look: &Look, elapsed: Duration) -> String {
    let total = look.total;
    let mut text = format!(
        "progress put={} read={} lag={} duplicated={} seconds={:.0}",
        total.put,
        total.read,
        total.missing,
        total.duplicated(),
        elapsed.as_secs_f64()
    );
    for (owner, shards) in look.owners() {
        let _to_memory = write!(text, " {owner}={shards}");
    }
    text
}

/// One line for a shard, for everything that is no terminal.
pub(super) fn shard(id: &str, shard: &ShardLook) -> String {
    format!(
        "shard={id} owner={} records={} lag={} checkpoint={}",
        shard.owner.as_deref().unwrap_or("-"),
        shard.counts.distinct,
        shard.counts.missing,
        checkpoint(shard)
    )
}

/// A sequence number has 56 digits, most of them the same in every row. Numbers of the embedded Kinesis carry the ordinal
/// of the record within its shard, which can be compared with the column of records.
fn checkpoint(shard: &ShardLook) -> String {
    let ordinal = match &shard.checkpoint {
        Checkpoint::At(position) => SequenceNumber::parse(position.sequence.as_str())
            .and_then(|number| number.parts())
            .map(|parts| parts.ordinal),
        _ => None,
    };
    ordinal.map_or_else(|| shard.checkpoint.to_string(), |ordinal| format!("#{ordinal}"))
}

/// More than this does not fit on many screens.
const MOST_ROWS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quickstart::tally::Counts;

    #[test]
    fn a_look_is_a_table_or_a_line() {
        let counts = Counts { put: 7, read: 6, distinct: 5, missing: 2 };
        let one = ShardLook { owner: Some("worker-1".into()), checkpoint: Checkpoint::TrimHorizon, counts };
        let other = ShardLook { owner: None, ..one.clone() };
        let shards = [("shardId-000000000000".to_owned(), one), ("shardId-000000000001".to_owned(), other)];
        let look = Look { shards: shards.into(), total: counts };
        let elapsed = Duration::from_millis(2_400);
        assert_eq!(line(&look, elapsed), "progress put=7 read=6 lag=2 duplicated=1 seconds=2 worker-1=1");
        let table = table(&look, elapsed);
        let rows: Vec<Vec<&str>> = table.lines().take(3).map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["shard", "owner", "records", "lag", "checkpoint"]);
        assert_eq!(rows[1], ["shardId-000000000000", "worker-1", "5", "2", "TRIM_HORIZON"]);
        assert_eq!(rows[2], ["shardId-000000000001", "-", "5", "2", "TRIM_HORIZON"]);
        let row = shard("shardId-000000000000", &look.shards["shardId-000000000000"]);
        assert_eq!(row, "shard=shardId-000000000000 owner=worker-1 records=5 lag=2 checkpoint=TRIM_HORIZON");
    }
}
