//! What the world looks like between two steps.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};

use kcl_core::testing::protocol::lock::{LeaderDuty, Leadership};

use super::row::{Lock, TIMINGS, moment};
use crate::protocol::row::Who;

/// What a process knows, comparable once [`State::print`] was called.
#[derive(Clone)]
pub struct Mind {
    leadership: Leadership,
    /// Of all that it knows.
    print: u64,
}

impl Mind {
    fn new(who: Who, now: u8) -> Mind {
        let spread = f64::from(who.0) / 2.0;
        Mind { leadership: Leadership::new(who.id().clone(), *TIMINGS, spread, moment(now)), print: 0 }
    }

    /// Lets it learn or decide something.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Leadership) -> T) -> T {
        change(&mut self.leadership)
    }

    fn print(&mut self) {
        let mut print = Print(DefaultHasher::new());
        // All that it knows is in its Debug form; a hasher takes any text.
        let _written = write!(print, "{:?}", self.leadership);
        self.print = print.0.finish();
    }

    pub(super) fn leads(&self, now: u8) -> bool {
        self.leadership.leads(moment(now))
    }

    pub(super) fn must_look(&self, now: u8) -> bool {
        self.leadership.must_look(moment(now))
    }

    pub(super) fn duty(&self, now: u8) -> LeaderDuty {
        self.leadership.duty(moment(now))
    }

    pub(super) fn may_claim(&self, now: u8) -> bool {
        self.leadership.may_claim(moment(now))
    }
}

struct Print(DefaultHasher);

impl fmt::Write for Print {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl PartialEq for Mind {
    fn eq(&self, other: &Mind) -> bool {
        self.print == other.print
    }
}

impl Hash for Mind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

impl fmt::Debug for Mind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.leadership.fmt(f)
    }
}

/// A write of the lock: which version must be there, and the new row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Write {
    /// The version that must be there; nothing if there must be no row.
    pub expected: Option<u8>,
    /// What is written.
    pub lock: Lock,
}

/// What the table answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Written.
    Applied,
    /// Not written; the row as it was then.
    Conflict(Lock),
    /// There is no row.
    Missing,
}

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// What was sent.
    pub write: Write,
    /// What came back, if it did.
    pub answer: Option<Answer>,
}

/// A worker's process.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Process {
    /// What it knows.
    pub mind: Mind,
    /// Its write under way.
    pub call: Option<Call>,
    /// The row as it saw it last; nothing if it is to look in any case.
    pub seen: Option<Option<Lock>>,
    /// It has acted at this time.
    pub acted: bool,
    /// It has led.
    pub led: bool,
}

impl Process {
    /// One that has just started.
    pub fn new(who: Who, now: u8) -> Process {
        Process { mind: Mind::new(who, now), call: None, seen: None, acted: false, led: false }
    }
}

/// How much of each bounded kind of event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Spent {
    // Each as the bound of the same name.
    pub timeouts: u8,
    pub crashes: u8,
    pub stops: u8,
    pub cycles: u8,
}

/// The row and everybody who writes it.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct State {
    /// Halves of F since the beginning.
    pub now: u8,
    /// The lock.
    pub row: Option<Lock>,
    /// The workers; nothing where one has stopped.
    pub workers: Vec<Option<Process>>,
    /// A write that nobody waits for and that may still arrive.
    pub late: Option<Write>,
    /// How many versions were made.
    pub versions: u8,
    /// What happened of what is bounded.
    pub spent: Spent,
}

impl State {
    /// Those that have not stopped.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.workers.iter().flatten()
    }

    /// A worker that has not stopped.
    pub fn process(&self, who: Who) -> Option<&Process> {
        self.workers[who.index()].as_ref()
    }

    /// The same, to change.
    pub fn process_mut(&mut self, who: Who) -> Option<&mut Process> {
        self.workers[who.index()].as_mut()
    }

    /// Makes it comparable.
    pub fn print(&mut self) {
        self.workers.iter_mut().flatten().for_each(|process| process.mind.print());
    }

    /// A version that is new in the world.
    pub fn version(&mut self) -> String {
        self.versions += 1;
        self.versions.to_string()
    }
}
