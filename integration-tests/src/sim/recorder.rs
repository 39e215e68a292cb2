//! Takes down what happens, and has the checker look at it at once.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checker::{Checker, Violation};
use super::observation::Observation;
use super::timeline::Timeline;

/// The recorder. Clones share it.
#[derive(Clone)]
pub(crate) struct Recorder {
    timeline: Timeline,
    state: Arc<Mutex<State>>,
}

struct State {
    checker: Checker,
    violation: Option<Violation>,
    events: u64,
    log: Option<String>,
}

impl Recorder {
    pub(crate) fn new(timeline: Timeline, checker: Checker, log: bool) -> Self {
        let state = State { checker, violation: None, events: 0, log: log.then(String::new) };
        Recorder { timeline, state: Arc::new(Mutex::new(state)) }
    }

    /// Something that the checker wants to know.
    pub(crate) fn observe(&self, observation: Observation) {
        let at = self.timeline.now();
        let state = &mut *self.lock();
        state.events += 1;
        state.write(at, &observation);
        if state.violation.is_none()
            && let Err(violation) = state.checker.observe(at, &observation)
        {
            state.violate(at, violation);
        }
    }

    /// Something for the log only. The text is made only if there is a log.
    pub(crate) fn note<T: Display>(&self, text: impl FnOnce() -> T) {
        let at = self.timeline.now();
        let state = &mut *self.lock();
        state.events += 1;
        if state.log.is_some() {
            state.write(at, &text());
        }
    }

    /// A line of the log that is no event.
    pub(crate) fn line(&self, line: &str) {
        let at = self.timeline.now();
        self.lock().write(at, &line);
    }

    /// A promise is broken; the first one counts.
    pub(crate) fn violate(&self, violation: Violation) {
        let at = self.timeline.now();
        let state = &mut *self.lock();
        if state.violation.is_none() {
            state.violate(at, violation);
        }
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// Asks the checker.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut Checker) -> T) -> T {
        question(&mut self.lock().checker)
    }

    pub(crate) fn events(&self) -> u64 {
        self.lock().events
    }

    pub(crate) fn take_log(&self) -> Option<String> {
        self.lock().log.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, at: super::timeline::At, line: &impl Display) {
        use std::fmt::Write;
        if let Some(log) = &mut self.log {
            writeln!(log, "{:12.6} {line}", at.as_secs_f64()).expect("a text takes any line");
        }
    }

    fn violate(&mut self, at: super::timeline::At, violation: Violation) {
        self.write(at, &format_args!("VIOLATION {violation}"));
        self.violation = Some(violation);
    }
}
