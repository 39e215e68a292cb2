//! How far the model of a lease row goes.

use std::fmt;

/// How far a run goes. Counts are for a whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Workers of ours, at most three.
    pub workers: u8,
    /// Records in the shard.
    pub records: u8,
    /// Takes and adoptions that are sent; so many tenures begin at most, beside the first.
    pub begins: u8,
    /// Writes of leaders: assignments, requests to hand over, completions of what is overdue.
    pub moves: u8,
    /// Renewals that carry no checkpoint.
    pub renewals: u8,
    /// Crashes, each with a restart under the same worker id. A worker that gave its tenure up looks the same.
    pub crashes: u8,
    /// Calls whose answer does not come in time, whatever became of the request.
    pub timeouts: u8,
    /// Requests that take effect twice.
    pub duplicates: u8,
    /// Workers that stop and name a successor or nobody.
    pub stops: u8,
    /// Changes of the leader, whose requests stay on their way.
    pub leaders: u8,
    /// Requests that are late at once, at most three.
    pub late: u8,
    /// Steps of the Java library.
    pub java: u8,
    /// The Java leader takes leases from live holders, too.
    pub java_rash: bool,
    /// The row of the child may be there before the end.
    pub child_early: bool,
    /// Looking at the row and acting on it are two steps.
    pub looks_apart: bool,
    /// Nobody is ever judged silent, and nothing is overdue: what happens is planned.
    pub calm: bool,
}

impl Bounds {
    /// Two workers, one record, and nothing that ever happens to them.
    pub const NONE: Bounds = Bounds {
        workers: 2,
        records: 1,
        begins: 0,
        moves: 0,
        renewals: 0,
        crashes: 0,
        timeouts: 0,
        duplicates: 0,
        stops: 0,
        leaders: 0,
        late: 2,
        java: 0,
        java_rash: false,
        child_early: false,
        looks_apart: false,
        calm: false,
    };
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { workers, records, .. } = self;
        write!(f, "{workers} workers, {records} records")?;
        let counts = [
            (self.begins, "begins"),
            (self.moves, "leader's writes"),
            (self.renewals, "bare renewals"),
            (self.crashes, "crashes"),
            (self.timeouts, "time-outs"),
            (self.duplicates, "duplicates"),
            (self.stops, "stops"),
            (self.leaders, "changes of leader"),
            (self.late, "late at once"),
            (self.java, "steps of Java"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        let flags = [
            (self.java_rash, "which takes from live holders"),
            (self.child_early, "child rows made early"),
            (self.looks_apart, "looks and acts apart"),
            (self.calm, "nobody silent"),
        ];
        flags.into_iter().filter(|(set, _)| *set).try_for_each(|(_, what)| write!(f, ", {what}"))
    }
}
