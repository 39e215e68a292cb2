//! From an event to an answer, and to the position behind it.

use std::time::Duration;

use super::super::codec::Decoded;
use super::super::convert::Nonsense;
use crate::types::{BatchBuilder, Position, SequenceNumber, ShardEnd};

/// An event as the reader needs it.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) records: BatchBuilder,
    pub(super) lag: Option<Duration>,
    /// Where reading goes on, if that is elsewhere than before.
    pub(super) position: Option<Position>,
    pub(super) end: End,
}

/// What an event says of the end of the shard.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing.
    No,
    /// Children are named, but there is a place to go on from, too: it is the end if nothing follows.
    Perhaps(ShardEnd),
    /// This was the last event.
    Yes(ShardEnd),
}

/// Takes an event apart that was pushed to somebody who stood at `position`.
///
/// # Errors
/// [`Nonsense`] if the number to go on from cannot be read, or if the event says nothing at all: it must not pass for the
/// end of the shard.
pub(super) fn take_apart(event: Decoded, position: &Position) -> Result<Brought, Nonsense> {
    let Decoded { records, tail } = event;
    let lag = tail.lag();
    let last = records.entries().last().map(|entry| &entry.sequence);
    let continuation = tail.next.filter(|text| !text.is_empty());
    let continuation = continuation.map(SequenceNumber::new).transpose().map_err(Nonsense::Continuation)?;
    let end = match (&continuation, tail.child_shards) {
        (None, Some(children)) => End::Yes(ShardEnd::with_children(children)),
        (None, None) if last.is_none() => return Err(Nonsense::Nothing),
        (Some(_), Some(children)) if !children.is_empty() => End::Perhaps(ShardEnd::with_children(children)),
        _ => End::No,
    };
    let position = behind(position, last, continuation);
    Ok(Brought { records, lag, position, end })
}

/// Where reading goes on after an event: behind its last record, or, if it has none, behind the number that the service
/// gave to go on from, so that a shard on which nothing happens does not age beyond its retention.
///
/// That number counts only if it lies beyond what was read. A record that is still to be read, because reading begins *at*
/// it, would be skipped by going on after its own number.
fn behind(
    position: &Position,
    last: Option<&SequenceNumber>,
    continuation: Option<SequenceNumber>,
) -> Option<Position> {
    if let Some(last) = last {
        return Some(Position::After(last.clone()));
    }
    let continuation = continuation?;
    let beyond = match position {
        Position::After(delivered) => continuation > *delivered,
        Position::At(first) => continuation > first.sequence,
        Position::TrimHorizon | Position::AtTime(_) => true,
    };
    beyond.then_some(Position::After(continuation))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::codec::Tail;
    use super::*;
    use crate::types::{ChildShard, RecordEntry, RecordPosition};

    fn event(numbers: &[&str], continuation: &str, children: Option<&[&str]>) -> Decoded {
        let mut records = BatchBuilder::new();
        for number in numbers {
            let entry = RecordEntry::new(number.parse().unwrap(), "k", Bytes::from_static(b"data"));
            records.push(entry).unwrap();
        }
        let child = |id: &&str| ChildShard::new(id.parse().unwrap(), vec!["shardId-0".parse().unwrap()], None);
        let tail = Tail {
            next: Some(continuation.to_owned()),
            millis_behind_latest: Some(7),
            child_shards: children.map(|children| children.iter().map(child).collect()),
        };
        Decoded { records, tail }
    }

    fn after(number: &str) -> Position {
        Position::After(number.parse().unwrap())
    }

    fn at(number: &str) -> Position {
        Position::At(RecordPosition { sequence: number.parse().unwrap(), sub: 2 })
    }

    #[test]
    fn the_position_lies_behind_the_last_record_or_where_the_service_says() {
        for (position, numbers, continuation, expected) in [
            (Position::TrimHorizon, &["5", "6"][..], "6", Some(after("6"))),
            (after("4"), &["5"][..], "9", Some(after("5"))),
            (after("4"), &["5"][..], "3", Some(after("5"))),
            (after("4"), &["5"][..], "", Some(after("5"))),
            (after("4"), &[][..], "8", Some(after("8"))),
            (after("4"), &[][..], "4", None),
            (after("4"), &[][..], "3", None),
            (Position::TrimHorizon, &[][..], "8", Some(after("8"))),
            // The record at which reading begins has not come yet.
            (at("5"), &[][..], "4", None),
            (at("5"), &[][..], "5", None),
            (at("5"), &[][..], "6", Some(after("6"))),
            (at("5"), &["5"][..], "5", Some(after("5"))),
        ] {
            let brought = take_apart(event(numbers, continuation, None), &position).unwrap();
            assert_eq!(brought.position, expected, "{position:?} {numbers:?} {continuation:?}");
            assert_eq!(brought.lag, Some(Duration::from_millis(7)));
            assert!(matches!(brought.end, End::No));
        }
    }

    #[test]
    fn an_end_has_children_and_no_place_to_go_on_from() {
        let brought = take_apart(event(&["5"], "", Some(&["shardId-1", "shardId-2"])), &after("4")).unwrap();
        let End::Yes(end) = brought.end else { panic!("no end") };
        assert_eq!(end.children.len(), 2);
        assert_eq!(brought.position, Some(after("5")));
        assert!(matches!(take_apart(event(&[], "", Some(&[])), &after("4")).unwrap().end, End::Yes(_)));
        let both = take_apart(event(&["5"], "5", Some(&["shardId-1"])), &after("4")).unwrap();
        assert!(matches!(both.end, End::Perhaps(end) if end.children.len() == 1));
        assert!(matches!(take_apart(event(&["5"], "5", Some(&[])), &after("4")).unwrap().end, End::No));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (event, part) in [(event(&[], "", None), "says nothing"), (event(&["5"], "twelve", None), "twelve")] {
            let nonsense = take_apart(event, &after("4")).unwrap_err().to_string();
            assert!(nonsense.contains(part), "{nonsense}");
        }
    }
}
