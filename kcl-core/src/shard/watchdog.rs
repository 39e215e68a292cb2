//! Whether a shard task gets on: what it says it waits for, since when, and what is done about a wait that is too long.
//!
//! | wait | healthy for | then |
//! |---|---|---|
//! | `fetch`: an answer of the source | 2 min | restart `fetch_hangs` |
//! | `idle at tip`: the reader sees no reason to ask | 5 min | restart `reader_hangs` |
//! | `parents`: one look at their rows, and at the listing | 1 min | restart `parents_hang` |
//! | `proof`: a listing that shows the end | 2 min | restart `listing_hangs` |
//! | `retry`: the next attempt, the next look at the parents | until then, and 30 s | restart `lost_wakeup` |
//! | nothing at all | 30 s | restart `lost_wakeup` |
//! | `handler`: user code | 1 min | told as slow, never cut off |
//! | `budget`: memory for the next fetch | 1 min | told as slow: other shards, or user code, hold it |
//! | `checkpoint write`: the write that ends the tenure | 1 min | told as slow: the lease keeper repeats it |
//!
//! What is fetched in advance is no reason for anything while user code has work.

use std::time::Duration;

use crate::types::Moment;

/// What a shard task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The rows of the parents.
    Parents,
    /// A listing that shows the end.
    Proof,
    /// A reason to ask the source.
    IdleAtTip,
    /// Memory for the next fetch.
    Budget,
    /// The answer of the source.
    Fetch,
    /// User code.
    Handler,
    /// The write that ends the tenure.
    CheckpointWrite,
}

impl Wait {
    /// A short name for logs and events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Wait::Parents => "parents",
            Wait::Proof => "proof",
            Wait::IdleAtTip => "idle_at_tip",
            Wait::Budget => "budget",
            Wait::Fetch => "fetch",
            Wait::Handler => "handler",
            Wait::CheckpointWrite => "checkpoint_write",
        }
    }

    /// How long it is healthy, and what is to be done afterwards.
    fn limit(self) -> (Duration, Option<RestartReason>) {
        match self {
            Wait::Fetch => (2 * MINUTE, Some(RestartReason::FetchHangs)),
            Wait::IdleAtTip => (5 * MINUTE, Some(RestartReason::ReaderHangs)),
            Wait::Parents => (MINUTE, Some(RestartReason::ParentsHang)),
            Wait::Proof => (2 * MINUTE, Some(RestartReason::ListingHangs)),
            Wait::Handler | Wait::Budget | Wait::CheckpointWrite => (MINUTE, None),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A task that has nothing to wait for, or does not wake up, is given this much more.
const OVERDUE: Duration = Duration::from_secs(30);

/// Why the task of a shard was started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestartReason {
    /// The source did not answer a fetch for two minutes.
    FetchHangs,
    /// The reader found no reason to ask the source for five minutes.
    ReaderHangs,
    /// The rows of the parents, or the listing, did not come for a minute.
    ParentsHang,
    /// The listing that should show the end of the shard did not come for two minutes.
    ListingHangs,
    /// The task had nothing to wait for, or did not wake up: a defect of this library.
    LostWakeup,
}

impl RestartReason {
    /// A short name for logs, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RestartReason::FetchHangs => "fetch_hangs",
            RestartReason::ReaderHangs => "reader_hangs",
            RestartReason::ParentsHang => "parents_hang",
            RestartReason::ListingHangs => "listing_hangs",
            RestartReason::LostWakeup => "lost_wakeup",
        }
    }
}

/// A wait and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) wait: Wait,
    pub(crate) since: Moment,
}

/// All that a shard task waits for at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// User code.
    pub(crate) handler: Option<Stated>,
    /// The source, or what must be known before it is asked.
    pub(crate) reading: Option<Stated>,
    /// The write that ends the tenure.
    pub(crate) writing: Option<Stated>,
    /// When the task wants to wake up at the latest.
    pub(crate) alarm: Option<Moment>,
    /// User code has work that waits for its next attempt: what is fetched meanwhile is in advance.
    pub(crate) has_work: bool,
    /// The tenure is coming to its end.
    pub(crate) ending: bool,
    /// When all this was said.
    pub(crate) stated: Moment,
}

/// What is to be said of these waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Healthy,
    Slow(Stated),
    Stuck(RestartReason),
}

impl Waits {
    fn judge(&self, now: Moment) -> Verdict {
        let reading = self.reading.filter(|_| !self.has_work);
        if let Some(stated) = self.handler.or(self.writing).or(reading) {
            let (limit, restart) = stated.wait.limit();
            return match restart {
                _ if now.since(stated.since) < limit => Verdict::Healthy,
                Some(reason) if !self.ending => Verdict::Stuck(reason),
                _ => Verdict::Slow(stated),
            };
        }
        let expected = self.alarm.map_or(self.stated, |alarm| alarm.max(self.stated));
        if now.since(expected) < OVERDUE || self.ending {
            return Verdict::Healthy;
        }
        Verdict::Stuck(RestartReason::LostWakeup)
    }
}

/// What is to be done about a shard task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell that it waits for long.
    TellSlow { wait: Wait, since: Moment },
    /// Ask it to come to an end and start it anew.
    Restart { reason: RestartReason, in_a_row: u32 },
    /// It did not come to an end: drop it, and start it anew.
    Drop { reason: RestartReason },
    /// Restarts do not help here: another worker may have more luck.
    GiveAway { reason: RestartReason },
}

/// After so many restarts without any progress the lease is given away.
const RESTARTS: u32 = 3;

/// A shard task as its watchdog knows it. The watchdog runs apart from it: a task that is stuck cannot judge itself.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Counts of the task when it was last looked at.
    seen: Counts,
    restarts: u32,
    asked: Option<Asked>,
    told: Option<Stated>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    reason: RestartReason,
    at: Moment,
    /// What was done about it so far.
    tried: Tried,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Restart,
    Drop,
    GiveAway,
}

/// What a shard task counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Answers that came, deliveries that ended.
    pub(crate) progress: u64,
    /// How often it was started.
    pub(crate) starts: u64,
}

impl Watched {
    /// Looks at a task. `patience` is how long one that was asked to come to an end may take.
    pub(crate) fn look(&mut self, waits: &Waits, counts: Counts, patience: Duration, now: Moment) -> Option<Step> {
        if counts.starts != self.seen.starts {
            self.asked = None;
        }
        if counts.progress != self.seen.progress {
            self.restarts = 0;
        }
        self.seen = counts;
        if let Some(asked) = &mut self.asked {
            return asked.insist(patience, now);
        }
        match waits.judge(now) {
            Verdict::Healthy => None,
            Verdict::Slow(stated) if self.told == Some(stated) => None,
            Verdict::Slow(stated) => {
                self.told = Some(stated);
                Some(Step::TellSlow { wait: stated.wait, since: stated.since })
            }
            Verdict::Stuck(reason) if self.restarts >= RESTARTS => {
                self.asked = Some(Asked { reason, at: now, tried: Tried::GiveAway });
                Some(Step::GiveAway { reason })
            }
            Verdict::Stuck(reason) => Some(self.restart(reason, now)),
        }
    }

    /// Nothing is to be remembered of it: one that is looked at for the first time is the same.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.restarts == 0 && self.asked.is_none() && self.told.is_none()
    }

    /// The lease could not be given away: it is tried again here.
    pub(crate) fn restart(&mut self, reason: RestartReason, now: Moment) -> Step {
        self.restarts = self.restarts.saturating_add(1);
        self.asked = Some(Asked { reason, at: now, tried: Tried::Restart });
        Step::Restart { reason, in_a_row: self.restarts }
    }
}

impl Asked {
    fn insist(&mut self, patience: Duration, now: Moment) -> Option<Step> {
        if now.since(self.at) < patience {
            return None;
        }
        let (tried, step) = match self.tried {
            Tried::Restart => (Tried::Drop, Step::Drop { reason: self.reason }),
            // It cannot even be dropped: something holds its thread. Whoever holds the lease elsewhere fares better.
            Tried::Drop => (Tried::GiveAway, Step::GiveAway { reason: self.reason }),
            Tried::GiveAway => (Tried::Drop, Step::Drop { reason: self.reason }),
        };
        (self.tried, self.at) = (tried, now);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn second(second: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(second))
    }

    fn since(wait: Wait, at: u64) -> Option<Stated> {
        Some(Stated { wait, since: second(at) })
    }

    fn reading(wait: Wait) -> Waits {
        Waits { reading: since(wait, 0), ..Waits::default() }
    }

    /// The first second at which something is done, and what.
    fn first(waits: Waits) -> Option<(u64, Step)> {
        let mut watched = Watched::default();
        (0..1_000).find_map(|at| Some((at, watched.look(&waits, Counts::default(), PATIENCE, second(at))?)))
    }

    #[test]
    fn every_wait_has_a_limit() {
        let restart = |reason| Step::Restart { reason, in_a_row: 1 };
        let slow = |wait| Step::TellSlow { wait, since: second(0) };
        let handler = Waits { handler: since(Wait::Handler, 0), ..Waits::default() };
        let writing = Waits { writing: since(Wait::CheckpointWrite, 0), ..Waits::default() };
        let alarm = Waits { alarm: Some(second(100)), ..Waits::default() };
        for (waits, expected) in [
            (reading(Wait::Fetch), (120, restart(RestartReason::FetchHangs))),
            (reading(Wait::IdleAtTip), (300, restart(RestartReason::ReaderHangs))),
            (reading(Wait::Parents), (60, restart(RestartReason::ParentsHang))),
            (reading(Wait::Proof), (120, restart(RestartReason::ListingHangs))),
            (reading(Wait::Budget), (60, slow(Wait::Budget))),
            (handler, (60, slow(Wait::Handler))),
            (writing, (60, slow(Wait::CheckpointWrite))),
            (alarm, (130, restart(RestartReason::LostWakeup))),
            (Waits::default(), (30, restart(RestartReason::LostWakeup))),
        ] {
            assert_eq!(first(waits), Some(expected), "{waits:?}");
        }
    }

    #[test]
    fn what_is_fetched_in_advance_is_no_reason_while_user_code_has_work() {
        let busy = Waits { handler: since(Wait::Handler, 600), ..reading(Wait::Fetch) };
        let retrying = Waits { has_work: true, alarm: Some(second(990)), ..reading(Wait::Fetch) };
        assert_eq!(busy.judge(second(610)), Verdict::Healthy);
        assert_eq!(retrying.judge(second(610)), Verdict::Healthy);
        assert_eq!(
            reading(Wait::Fetch).judge(second(610)),
            Verdict::Stuck(RestartReason::FetchHangs),
            "but afterwards"
        );
    }

    #[test]
    fn a_tenure_that_comes_to_its_end_is_not_restarted() {
        assert_eq!(first(Waits { ending: true, ..Waits::default() }), None);
        let reading = Waits { ending: true, ..reading(Wait::Fetch) };
        assert!(matches!(first(reading), Some((_, Step::TellSlow { .. }))));
    }

    #[test]
    fn the_third_restart_without_progress_is_the_last_one_here() {
        let (mut watched, mut counts) = (Watched::default(), Counts::default());
        let mut steps = Vec::new();
        for at in 0..1_000 {
            let start = Waits { reading: since(Wait::Fetch, at / 130 * 130), ..Waits::default() };
            let step = watched.look(&start, counts, PATIENCE, second(at));
            counts.starts += u64::from(matches!(step, Some(Step::Restart { .. })));
            steps.extend(step);
            if let Some(Step::GiveAway { .. }) = step {
                break;
            }
        }
        let reason = RestartReason::FetchHangs;
        let restart = |in_a_row| Step::Restart { reason, in_a_row };
        assert_eq!(steps, [restart(1), restart(2), restart(3), Step::GiveAway { reason }]);
        counts.progress += 1;
        counts.starts += 1;
        let step = watched.look(&reading(Wait::Fetch), counts, PATIENCE, second(1_000));
        assert_eq!(step, Some(restart(1)), "progress begins the count anew");
    }

    #[test]
    fn a_task_that_does_not_come_to_an_end_is_dropped_and_one_that_cannot_be_loses_its_lease() {
        let mut watched = Watched::default();
        let waits = reading(Wait::Fetch);
        let steps: Vec<(u64, Step)> = (0..190)
            .filter_map(|at| Some((at, watched.look(&waits, Counts::default(), PATIENCE, second(at))?)))
            .collect();
        let reason = RestartReason::FetchHangs;
        let expected = [
            (120, Step::Restart { reason, in_a_row: 1 }),
            (140, Step::Drop { reason }),
            (160, Step::GiveAway { reason }),
            (180, Step::Drop { reason }),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_slow_wait_is_told_once() {
        let mut watched = Watched::default();
        let waits = Waits { handler: since(Wait::Handler, 0), ..Waits::default() };
        let told = (0..600).filter(|&at| watched.look(&waits, Counts::default(), PATIENCE, second(at)).is_some());
        assert_eq!(told.count(), 1);
        let next = Waits { handler: since(Wait::Handler, 600), ..Waits::default() };
        assert!(watched.look(&next, Counts::default(), PATIENCE, second(660)).is_some());
    }
}
