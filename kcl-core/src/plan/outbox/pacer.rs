//! How fast writes may follow each other: as fast as they come until the table throttles, then at the pace it takes.

use std::time::Duration;

use crate::types::Moment;

/// The gap between two writes, found like the window of a TCP connection: it grows by half with a refusal, shrinks a little
/// with each write that is taken, and after an outage is halved until it is back where the table last coped.
#[derive(Debug)]
pub(super) struct Pacer {
    gap: Duration,
    /// The gap at which refusals began: above it one may hurry.
    coped: Duration,
    longest: Duration,
    /// When the next write may go.
    next: Moment,
    /// When the gap was last widened. A refusal of what was sent before says nothing about the wider gap.
    widened: Option<Moment>,
    /// Whether a write was taken since.
    taken_since: bool,
}

/// The first gap.
const FIRST: Duration = Duration::from_millis(5);

/// A gap below this is none.
const LEAST: Duration = Duration::from_millis(1);

impl Pacer {
    pub(super) fn new(longest: Duration) -> Self {
        Pacer {
            gap: Duration::ZERO,
            coped: Duration::ZERO,
            longest,
            next: Moment::default(),
            widened: None,
            taken_since: true,
        }
    }

    pub(super) fn allows(&self, now: Moment) -> bool {
        now >= self.next
    }

    pub(super) fn next(&self) -> Moment {
        self.next
    }

    pub(super) fn sent(&mut self, now: Moment) {
        // Timers are coarse: a write that went a little late does not move those behind it.
        self.next = self.next.max(now.saturating_sub(self.gap)) + self.gap;
    }

    pub(super) fn throttled(&mut self, sent: Moment, now: Moment) {
        if self.widened.is_some_and(|widened| sent < widened) {
            return;
        }
        self.widened = Some(now);
        let wider = if self.gap.is_zero() { FIRST } else { self.gap + self.gap / 2 }.min(self.longest);
        if std::mem::take(&mut self.taken_since) {
            self.coped = wider;
        }
        self.gap = wider;
        self.next = self.next.max(now + wider);
    }

    pub(super) fn taken(&mut self) {
        self.taken_since = true;
        let narrower = if self.gap > self.coped { (self.gap / 2).max(self.coped) } else { self.gap - self.gap / 16 };
        self.gap = if narrower < LEAST { Duration::ZERO } else { narrower };
    }
}
