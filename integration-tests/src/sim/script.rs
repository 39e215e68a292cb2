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
    /// A shard is split, perhaps while reading it hangs, and one of its children soon merged with another shard.
    Entangle { lag: Option<Duration>, pause: Duration },
    /// The second half of that.
    MergeChild(kcl_local::ShardId),
    /// A record is written.
    Write,
    /// A holder's way to the table loses a share of what it asks, and of some of that only the answers; this, or the one
    /// whose way was broken last.
    Break { same: bool, time: Duration, loss: f64, answers: f64 },
    /// What a holder asks takes effect, but the answers are lost; then all is well for a moment; then nothing comes through.
    Flicker { deaf: Duration, well: Duration, cut: Duration },
    /// The last part of that.
    Cut(super::executor::ProcessId, Duration),
    /// Every call of a worker, most often of the leader, takes long, but has an answer in time.
    Slow { leader: bool, time: Duration, slowness: Duration },
    /// The table stands still.
    Stall(Duration),
    /// The leader lock cannot be written.
    FailLock(Duration),
    /// The table refuses nearly everything.
    Throttle(Duration),
    /// The row of a lease is deleted whose holder lives.
    DeleteRow,
    /// A wall clock jumps by this many milliseconds.
    Jump(i64),
    /// Reads fail.
    FailReads(Duration),
    /// Scans of a worker hang, most often those of the leader.
    HangScans { leader: bool, time: Duration },
    /// Reads of a shard hang.
    HangReads(Duration),
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
    script.some(1, Script::entangle);
    if scenario.faults.has(Fault::Crashes) {
        script.some(4, Script::crash);
    }
    if scenario.faults.has(Fault::Pauses) {
        script.some(6, |script| Step::Pause(script.span(4.0)));
    }
    if scenario.faults.has(Fault::Partitions) {
        // Many where there is little else, one after another.
        let most = if scenario.faults.count() <= 5 { 10 } else { 5 };
        let troubles = script.random.u32(..=most);
        (0..troubles).for_each(|turn| script.troubles((turn, troubles)));
    }
    if scenario.faults.has(Fault::Latency) {
        script.some(2, Script::slow);
    }
    if scenario.faults.has(Fault::Stalls) {
        script.some(2, |script| Step::Stall(script.span(2.0)));
    }
    if scenario.faults.has(Fault::Throttling) {
        script.some(2, |script| Step::Throttle(script.span(2.0)));
    }
    if scenario.faults.has(Fault::NoLeader) {
        script.some(2, |script| Step::FailLock(script.scenario.failover.mul_f64(2.0 + 4.0 * script.random.f64())));
    }
    if scenario.faults.has(Fault::WallJumps) {
        script.some(6, Script::jump);
    }
    if scenario.faults.has(Fault::Deletions) {
        script.some(2, |_| Step::DeleteRow);
    }
    if scenario.faults.has(Fault::Reads) {
        script.some(2, |script| Step::FailReads(script.span(1.0)));
    }
    if scenario.faults.has(Fault::Hangs) {
        script.some(2, Script::hang_scans);
        script.some(2, |script| Step::HangReads(script.span(4.0)));
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
        // When others are about to take what it had.
        let late = self.scenario.failover.mul_f64(1.1 + 0.4 * self.random.f64());
        Step::Crash(match self.random.u8(..4) {
            0 => Comeback::Never,
            1 => Comeback::SameId(delay),
            2 => Comeback::SameId(late),
            _ => Comeback::NewId(delay),
        })
    }

    fn entangle(&mut self) -> Step {
        let hangs = self.scenario.faults.has(Fault::Hangs);
        let lag = hangs.then(|| self.scenario.failover.mul_f64(1.0 + 2.0 * self.random.f64()));
        Step::Entangle { lag, pause: self.scenario.write_every.mul_f64(6.0 * self.random.f64()) }
    }

    /// By up to an hour, or by about as much as a failure takes to be noticed.
    fn jump(&mut self) -> Step {
        let most = if self.random.bool() { Duration::from_secs(3600) } else { self.scenario.failover * 2 };
        let most = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
        Step::Jump(self.random.i64(-most..=most))
    }

    /// So slow that an attempt just fits.
    fn slow(&mut self) -> Step {
        let slowness = self.scenario.failover.mul_f64(0.01 + 0.035 * self.random.f64());
        let time = self.scenario.failover.mul_f64(6.0 * self.random.f64());
        Step::Slow { leader: self.random.bool(), time, slowness }
    }

    /// Some hang until the faults are over, and longer.
    fn hang_scans(&mut self) -> Step {
        let time = if self.random.bool() { self.scenario.calm_at * 100 } else { self.span(4.0) };
        Step::HangScans { leader: self.random.u8(..4) > 0, time }
    }

    /// One of the ways in which a worker's connection to the table fails.
    fn troubles(&mut self, (turn, turns): (u32, u32)) {
        let at = self.scenario.calm_at.mul_f64((f64::from(turn) + self.random.f64()) / f64::from(turns));
        match self.random.u8(..8) {
            0 | 1 => self.flutters(at),
            2..5 => self.falls_silent(at),
            _ => self.flickers(at),
        }
    }

    /// Nothing comes through for about as long as others wait.
    fn falls_silent(&mut self, at: At) {
        let (least, more) = if self.random.bool() { (0.8, 0.6) } else { (1.2, 0.7) };
        let time = self.scenario.failover.mul_f64(least + more * self.random.f64());
        self.steps.push((at, Step::Break { same: false, time, loss: 1.0, answers: 0.0 }));
    }

    /// As if the earliest of several unanswered writes were the one that counts.
    fn flickers(&mut self, at: At) {
        let failover = self.scenario.failover;
        let deaf = failover.mul_f64(0.4 + 0.25 * self.random.f64());
        let well = failover.mul_f64(0.1 + 0.15 * self.random.f64());
        let cut = failover.mul_f64(1.2 + 0.5 * self.random.f64());
        self.steps.push((at, Step::Flicker { deaf, well, cut }));
    }

    /// One worker's way to the table breaks, perhaps comes back for a moment, and breaks again in another manner.
    fn flutters(&mut self, mut at: At) {
        for phase in 0..self.random.usize(1..=3) {
            let time = self.scenario.failover.mul_f64(0.05 + 1.7 * self.random.f64());
            let loss = [0.7, 0.95, 1.0][self.random.usize(..3)];
            let answers = [0.0, 0.5, 1.0][self.random.usize(..3)];
            self.steps.push((at, Step::Break { same: phase > 0, time, loss, answers }));
            at += time + self.scenario.failover.mul_f64(0.3 * self.random.f64());
        }
    }
}
