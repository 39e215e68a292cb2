//! Which streams a worker is to read, and which leases are of them.
//!
//! A table of one stream has leases that are called like their shards. In a table of several, the key begins with the
//! identity of the stream, which a worker knows only once it has asked for the creation time: until then a lease of a stream
//! of the right name may be of it, or of an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{InvalidId, Lease, StreamId, StreamIdentity, Timestamp};

/// The streams that are wanted, as far as they are known.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// This one has the table for itself.
    One(StreamId),
    /// These, each under its identity.
    Many(Many),
}

/// Streams that share a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Many {
    streams: BTreeMap<StreamId, Known>,
    by_identity: BTreeMap<StreamIdentity, StreamId>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    identity: Option<StreamIdentity>,
    /// The identity was said, and is not looked up.
    given: bool,
}

/// What a lease is to this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Of a stream that is wanted.
    Wanted(&'a StreamId),
    /// Of a stream of this name, whose identity is not known yet.
    Unsure(&'a StreamId),
    /// Of a stream that had this name; or the one that has it was made anew, and this worker does not know yet.
    Former(&'a StreamId),
    /// Of a stream that nobody wants.
    Unwanted,
    /// It is no lease of this kind of table.
    Foreign,
}

impl Standing<'_> {
    /// Whether the lease is to be read by nobody.
    pub(crate) fn is_parked(self) -> bool {
        matches!(self, Standing::Former(_) | Standing::Unwanted)
    }
}

/// What is other than before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<StreamId>,
    pub(crate) removed: Vec<StreamId>,
}

/// What a look at a stream told of its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identified {
    /// It is known, as before.
    Same,
    /// It is known now.
    First,
    /// The stream was deleted and made again; before it was this one.
    Recreated(StreamIdentity),
    /// It cannot be told.
    Unknown(Missing),
}

/// Why an identity cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    #[error("its account is not known; name it by its ARN, or give its identity")]
    Account,
    #[error("its creation time is not known; allow kinesis:DescribeStreamSummary, or give its identity")]
    Created,
    #[error("{0}")]
    Invalid(#[from] InvalidId),
    #[error(
        "the stream {0} has the same identity; streams of different regions that were created in one second need a table each"
    )]
    Taken(StreamId),
}

impl Wanted {
    /// What a lease is to a worker that wants these streams.
    pub(crate) fn standing(&self, lease: &Lease) -> Standing<'_> {
        match (self, lease.stream()) {
            (Wanted::One(stream), None) if lease.shard_id().is_ok() => Standing::Wanted(stream),
            (Wanted::Many(many), Some(identity)) => match identity.parse() {
                Ok(identity) => many.standing(&identity),
                Err(_) => Standing::Foreign,
            },
            (Wanted::One(_), _) | (Wanted::Many(_), None) => Standing::Foreign,
        }
    }

    /// The stream as it stands in keys, once that is known; within, nothing for a stream that has the table for itself.
    pub(crate) fn in_keys(&self, stream: &StreamId) -> Option<Option<&StreamIdentity>> {
        match self {
            Wanted::One(_) => Some(None),
            Wanted::Many(many) => many.streams.get(stream)?.identity.as_ref().map(Some),
        }
    }

    /// Whether another look at the stream may tell another identity.
    pub(crate) fn may_change(&self, stream: &StreamId) -> bool {
        match self {
            Wanted::One(_) => false,
            Wanted::Many(many) => many.streams.get(stream).is_some_and(|known| !known.given),
        }
    }

    /// Whether a tenure of this stream, as it stands in keys, may go on.
    pub(crate) fn may_go_on(&self, stream: Option<&str>) -> bool {
        match (self, stream) {
            (Wanted::One(_), _) => true,
            (Wanted::Many(many), Some(identity)) => {
                identity.parse().is_ok_and(|identity| !many.standing(&identity).is_parked())
            }
            (Wanted::Many(_), None) => false,
        }
    }

    /// Takes in what a listing told of a stream.
    pub(crate) fn identified(
        &mut self,
        stream: &StreamId,
        account: Option<&str>,
        created: Option<Timestamp>,
    ) -> Identified {
        match self {
            Wanted::One(_) => Identified::Same,
            Wanted::Many(many) => many.identified(stream, account, created).unwrap_or_else(Identified::Unknown),
        }
    }
}

impl Many {
    /// Takes in a whole set of streams, some with the identity that they are to have. What is known of those that stay is
    /// kept.
    ///
    /// # Errors
    /// [`Twice`] if a stream is named twice; then everything stays as it was.
    pub(crate) fn replace(&mut self, set: Vec<(StreamId, Option<StreamIdentity>)>) -> Result<Changes, Twice> {
        let mut streams: BTreeMap<StreamId, Known> = BTreeMap::new();
        let mut by_identity = BTreeMap::new();
        for (stream, given) in set {
            if let Some(identity) = &given
                && by_identity.insert(identity.clone(), stream.clone()).is_some()
            {
                return Err(Twice(identity.to_string()));
            }
            let known = Known { given: given.is_some(), identity: given };
            if streams.insert(stream.clone(), known).is_some() {
                return Err(Twice(stream.to_string()));
            }
        }
        for (stream, known) in &mut streams {
            let before = self.streams.get(stream).filter(|before| !before.given && !known.given);
            let Some(identity) = before.and_then(|before| before.identity.clone()) else { continue };
            by_identity.entry(identity.clone()).or_insert_with(|| {
                known.identity = Some(identity);
                stream.clone()
            });
        }
        let (before, after): (BTreeSet<&StreamId>, BTreeSet<&StreamId>) =
            (self.streams.keys().collect(), streams.keys().collect());
        let changes = Changes {
            added: after.difference(&before).map(|&stream| stream.clone()).collect(),
            removed: before.difference(&after).map(|&stream| stream.clone()).collect(),
        };
        (self.streams, self.by_identity) = (streams, by_identity);
        Ok(changes)
    }

    fn standing(&self, identity: &StreamIdentity) -> Standing<'_> {
        if let Some(stream) = self.by_identity.get(identity) {
            return Standing::Wanted(stream);
        }
        let is_named = |stream: &StreamId| {
            stream.name() == identity.name() && stream.account().is_none_or(|account| account == identity.account())
        };
        // Streams of one name may be in several accounts: one that is not known yet may be this one.
        let mut former = None;
        for (stream, known) in self.streams.iter().filter(|(stream, _)| is_named(stream)) {
            match &known.identity {
                None => return Standing::Unsure(stream),
                Some(theirs) if theirs.account() == identity.account() => former = Some(stream),
                Some(_) => {}
            }
        }
        former.map_or(Standing::Unwanted, Standing::Former)
    }

    fn identified(
        &mut self,
        stream: &StreamId,
        account: Option<&str>,
        created: Option<Timestamp>,
    ) -> Result<Identified, Missing> {
        let Some(known) = self.streams.get_mut(stream) else { return Ok(Identified::Same) };
        if known.given {
            return Ok(Identified::Same);
        }
        let (Some(account), Some(created)) = (stream.account().or(account), created) else {
            // A service that does not answer this once takes nothing back.
            return match (&known.identity, created) {
                (Some(_), _) => Ok(Identified::Same),
                (None, Some(_)) => Err(Missing::Account),
                (None, None) => Err(Missing::Created),
            };
        };
        let identity = StreamIdentity::new(account, stream.name(), created)?;
        if known.identity.as_ref() == Some(&identity) {
            return Ok(Identified::Same);
        }
        if let Some(other) = self.by_identity.get(&identity) {
            return Err(Missing::Taken(other.clone()));
        }
        let before = known.identity.replace(identity.clone());
        self.by_identity.insert(identity, stream.clone());
        Ok(match before {
            None => Identified::First,
            Some(before) => {
                self.by_identity.remove(&before);
                Identified::Recreated(before)
            }
        })
    }
}

/// A set of streams names this one twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream {0} is named twice")]
pub(crate) struct Twice(pub(crate) String);

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
