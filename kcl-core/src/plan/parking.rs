//! Leases of streams that are no longer wanted: read by nobody, and kept for a while in case their stream is wanted again.
//!
//! For how long, whoever looks at the table measures for itself, by rows that do not move. The standby looks as the leader
//! does and goes on counting when it takes over; another worker begins anew, so a change of leaders can only let rows live
//! longer. A gap between two looks does no harm: a row with the counter that it had was not written meanwhile. Nothing is
//! stored that a wrong clock could make too old, and a worker that wants the stream and holds a lease of
//! it, because it knows of a newer set of streams than the leader, keeps all of the stream's rows by renewing that one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{Condition, Expect, Lease, LeaseKey, Moment};

/// For how long leases have been parked, stream by stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parking {
    streams: BTreeMap<String, Parked>,
}

#[derive(Debug, Clone, Default)]
struct Parked {
    rows: BTreeMap<LeaseKey, Lease>,
    /// When one of the rows was last seen for the first time, or to have moved.
    since: Moment,
}

impl Parking {
    /// Takes in the parked leases of a whole look at the table; yields the streams that are new among them.
    pub(crate) fn observe<'a>(&mut self, parked: impl IntoIterator<Item = &'a Lease>, now: Moment) -> Vec<String> {
        let before = std::mem::take(&mut self.streams);
        for lease in parked {
            let Some(stream) = lease.stream() else { continue };
            let unmoved = before.get(stream).and_then(|parked| parked.rows.get(&lease.key)).is_some_and(|row| {
                (row.counter, &row.owner, &row.checkpoint_owner)
                    == (lease.counter, &lease.owner, &lease.checkpoint_owner)
            });
            let since = before.get(stream).map_or(now, |parked| parked.since);
            let entry = self.streams.entry(stream.to_owned());
            let parked = entry.or_insert_with(|| Parked { rows: BTreeMap::new(), since });
            if !unmoved {
                parked.since = now;
            }
            parked.rows.insert(lease.key.clone(), lease.clone());
        }
        self.streams.keys().filter(|stream| !before.contains_key(*stream)).cloned().collect()
    }

    /// Whether no lease is parked.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// How many leases are parked.
    pub(crate) fn len(&self) -> usize {
        self.streams.values().map(|parked| parked.rows.len()).sum()
    }

    /// The rows, as they were seen, of streams of which no row has moved for longer than `grace`.
    ///
    /// All rows of a stream go or none: those of shards that are over prove it, and as long as one is read, all are needed.
    pub(crate) fn due(&self, grace: Duration, now: Moment) -> impl Iterator<Item = &Lease> {
        let over = self.streams.values().filter(move |parked| now.since(parked.since) > grace);
        over.flat_map(|parked| parked.rows.values())
    }
}

/// What must hold of a row for its removal: nobody has written it since.
pub(crate) fn removal(seen: &Lease) -> Condition {
    Condition {
        counter: Some(seen.counter),
        owner: Some(Expect::as_seen(seen.owner.as_ref())),
        checkpoint_owner: Some(Expect::as_seen(seen.checkpoint_owner.as_ref())),
        ..Condition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Checkpoint, MultiStream, ShardId, WorkerId};

    const GRACE: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn row(stream: &str, shard: &str, counter: u64) -> Lease {
        let shard = ShardId::new(shard).unwrap();
        let mut lease = Lease::unowned(LeaseKey::of_shard(Some(stream), &shard), Checkpoint::TrimHorizon, counter);
        lease.multi_stream = Some(Box::new(MultiStream::new(stream, shard)));
        lease
    }

    fn due(parking: &Parking, now: u64) -> Vec<&str> {
        parking.due(GRACE, at(now)).map(|lease| lease.key.as_str()).collect()
    }

    const A: &str = "1:a:7";
    const B: &str = "1:b:7";

    #[test]
    fn rows_go_when_none_of_their_stream_has_moved_for_the_whole_grace() {
        let mut parking = Parking::default();
        assert_eq!(parking.observe(&[row(A, "0", 5), row(A, "1", 5)], at(100)), [A]);
        assert_eq!(parking.observe(&[row(A, "0", 5), row(A, "1", 6), row(B, "0", 5)], at(1_000)), [B]);
        parking.observe(&[row(A, "0", 5), row(A, "1", 6), row(B, "0", 5)], at(4_500));
        assert_eq!(due(&parking, 4_600), Vec::<&str>::new(), "one was written at 1000");
        assert_eq!(due(&parking, 4_601), ["1:a:7:0", "1:a:7:1", "1:b:7:0"]);
    }

    #[test]
    fn a_lease_that_somebody_holds_keeps_all_rows_of_its_stream() {
        let mut parking = Parking::default();
        for second in 0..5_000 {
            parking.observe(&[row(A, "0", 5), row(A, "1", second / 10)], at(second));
            assert_eq!(due(&parking, second), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_stream_that_is_wanted_again_begins_anew_when_it_is_parked_again() {
        let mut parking = Parking::default();
        parking.observe(&[row(A, "0", 5)], at(100));
        assert_eq!(parking.observe(&[], at(200)), Vec::<String>::new());
        assert_eq!(parking.observe(&[row(A, "0", 5)], at(300)), [A]);
        assert_eq!(due(&parking, 3_800), Vec::<&str>::new());
        assert_eq!(due(&parking, 3_901), ["1:a:7:0"]);
    }

    #[test]
    fn a_row_that_was_written_after_it_was_seen_is_not_removed() {
        let seen = row(A, "0", 5);
        assert!(removal(&seen).holds(&seen));
        assert!(!removal(&seen).holds(&row(A, "0", 6)));
        let mut assigned = row(A, "0", 5);
        assigned.owner = Some(WorkerId::new("w").unwrap());
        assert!(!removal(&seen).holds(&assigned));
    }
}
