//! How far the model of a lineage goes.

use std::fmt;

/// Where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// There is no row.
    Empty,
    /// The first shards are held, and nothing is read.
    Fresh,
    /// What is closed has ended, and its children have begun.
    Begun,
}

/// How far a run goes. Counts are for a whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Where it begins.
    pub start: Start,
    /// Workers, at most three.
    pub workers: u8,
    /// Takes and adoptions; so many tenures begin at most, beside the first and those that begin with the end of a parent.
    pub begins: u8,
    /// Looks of a leader that finds rows missing. It acts on them at any time after.
    pub looks: u8,
    /// Removals that a leader sends.
    pub cleans: u8,
    /// Crashes, each with a restart under the same worker id.
    pub crashes: u8,
    /// Transactions whose answer does not come in time, whatever became of them.
    pub timeouts: u8,
    /// Rows that somebody removes or sets back by hand.
    pub hands: u8,
}

impl Bounds {
    /// Two workers, and nothing that ever happens to them.
    pub const NONE: Bounds =
        Bounds { start: Start::Fresh, workers: 2, begins: 0, looks: 0, cleans: 0, crashes: 0, timeouts: 0, hands: 0 };
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { workers, start, .. } = self;
        write!(f, "{workers} workers")?;
        match start {
            Start::Empty => write!(f, ", an empty table")?,
            Start::Fresh => {}
            Start::Begun => write!(f, ", the children have begun")?,
        }
        let counts = [
            (self.begins, "begins"),
            (self.looks, "leader's looks"),
            (self.cleans, "removals"),
            (self.crashes, "crashes"),
            (self.timeouts, "time-outs"),
            (self.hands, "rows changed by hand"),
        ];
        counts.into_iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
