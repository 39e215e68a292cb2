//! Where the run stands: when a worker is killed, and when the run is over. Pure: time is an argument.

use std::time::Duration;

use kcl_core::types::Moment;

use super::tally::Counts;

/// What decides about kill and end.
#[derive(Debug)]
pub(super) struct Course {
    kill_after: Option<Duration>,
    patience: Duration,
    /// Everything is handed over to the stream.
    pub(super) fed: bool,
    first_read: Option<Moment>,
    /// When something happened last that the end waits for.
    moved: Moment,
    victim: Option<String>,
}

impl Course {
    /// A run that begins now.
    pub(super) fn new(kill_after: Option<Duration>, failover_time: Duration, now: Moment) -> Self {
        let patience = failover_time * 2 + PATIENCE;
        Course { kill_after, patience, fed: false, first_read: None, moved: now, victim: None }
    }

    /// Records were read.
    pub(super) fn read(&mut self, now: Moment) {
        self.first_read.get_or_insert(now);
        self.moved = now;
    }

    /// When a worker is to be killed, unless that is over.
    pub(super) fn kill_at(&self) -> Option<Moment> {
        let at = self.first_read? + self.kill_after?;
        self.victim.is_none().then_some(at)
    }

    /// This worker was killed.
    pub(super) fn killed(&mut self, victim: String, now: Moment) {
        self.victim = Some(victim);
        self.moved = now;
    }

    /// The worker that was killed.
    pub(super) fn victim(&self) -> Option<&str> {
        self.victim.as_deref()
    }

    /// Everything is put and read, and if a worker was to be killed, it is, and others have its shards (`taken_over`).
    /// Waiting has an end, too: where nothing moves for long, nothing will.
    pub(super) fn is_over(&self, now: Moment, total: Counts, taken_over: bool) -> bool {
        let nothing_to_kill_for = self.kill_after.is_none() || total.put == 0;
        let complete = total.missing == 0 && (nothing_to_kill_for || (self.victim.is_some() && taken_over));
        let stuck = self.kill_at().is_none() && now.since(self.moved) > self.patience;
        self.fed && (complete || stuck)
    }
}

/// On top of two take-overs.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const F: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn counts(put: u64, missing: u64) -> Counts {
        Counts { put, read: put - missing, distinct: put - missing, missing }
    }

    #[test]
    fn a_run_is_over_when_all_is_put_and_read() {
        let mut course = Course::new(None, F, at(0));
        assert!(!course.is_over(at(1), counts(5, 0), false), "more may be put");
        course.fed = true;
        assert!(!course.is_over(at(1), counts(5, 1), false));
        assert!(course.is_over(at(1), counts(5, 0), false));
        assert!(course.is_over(at(1), counts(0, 0), false), "an empty input is all read");
    }

    #[test]
    fn a_kill_counts_from_the_first_record_and_holds_up_the_end() {
        let mut course = Course::new(Some(Duration::from_secs(60)), F, at(0));
        assert_eq!(course.kill_at(), None);
        course.read(at(2));
        course.read(at(3));
        course.fed = true;
        assert_eq!(course.kill_at(), Some(at(62)));
        assert!(!course.is_over(at(61), counts(5, 0), true));
        course.killed("worker-1".into(), at(62));
        assert_eq!((course.kill_at(), course.victim()), (None, Some("worker-1")));
        assert!(!course.is_over(at(63), counts(5, 0), false));
        assert!(course.is_over(at(66), counts(5, 0), true));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut course = Course::new(None, F, at(0));
        course.fed = true;
        course.read(at(10));
        assert!(!course.is_over(at(46), counts(5, 1), false));
        assert!(course.is_over(at(47), counts(5, 1), false));
    }
}
