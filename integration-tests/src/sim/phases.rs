//! The course of a run: faults, recovery, planned moves, the end.

use std::time::Duration;

use super::checker::{Checker, Violation};
use super::fleet::Fleet;
use super::observation::Observation;
use super::scenario::calm_habits;
use super::script::Step;
use super::timeline::At;

impl Fleet {
    /// Plays the whole scenario; stops at the first violation.
    pub(crate) fn play(&mut self) -> Result<(), Violation> {
        self.run_until(self.scenario.calm_at)?;
        self.calm();
        self.recover()?;
        self.move_as_planned()?;
        self.stop_all()
    }

    /// From now on nothing goes wrong, but that one worker may still not see the table as a whole: all must be well without
    /// it. Who stood still goes on, and somebody is there.
    fn calm(&mut self) {
        self.world.fabric.calm();
        self.world.stream.calm();
        self.world.handlers.behave(calm_habits(&self.scenario.habits));
        self.agenda.retain(|_, step| matches!(step, Step::Write | Step::Join(_) | Step::MergeChild(_)));
        for process in self.processes.keys().copied().collect::<Vec<_>>() {
            self.resume(process);
        }
        if !self.somebody_sees() {
            self.happen(Step::Join(None));
        }
        self.world.recorder.observe(Observation::Calm);
    }

    /// After the faults: every shard is read again in time, and everything is in order some time later.
    fn recover(&mut self) -> Result<(), Violation> {
        let (begun, failover) = (self.timeline.now(), self.scenario.failover);
        let again = begun + read_again(failover) + self.scenario.reader.patience();
        self.wait_for(again, "P4, every shard is read again", |checker, _| checker.unread())?;
        self.settle(again + settled_after(failover))
    }

    fn settle(&mut self, until: At) -> Result<(), Violation> {
        self.wait_for(until, "P4, a calm fleet settles", |checker, now| checker.unsettled(now))
    }

    /// Waits until nothing is missing any more.
    fn wait_for(
        &mut self,
        until: At,
        promise: &'static str,
        missing: impl Fn(&Checker, At) -> Option<String>,
    ) -> Result<(), Violation> {
        loop {
            self.run_until(self.timeline.now() + LOOK)?;
            let now = self.timeline.now();
            let Some(what) = self.world.recorder.ask(|checker| missing(checker, now)) else { return Ok(()) };
            if now >= until {
                let violation = Violation::new(promise, what);
                self.world.recorder.violate(violation.clone());
                return Err(violation);
            }
        }
    }

    /// In a calm fleet a worker joins and another one leaves: nothing is worked on twice.
    fn move_as_planned(&mut self) -> Result<(), Violation> {
        self.world.fabric.hang_scans(None, At::ZERO);
        // Who could not renew before the faults ended may still lose a lease for it.
        let quiet = self.world.fabric.quiet_at().max(self.scenario.calm_at + self.scenario.failover.mul_f64(1.2));
        self.run_until(quiet.max(self.timeline.now()))?;
        self.settle(self.timeline.now() + settled_after(self.scenario.failover))?;
        self.world.recorder.ask(|checker| checker.set_undisturbed(true));
        for step in [Step::Join(None), Step::Leave] {
            self.apply(step);
            // The move takes a moment to begin.
            self.run_until(self.timeline.now() + Duration::from_secs(2))?;
            self.settle(self.timeline.now() + settled_after(self.scenario.failover))?;
        }
        Ok(())
    }

    /// Everybody stops; nothing is left behind.
    fn stop_all(&mut self) -> Result<(), Violation> {
        self.writing = false;
        let until = self.timeline.now() + settled_after(self.scenario.failover);
        self.wait_for(until, "nothing is skipped", |checker, _| checker.unfinished(At::MAX))?;
        // Nobody comes any more, not even who was to come back.
        self.agenda.clear();
        for process in self.processes.values() {
            process.stop.cancel();
        }
        let until = self.timeline.now() + STOP;
        while !self.processes.is_empty() {
            if self.timeline.now() >= until {
                let left: Vec<_> = self.processes.keys().collect();
                return Err(Violation::new("a worker that is asked to stop stops", format!("{left:?} did not")));
            }
            self.run_until(self.timeline.now() + LOOK)?;
        }
        match self.world.recorder.ask(|checker| checker.not_handed_back()) {
            Some(what) => Err(Violation::new("a worker that stops gives everything back", what)),
            None => Ok(()),
        }
    }
}

/// How often the end of a phase is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// A worker drains for 20 s at most; then it writes and leaves.
const STOP: Duration = Duration::from_secs(30);
/// The budget for leader and standby dying together, the worst that is allowed for: 30 s where F is 10 s.
fn read_again(failover: Duration) -> Duration {
    failover * 3 + Duration::from_secs(5)
}

/// A hand-off that nobody finishes is overdue after this time; then all is even.
fn settled_after(failover: Duration) -> Duration {
    (Duration::from_secs(30) + failover).mul_f64(1.15) + failover * 2
}
