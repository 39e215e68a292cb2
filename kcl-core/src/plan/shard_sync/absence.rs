//! For how long a row has been missing, and what it said.
//!
//! A row that was deleted by hand is made again by its holder, who alone knows the position. A leader that was quicker would
//! make it from the listing, and everything would be read twice. So a leader makes a row only once it has watched the table
//! for as long as a holder may take: then no holder of it lives. A row that the leader has seen before is made where it
//! stood; one that had ended is not made again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::without_row;
use crate::plan::fleet_view::FleetView;
use crate::types::{Lease, LeaseKey, Moment, Shard};

/// What is known of rows that are not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Absences {
    /// Since when the table has been watched without a gap.
    since: Option<Moment>,
    /// The streams that have had a lease while the table was watched.
    streams: BTreeSet<Option<String>>,
    gone: BTreeMap<LeaseKey, Gone>,
    /// Rows that were never seen, but were there: an ended row names each as its child. Since when they are missed.
    named: BTreeMap<LeaseKey, Moment>,
}

#[derive(Debug, Clone)]
struct Gone {
    last: Lease,
    since: Moment,
}

/// What to do about a missing row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Absence {
    /// Make it as the listing says.
    Create,
    /// Make it where it stood.
    Restore(Box<Lease>),
    /// Its holder may live and make it: ask again at this moment.
    Wait(Moment),
    /// It had ended: it is not missing.
    Over,
}

impl Absences {
    /// Takes in a whole look at the table: what is `gone` since the look before, and what there is.
    pub(crate) fn observe(&mut self, gone: Vec<Lease>, fleet: &FleetView, now: Moment) {
        self.since.get_or_insert(now);
        for lease in gone.iter().chain(fleet.leases.values().map(|seen| &seen.lease)) {
            if !self.has_had(lease.stream()) {
                self.streams.insert(lease.stream().map(str::to_owned));
            }
        }
        self.gone.retain(|key, gone| {
            let is_over = gone.last.is_ended() && now.since(gone.since) > REMEMBERED;
            !is_over && !fleet.leases.contains_key(key)
        });
        let named = self.streams.iter().flat_map(|stream| without_row(stream.as_deref(), fleet));
        let since = |key: &LeaseKey| self.named.get(key).copied().unwrap_or(now);
        self.named = named.map(|key| (key.clone(), since(&key))).collect();
        self.gone.extend(gone.into_iter().map(|last| (last.key.clone(), Gone { last, since: now })));
    }

    /// The table was not watched for a while: a holder has all its time again.
    pub(crate) fn restart(&mut self, now: Moment) {
        self.since = None;
        self.named.clear();
        self.gone.values_mut().for_each(|gone| gone.since = now);
    }

    /// Forgets rows of shards that their stream has forgotten: nobody will ask for them.
    pub(crate) fn forget_unlisted(&mut self, stream: Option<&str>, shards: &[Shard]) {
        let listed: BTreeSet<LeaseKey> = shards.iter().map(|shard| LeaseKey::of_shard(stream, &shard.id)).collect();
        self.gone.retain(|key, gone| gone.last.stream() != stream || listed.contains(key));
    }

    /// Forgets rows that nobody will ask for.
    pub(crate) fn forget(&mut self, nobody_asks_for: impl Fn(&Lease) -> bool) {
        self.gone.retain(|_, gone| !nobody_asks_for(&gone.last));
    }

    /// Rows of a stream that were seen and are gone, as they were.
    pub(crate) fn vanished(&self, stream: Option<&str>) -> impl Iterator<Item = &Lease> {
        self.gone.values().map(|gone| &gone.last).filter(move |last| last.stream() == stream)
    }

    fn has_had(&self, stream: Option<&str>) -> bool {
        self.streams.iter().any(|seen| seen.as_deref() == stream)
    }

    /// What to do about a row that should be there. `expiry`: how long a holder may take at most.
    pub(crate) fn judge(&self, missing: &Lease, expiry: Duration, now: Moment) -> Absence {
        let over = |since: Moment| now.since(since) > expiry;
        let named = self.named.get(&missing.key).copied();
        // It was there longer than we watch, or came and went between two looks.
        let since = self.since.max(named);
        match (self.gone.get(&missing.key), since) {
            (Some(gone), _) if gone.last.is_ended() => Absence::Over,
            (Some(gone), _) if over(gone.since) => Absence::Restore(Box::new(gone.last.clone())),
            (Some(gone), _) => Absence::Wait(gone.since + expiry + INSTANT),
            // A stream without a single lease is new to the table.
            (None, Some(_)) if !self.has_had(missing.stream()) => Absence::Create,
            (None, Some(since)) if over(since) => Absence::Create,
            (None, Some(since)) => Absence::Wait(since + expiry + INSTANT),
            (None, None) => Absence::Wait(now + expiry + INSTANT),
        }
    }

    /// When the first of a stream's rows that vanished may be made again, if any is not over.
    pub(crate) fn next(&self, stream: Option<&str>, expiry: Duration) -> Option<Moment> {
        let ours = self.gone.values().filter(|gone| gone.last.stream() == stream && !gone.last.is_ended());
        ours.map(|gone| gone.since + expiry + INSTANT).min()
    }
}

/// For how long it is remembered that a row had ended: far longer than the end of a shard and its cleaning are apart.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Just longer than the time itself.
const INSTANT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Checkpoint, MultiStream, Row, ShardId};

    const EXPIRY: Duration = Duration::from_secs(11);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn lease(name: &str, checkpoint: Checkpoint) -> Lease {
        Lease::unowned(LeaseKey::new(name).unwrap(), checkpoint, 5)
    }

    fn missing(name: &str) -> Lease {
        lease(name, Checkpoint::TrimHorizon)
    }

    /// A worker that looked at these tables, at these seconds.
    fn watched(looks: &[(u64, &[Lease])]) -> Absences {
        let (mut absences, mut view) = (Absences::default(), FleetView::default());
        for (second, rows) in looks {
            let gone = view.observe(rows.iter().map(|lease| Row::Lease(Box::new(lease.clone()))), at(*second));
            absences.observe(gone, &view, at(*second));
        }
        absences
    }

    #[test]
    fn a_new_table_is_filled_at_once() {
        assert_eq!(watched(&[(100, &[])]).judge(&missing("0"), EXPIRY, at(100)), Absence::Create);
    }

    #[test]
    fn a_stream_that_is_new_to_the_table_is_filled_at_once() {
        let absences = watched(&[(100, &[missing("1")])]);
        let mut elsewhere = missing("1:clicks:2:0");
        elsewhere.multi_stream = Some(Box::new(MultiStream::new("1:clicks:2", ShardId::new("0").unwrap())));
        assert_eq!(absences.judge(&elsewhere, EXPIRY, at(100)), Absence::Create);
    }

    #[test]
    fn a_row_that_was_never_seen_may_have_a_holder_until_it_would_have_shown() {
        let absences = watched(&[(100, &[lease("1", Checkpoint::TrimHorizon)])]);
        assert!(matches!(absences.judge(&missing("0"), EXPIRY, at(111)), Absence::Wait(until) if until > at(111)));
        assert_eq!(absences.judge(&missing("0"), EXPIRY, at(112)), Absence::Create);
    }

    #[test]
    fn a_row_that_vanished_is_left_to_its_holder_and_then_made_where_it_stood() {
        let row = lease("0", Checkpoint::Latest);
        let absences = watched(&[(100, std::slice::from_ref(&row)), (150, &[])]);
        assert!(matches!(absences.judge(&missing("0"), EXPIRY, at(161)), Absence::Wait(_)));
        assert_eq!(absences.judge(&missing("0"), EXPIRY, at(162)), Absence::Restore(Box::new(row.clone())));
        assert!(absences.next(None, EXPIRY).is_some_and(|next| next > at(161) && next < at(162)));
        let back = watched(&[(100, std::slice::from_ref(&row)), (150, &[]), (152, std::slice::from_ref(&row))]);
        assert_eq!(back.next(None, EXPIRY), None, "its holder has made it");
    }

    #[test]
    fn a_row_that_an_ended_parent_names_was_there_and_is_left_to_its_holder() {
        let mut parent = lease("shardId-0", Checkpoint::TrimHorizon);
        let open = parent.clone();
        parent.checkpoint = Checkpoint::ShardEnd;
        parent.children.insert(ShardId::new("shardId-1").unwrap());
        let absences = watched(&[(100, std::slice::from_ref(&open)), (150, std::slice::from_ref(&parent))]);
        assert!(matches!(absences.judge(&missing("shardId-1"), EXPIRY, at(161)), Absence::Wait(_)));
        assert_eq!(absences.judge(&missing("shardId-1"), EXPIRY, at(162)), Absence::Create);
        assert_eq!(absences.judge(&missing("shardId-2"), EXPIRY, at(161)), Absence::Create, "nobody names it");
    }

    #[test]
    fn after_a_gap_a_row_that_is_gone_is_known_and_its_holder_has_all_its_time() {
        let row = lease("0", Checkpoint::Latest);
        let mut view = FleetView::default();
        let mut absences = Absences::default();
        let gone = view.observe([Row::Lease(Box::new(row.clone()))], at(100));
        absences.observe(gone, &view, at(100));
        view.restart();
        absences.restart(at(500));
        let gone = view.observe([], at(500));
        absences.observe(gone, &view, at(500));
        assert!(matches!(absences.judge(&missing("0"), EXPIRY, at(511)), Absence::Wait(_)));
        assert_eq!(absences.judge(&missing("0"), EXPIRY, at(512)), Absence::Restore(Box::new(row)));
    }

    #[test]
    fn an_ended_row_that_vanished_is_over() {
        let absences = watched(&[(100, &[lease("0", Checkpoint::ShardEnd)]), (150, &[])]);
        assert_eq!(absences.judge(&missing("0"), EXPIRY, at(500)), Absence::Over);
        assert_eq!(absences.next(None, EXPIRY), None);
    }
}
