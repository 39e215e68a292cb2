//! What happens to a fleet until the faults end, drawn before the run begins.

use std::time::Duration;

use super::fault::Fault;
use super::scenario::Scenario;
use super::timeline::At;

/// Something that happens to the fleet. Whom it befalls is decided then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A worker starts, under this number or under a new one.
    Join(Option<u32>),
    /// A worker is asked to stop.
    Leave,
    /// A worker dies.
    Crash(Comeback),
    /// A worker stands still.
    Pause(Duration),
    /// A worker that stood still goes on.
    Resume(super::executor::ProcessId),
    /// A shard is split.
    Split,
    /// Two shards are merged.
    Merge,
    /// A record is written.
    Write,
    /// A worker's way to the table loses a share of what it asks, and of some of that only the answers.
    Break { same: bool, time: Duration, loss: f64, answers: f64 },
    /// The table stands still.
    Stall(Duration),
    /// The table refuses nearly everything.
    Throttle(Duration),
    /// A wall clock jumps by this many milliseconds.
    Jump(i64),
    /// Reads fail.
    FailReads(Duration),
}

/// What becomes of a worker that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comeback {
    Never,
    SameId(Duration),
    NewId(Duration),
}

/// The script of a scenario.
pub(crate) fn write(random: &mut fastrand::Rng, scenario: &Scenario) -> Vec<(At, Step)> {
    let mut script = Script { random, scenario, steps: vec![(Duration::from_millis(500), Step::Write)] };
    for worker in 0..scenario.workers {
        let at = Duration::from_millis(script.random.u64(..2_000));
        script.steps.push((at, Step::Join(Some(worker))));
    }
    script.some(2, |_| Step::Join(None));
    script.some(2, |_| Step::Leave);
    script.some(3, |script| if script.random.bool() { Step::Split } else { Step::Merge });
    if scenario.faults.has(Fault::Crashes) {
        script.some(4, Script::crash);
    }
    if scenario.faults.has(Fault::Pauses) {
        script.some(6, |script| Step::Pause(script.span(4.0)));
    }
    if scenario.faults.has(Fault::Partitions) {
        (0..script.random.u32(..=4)).for_each(|_| script.troubles());
    }
    if scenario.faults.has(Fault::Stalls) {
        script.some(2, |script| Step::Stall(script.span(2.0)));
    }
    if scenario.faults.has(Fault::Throttling) {
        script.some(2, |script| Step::Throttle(script.span(2.0)));
    }
    if scenario.faults.has(Fault::WallJumps) {
        script.some(6, |script| Step::Jump(script.random.i64(-3_600_000..=3_600_000)));
    }
    if scenario.faults.has(Fault::Reads) {
        script.some(2, |script| Step::FailReads(script.span(1.0)));
    }
    let mut steps = script.steps;
    // Stable: steps of one instant keep the order in which they were drawn.
    steps.sort_by_key(|(at, _)| *at);
    steps
}

struct Script<'a> {
    random: &'a mut fastrand::Rng,
    scenario: &'a Scenario,
    steps: Vec<(At, Step)>,
}

impl Script<'_> {
    /// Up to so many times, at any moment; now and then two in a row.
    fn some(&mut self, most: u32, step: impl Fn(&mut Self) -> Step) {
        for _ in 0..self.random.u32(..=most) {
            let mut at = self.scenario.calm_at.mul_f64(self.random.f64());
            for _ in 0..if self.random.u8(..4) == 0 { 2 } else { 1 } {
                let step = step(self);
                self.steps.push((at, step));
                at += self.scenario.failover.mul_f64(self.random.f64());
            }
        }
    }

    /// A time of up to so many failover times, mostly short.
    fn span(&mut self, most: f64) -> Duration {
        self.scenario.failover.mul_f64(0.01 + most * self.random.f64().powi(2))
    }

    fn crash(&mut self) -> Step {
        let delay = self.span(2.0);
        Step::Crash(match self.random.u8(..3) {
            0 => Comeback::Never,
            1 => Comeback::SameId(delay),
            _ => Comeback::NewId(delay),
        })
    }

    /// One worker's way to the table breaks, perhaps comes back for a moment, and breaks again in another manner.
    fn troubles(&mut self) {
        let mut at = self.scenario.calm_at.mul_f64(self.random.f64());
        for phase in 0..self.random.usize(1..=3) {
            let time = self.scenario.failover.mul_f64(0.05 + 1.7 * self.random.f64());
            let loss = [0.7, 0.95, 1.0][self.random.usize(..3)];
            let answers = [0.0, 0.5, 1.0][self.random.usize(..3)];
            self.steps.push((at, Step::Break { same: phase > 0, time, loss, answers }));
            at += time + self.scenario.failover.mul_f64(0.3 * self.random.f64());
        }
    }
}
