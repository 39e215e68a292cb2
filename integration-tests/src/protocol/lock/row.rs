//! The leader row, packed, and the way to the library's own row and back.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use kcl_core::settings::Timings;
use kcl_core::types::{LeaderRow, Moment};

use crate::protocol::row::Who;

/// Half of F: between F, for which a leader trusts its lock, and 1.2 F, for which others wait, lies one tick.
const TICK: Duration = Duration::from_secs(5);

/// The times of a fleet whose F is two ticks.
pub(super) static TIMINGS: LazyLock<Timings> = LazyLock::new(|| Timings::from_failover_time(TICK * 2));

/// A time as the library knows it.
pub(super) fn moment(now: u8) -> Moment {
    Moment::from_origin(TICK * u32::from(now))
}

/// The lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lock {
    /// `ownerName`.
    pub owner: Who,
    /// `recordVersionNumber`.
    pub version: u8,
    /// `isReleased`.
    pub released: bool,
    /// `k_cycle`.
    pub cycle: u8,
    /// `k_standby`.
    pub standby: Option<Who>,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lock { owner, version, released, cycle, standby } = self;
        write!(f, "{owner:?} has it, version {version}, cycle {cycle}")?;
        if *released {
            write!(f, ", released")?;
        }
        standby.map_or(Ok(()), |standby| write!(f, ", standby {standby:?}"))
    }
}

impl Lock {
    /// As the library knows it. `duration`: how long others wait for it to move.
    pub(super) fn row(&self, duration: Duration) -> LeaderRow {
        let mut row = LeaderRow::new(self.owner.id().clone(), duration, self.version.to_string());
        row.released = self.released;
        row.cycle = Some(u64::from(self.cycle));
        row.standby = self.standby.map(|who| who.id().clone());
        row
    }

    /// What the model keeps of the library's row.
    pub(super) fn of(row: &LeaderRow) -> Lock {
        Lock {
            owner: Who::of(&row.owner),
            version: row.version.parse().expect("the model numbers its versions"),
            released: row.released,
            cycle: row.cycle.and_then(|cycle| u8::try_from(cycle).ok()).expect("bounds keep numbers small"),
            standby: row.standby.as_ref().map(Who::of),
        }
    }
}
