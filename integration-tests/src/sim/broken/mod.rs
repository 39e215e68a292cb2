//! Protocols that are broken on purpose, each through a seam that users have too: what a simulation is worth shows in how
//! soon it catches them.

mod answers;
mod clock;
mod conditions;
mod ending;
mod hand_off;
mod observer;
mod planner;
mod twist;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::WorkerBuilder;
use kcl_core::types::WorkerId;

use super::clock::Machine;
use super::store::SimStore;
use answers::{BeginByReading, ConflictTakes, LastSendCounts};
use clock::WallClock;
use conditions::Without;
use ending::{AbsentIsEnded, ChildCancels};
use hand_off::NoDeadline;
use observer::NoMargin;
use planner::RenewedByTimer;
use twist::{Twist, Twisted};

macro_rules! variants {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// A way to break the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Variant {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Variant {
            /// All of them.
            pub const ALL: &[Variant] = &[$(Variant::$variant,)*];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Variant::$variant => $name,)* }
            }

            /// What is broken, in a sentence.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Variant::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

variants! {
    /// Writes of a holder are conditional on the owner alone.
    OwnerAlone = "owner-alone",
    /// Writes of a holder are conditional on owner and epoch, but not on the counter.
    NoCounter = "no-counter",
    /// A tenure begins by reading a row that names the worker.
    TenureByReading = "tenure-by-reading",
    /// The deadline counts from the last instead of the earliest send without an answer.
    DeadlineFromLastSend = "deadline-from-last-send",
    /// A conflict on a take is read as success.
    TakeConflictAsSuccess = "take-conflict-as-success",
    /// A child whose row exists cancels the end of its parent.
    ChildCancelsShardEnd = "child-cancels-shard-end",
    /// The child of a merge is made and read while another parent has no row.
    EarlyMergeChild = "early-merge-child",
    /// Life is judged by the wall clock.
    WallClockExpiry = "wall-clock-expiry",
    /// Observers take a lease after F instead of 1.1 F.
    ObserversWaitF = "observers-wait-f",
    /// The leader lock is renewed although the planner is stuck.
    LockByStuckPlanner = "lock-by-stuck-planner",
    /// A hand-off has no deadline, and nobody completes one that is overdue.
    HandOffWithoutDeadline = "hand-off-without-deadline",
}

/// What the parts of a worker are made of.
pub(crate) struct Kit {
    pub(crate) store: SimStore,
    pub(crate) machine: Machine,
    pub(crate) worker: WorkerId,
    pub(crate) failover: Duration,
}

impl Kit {
    /// Gives a worker the parts of a variant, or those that are sound.
    pub(crate) fn equip(self, variant: Option<Variant>, builder: WorkerBuilder) -> WorkerBuilder {
        let Kit { store, machine, worker, failover } = self;
        let Some(variant) = variant else { return builder.store(store).clock(machine) };
        match variant {
            Variant::OwnerAlone => twisted(builder, store, machine, Without::EpochAndCounter),
            Variant::NoCounter => twisted(builder, store, machine, Without::Counter),
            Variant::TenureByReading => twisted(builder, store, machine, BeginByReading),
            Variant::DeadlineFromLastSend => twisted(builder, store, machine, LastSendCounts),
            Variant::TakeConflictAsSuccess => twisted(builder, store, machine, ConflictTakes),
            Variant::ChildCancelsShardEnd => twisted(builder, store, machine, ChildCancels),
            Variant::EarlyMergeChild => twisted(builder, store, machine, AbsentIsEnded::default()),
            Variant::WallClockExpiry => builder.store(store).clock(WallClock(machine)),
            Variant::ObserversWaitF => {
                let twist = NoMargin::new(machine.clone(), failover);
                twisted(builder, store, machine, twist)
            }
            Variant::LockByStuckPlanner => {
                let fleet = RenewedByTimer::new(store.clone(), machine.clone(), failover);
                builder.stores(Arc::new(store), Arc::new(fleet)).clock(machine)
            }
            Variant::HandOffWithoutDeadline => {
                let twist = NoDeadline::new(machine.clone(), worker);
                twisted(builder, store, machine, twist)
            }
        }
    }
}

fn twisted(builder: WorkerBuilder, store: SimStore, machine: Machine, twist: impl Twist) -> WorkerBuilder {
    let fleet = Arc::new(store.clone());
    builder.stores(Arc::new(Twisted { store, twist }), fleet).clock(machine)
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Variant::ALL.iter().copied().find(|variant| variant.name() == text);
        found.ok_or_else(|| format!("{text:?} is no variant; `--break list` prints all"))
    }
}
