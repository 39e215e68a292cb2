//! Whether the rows are of this stream, or of one of the same name that was deleted.

use crate::types::{Lease, LeaseKey, Timestamp};

/// A row of another stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recreated {
    pub(crate) lease: LeaseKey,
    /// When the row's stream was created.
    pub(crate) then: Timestamp,
    /// When the stream was created that exists.
    pub(crate) now: Timestamp,
}

/// The first row that belongs to another stream than the one that was created at this time. Rows that do not say (those of
/// the KCL) and a source that does not say prove nothing.
pub(crate) fn recreated<'a>(
    rows: impl IntoIterator<Item = &'a Lease>,
    created: Option<Timestamp>,
) -> Option<Recreated> {
    let now = created?;
    rows.into_iter().find_map(|lease| {
        let then = lease.stream_created.filter(|then| *then != now)?;
        Some(Recreated { lease: lease.key.clone(), then, now })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Checkpoint;

    fn row(name: &str, created: Option<i64>) -> Lease {
        let mut lease = Lease::unowned(LeaseKey::new(name).unwrap(), Checkpoint::TrimHorizon, 5);
        lease.stream_created = created.map(Timestamp::from_seconds);
        lease
    }

    #[test]
    fn rows_of_a_stream_that_was_created_at_another_time_are_found() {
        let rows = [row("0", None), row("1", Some(7)), row("2", Some(9))];
        let found = recreated(&rows, Some(Timestamp::from_seconds(7))).unwrap();
        assert_eq!((found.lease, found.then), (LeaseKey::new("2").unwrap(), Timestamp::from_seconds(9)));
        assert_eq!(recreated(&rows[..2], Some(Timestamp::from_seconds(7))), None);
    }

    #[test]
    fn who_does_not_say_proves_nothing() {
        assert_eq!(recreated(&[row("1", Some(7))], None), None);
        assert_eq!(recreated(&[row("0", None)], Some(Timestamp::from_seconds(7))), None);
    }
}
