//! What can go wrong, by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A kind of fault. Joins, leaves, splits and merges are none: they happen in every run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $variant,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Fault] = &[$(Fault::$variant,)*];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }
        }
    };
}

faults! {
    /// Some calls to the table take seconds, and all calls of a worker, most often the leader, take long for a while.
    Latency = "latency",
    /// Requests to the table vanish.
    LostRequests = "lost-requests",
    /// Requests have their effect, and the answer vanishes or says "internal error".
    LostReplies = "lost-replies",
    /// Answers come after whoever asked has given up.
    LateReplies = "late-replies",
    /// Requests have their effect long after whoever sent them has given up.
    LateRequests = "late-requests",
    /// A request has its effect once more, later.
    Duplicates = "duplicates",
    /// The table asks for fewer calls.
    Throttling = "throttling",
    /// The table answers nobody for a while.
    Stalls = "stalls",
    /// The table cannot be reached by one worker for a while, or nearly so.
    Partitions = "partitions",
    /// The leader lock cannot be written for a while.
    NoLeader = "no-leader",
    /// Scans and queries show what was a moment ago.
    StaleScans = "stale-scans",
    /// A worker stands still for a while.
    Pauses = "pauses",
    /// A worker dies; it comes back under the same id, under another one, or not at all.
    Crashes = "crashes",
    /// The clocks of two machines drift apart by up to 5 %.
    Drift = "drift",
    /// Wall clocks jump.
    WallJumps = "wall-jumps",
    /// Reads and listings of the stream fail, take long, expire, or tell less than there is.
    Reads = "reads",
    /// Somebody deletes the row of a lease that is held.
    Deletions = "deletions",
    /// User code fails, panics, takes long, or does not come to an end when it is asked to.
    Handlers = "handlers",
    /// Scans of one worker, most often the leader, or reads of one shard have no answer for long.
    Hangs = "hangs",
}

/// Which kinds of faults may happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Faults(Fault::ALL.iter().copied().collect())
    }

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Faults::default()
    }

    /// Whether this kind may happen.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// How many kinds may happen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing may go wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for which `keep` says so.
    pub(crate) fn only(&self, mut keep: impl FnMut(Fault) -> bool) -> Self {
        Faults(self.0.iter().copied().filter(|fault| keep(*fault)).collect())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => f.write_str("none"),
            n if n == Fault::ALL.len() => f.write_str("all"),
            _ => f.write_str(&self.0.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",")),
        }
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Faults::all()),
            "none" => return Ok(Faults::none()),
            _ => {}
        }
        let by_name = |name: &str| {
            Fault::ALL.iter().copied().find(|fault| fault.name() == name).ok_or_else(|| {
                let known: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                format!("{name:?} is no fault: all, none, or some of {}", known.join(","))
            })
        };
        text.split(',').map(by_name).collect::<Result<_, _>>().map(Faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_reads_as_it_prints() {
        for text in ["all", "none", "latency", "lost-replies,crashes"] {
            assert_eq!(text.parse::<Faults>().unwrap().to_string(), text);
        }
        let error = "crashes,rain".parse::<Faults>().unwrap_err();
        assert!(error.contains("\"rain\"") && error.contains("stale-scans"), "{error}");
    }
}
