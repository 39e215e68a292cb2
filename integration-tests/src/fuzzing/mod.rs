//! Bytes from outside, whatever they are: they become what they say, or a clear error. Never a panic, never a wait without
//! end, never memory that nobody counts.
//!
//! One function for each target takes any bytes and panics if that does not hold. It is called with inputs of chance by the
//! program `fuzz-seeds` and by tests, on stable Rust, and with inputs that coverage guides by the crate in the folder `fuzz`
//! (`cargo fuzz`).
//!
//! | file | knows |
//! |---|---|
//! | `aggregates` | records that claim to be aggregates of the Kinesis Producer Library |
//! | `polls`, `subscriptions` | answers to `GetRecords`, and the event stream of `SubscribeToShard`: real readers over a connection that says this |
//! | `rows` | items of the lease table, of any attributes: leases, workers, the leader |
//! | `reading`, `expected` | driving a reader and holding what it brings against what another decoder finds in the same bytes |
//! | `wire`, `tally` | a service of one closure; a byte budget that counts |
//! | `corpus`, `mutation` | inputs in order, and what chance makes of them |

mod aggregates;
mod corpus;
mod expected;
mod mutation;
mod polls;
mod reading;
mod rows;
mod subscriptions;
mod tally;
mod wire;

use std::fmt;
use std::str::FromStr;

/// Something that reads bytes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Opening an aggregate: the data of a record, and once more with magic and checksum put around it.
    Aggregates,
    /// The body of a `GetRecords` answer.
    Polls,
    /// The body of a `SubscribeToShard` answer: as it comes over the wire, in pieces, or as payloads of events that are
    /// framed properly.
    Subscriptions,
    /// An item of the lease table.
    Rows,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 4] = [Target::Aggregates, Target::Polls, Target::Subscriptions, Target::Rows];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Target::Aggregates => "aggregates",
            Target::Polls => "polls",
            Target::Subscriptions => "subscriptions",
            Target::Rows => "rows",
        }
    }

    /// Reads these bytes.
    ///
    /// # Panics
    /// If what came of them is wrong.
    pub fn check(self, bytes: &[u8]) {
        match self {
            Target::Aggregates => aggregates::check(bytes),
            Target::Polls => polls::check(bytes),
            Target::Subscriptions => subscriptions::check(bytes),
            Target::Rows => rows::check(bytes),
        }
    }

    /// Inputs in order, to begin with.
    #[must_use]
    pub fn corpus(self) -> Vec<Vec<u8>> {
        match self {
            Target::Aggregates => corpus::aggregates(),
            Target::Polls => corpus::polls(),
            Target::Subscriptions => corpus::subscriptions(),
            Target::Rows => corpus::rows(),
        }
    }

    /// Inputs of chance.
    #[must_use]
    pub fn inputs(self) -> Inputs {
        Inputs { corpus: self.corpus() }
    }
}

/// Inputs of chance for a target: something of its corpus, changed in some places.
pub struct Inputs {
    corpus: Vec<Vec<u8>>,
}

impl Inputs {
    /// The input of a seed, always the same one.
    #[must_use]
    pub fn of_seed(&self, seed: u64) -> Vec<u8> {
        mutation::mutated(&self.corpus, &mut fastrand::Rng::with_seed(seed ^ 0x0f0f_5eed))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Target::ALL.map(Target::name).join(", ");
        let found = Target::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| format!("{text:?} is no target: say one of {}", known()))
    }
}
