//! Scripted faults: which calls go wrong, and how.

use super::request::{Operation, Request};
use crate::types::StoreError;

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The store says no with this error, and nothing happens: `Refused`, or `Err` for a read.
    Refuse(StoreError),
    /// The call has its effect, but the answer is lost: `Unknown`. A read fails as unavailable.
    LoseAnswer,
    /// The request is lost on the way and has no effect, which its sender cannot know: `Unknown`. A read fails as
    /// unavailable.
    LoseRequest,
    /// `Unknown` now; the request lands later and then meets the rows as they are at that time. A read fails as
    /// unavailable.
    Late {
        /// It lands before the n-th later call of any operation (1: the next one); `None`: when
        /// [`MemoryStore::land_late`](super::MemoryStore::land_late) says so.
        before_call: Option<u64>,
    },
}

/// Which calls meet a fault: the n-th call of some operations, perhaps only on one row.
///
/// Rules are asked in the order in which they were added; the first that fires decides, and those behind it do not count
/// that call. A rule that has fired as often as it should is gone.
///
/// ```
/// use kcl_core::memory::{Fault, FaultRule, MemoryStore, Operation};
///
/// let store = MemoryStore::new();
/// // The third update of any row is applied, but nobody hears of it.
/// store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Update).after(2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    operations: Vec<Operation>,
    row: Option<String>,
    pass: u64,
    times: Option<u64>,
    fault: Fault,
}

impl FaultRule {
    /// A rule for the next call, whatever it is.
    pub fn new(fault: Fault) -> Self {
        FaultRule { operations: Vec::new(), row: None, pass: 0, times: Some(1), fault }
    }

    /// Only calls of this operation; said more than once, of any of these.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Only calls that name the row with this key.
    pub fn row(mut self, key: impl Into<String>) -> Self {
        self.row = Some(key.into());
        self
    }

    /// Lets this many matching calls pass first.
    pub fn after(mut self, calls: u64) -> Self {
        self.pass = calls;
        self
    }

    /// Fires this many times; 1 unless said otherwise.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Fires for ever, until the script is cleared.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        (self.operations.is_empty() || self.operations.contains(&request.operation()))
            && self.row.as_ref().is_none_or(|key| request.names(key))
    }

    /// Counts a matching call; whether the fault happens to it.
    fn fires(&mut self) -> bool {
        if self.pass > 0 {
            self.pass -= 1;
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// The rules, and the requests that have yet to land.
#[derive(Default)]
pub(super) struct Script {
    rules: Vec<FaultRule>,
    calls: u64,
    late: Vec<(Option<u64>, Request)>,
}

impl Script {
    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn take_late(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.late).into_iter().map(|(_, request)| request).collect()
    }

    /// Counts a call, and yields the requests that were to land before it.
    pub(super) fn due_before_next_call(&mut self) -> Vec<Request> {
        self.calls += 1;
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(call, _)| call.is_some_and(|call| call <= self.calls));
        self.late = later;
        let due: Vec<(Option<u64>, Request)> = due;
        due.into_iter().map(|(_, request)| request).collect()
    }

    pub(super) fn fault_for(&mut self, request: &Request) -> Option<Fault> {
        let rule = self.rules.iter_mut().find_map(|rule| (rule.matches(request) && rule.fires()).then_some(rule))?;
        let fault = rule.fault.clone();
        if let Fault::Late { before_call } = fault {
            self.late.push((before_call.map(|later| self.calls + later), request.clone()));
        }
        self.rules.retain(|rule| rule.times != Some(0));
        Some(fault)
    }
}
