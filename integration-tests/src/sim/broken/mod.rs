//! Protocols that are broken on purpose, each through a seam that users have too: what a simulation is worth shows in how
//! soon it catches them.

mod clock;
mod store;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kcl_core::WorkerBuilder;

use super::clock::Machine;
use super::store::SimStore;
use clock::WallClock;
use store::BrokenStore;

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
    /// Life is judged by the wall clock.
    WallClockExpiry = "wall-clock-expiry",
}

impl Variant {
    /// Gives a worker the parts of this variant, or those that are sound.
    pub(crate) fn equip(
        variant: Option<Variant>,
        builder: WorkerBuilder,
        store: SimStore,
        machine: Machine,
    ) -> WorkerBuilder {
        let fleet = Arc::new(store.clone());
        match variant {
            None => builder.stores(Arc::clone(&fleet) as Arc<dyn kcl_core::ports::LeaseStore>, fleet).clock(machine),
            Some(Variant::WallClockExpiry) => {
                let leases = Arc::clone(&fleet) as Arc<dyn kcl_core::ports::LeaseStore>;
                builder.stores(leases, fleet).clock(WallClock(machine))
            }
            Some(variant) => builder.stores(Arc::new(BrokenStore { store, variant }), fleet).clock(machine),
        }
    }
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
