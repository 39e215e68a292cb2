//! Whole fleets in virtual time: real workers over one table in memory and a model of the stream, on one thread, with
//! everything that can go wrong drawn from a seed, and a checker that looks at every step.
//!
//! | file | what |
//! |---|---|
//! | `timeline`, `executor`, `clock` | true time, tasks in an order of chance, machines whose clocks drift and jump |
//! | `fault`, `scenario`, `script` | what can go wrong, and what a seed makes of it |
//! | `link`, `fabric`, `table`, `store` | the way to the table: what becomes of a call, and what it changed |
//! | `stream`, `source`, `wire` | the stream and its writers, what reads it, and the way there |
//! | `handler`, `process` | user code, and a worker from its build to its end |
//! | `observation`, `recorder`, `trace`, `checker` | what can be seen of all that, and which promise it breaks |
//! | `broken` | protocols that are broken on purpose, to see that it shows |
//! | `fleet`, `phases` | play a scenario from its beginning to its end |
//!
//! Nothing here reads a clock, starts a thread, or takes an order from a hash: a seed gives the same log, byte for byte.

mod broken;
mod checker;
pub(crate) mod clock;
pub(crate) mod executor;
mod fabric;
mod fault;
mod fleet;
mod handler;
mod link;
mod observation;
mod phases;
mod process;
mod recorder;
mod scenario;
mod script;
mod source;
mod store;
mod stream;
pub(crate) mod table;
pub(crate) mod timeline;
mod trace;
mod wire;

pub use broken::Variant;
pub use checker::Violation;
pub use fault::{Fault, Faults};
pub use scenario::Reader;

use fleet::Fleet;
use scenario::Scenario;
use trace::Trace;

/// What is asked of a run beside its seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many workers begin; absent: the seed says.
    pub workers: Option<u32>,
    /// How many shards the stream begins with; absent: the seed says.
    pub shards: Option<u32>,
    /// What reads the stream; absent: the seed says.
    pub reader: Option<Reader>,
    /// The faults of which a seed chooses some.
    pub faults: Faults,
    /// How to break the protocol; absent: it is sound.
    pub variant: Option<Variant>,
    /// Whether to write down everything that happens.
    pub log: bool,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How much happened.
    pub events: u64,
    /// The promise that was broken first, if any.
    pub violation: Option<Violation>,
    /// Everything that happened, if it was to be written down.
    pub log: Option<String>,
}

/// Runs a seed.
///
/// # Panics
/// If the simulation itself is broken.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    trace::listen();
    // What the SDK draws, it draws from this.
    fastrand::seed(seed);
    let scenario = Scenario::draw(seed, options);
    let mut fleet = Fleet::new(seed, scenario, options).expect("a stream of so many shards can be made");
    let recorder = fleet.world.recorder.clone();
    let trace = options.log.then(|| Trace::begin(fleet.world.executor.clone(), recorder.clone()));
    let violation = fleet.play().err();
    drop(trace);
    Report { events: recorder.events(), violation, log: recorder.take_log() }
}
