//! What a seed means: how large the fleet is, what can go wrong, how often, and when.

use std::str::FromStr;
use std::time::Duration;

use super::Options;
use super::fault::{Fault, Faults};
use super::handler::Habits;
use super::link::Rates;
use super::script::{self, Step};
use super::stream::ReadRates;
use super::timeline::At;

/// Everything about a run that is decided before it begins.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) failover: Duration,
    pub(crate) workers: u32,
    pub(crate) shards: u32,
    /// The kinds of faults of this run.
    pub(crate) faults: Faults,
    pub(crate) rates: Rates,
    pub(crate) reads: ReadRates,
    pub(crate) habits: Habits,
    /// The slowest clock; the fastest is 5 % faster. In millionths.
    pub(crate) slowest: i64,
    /// Rows of a page of a scan.
    pub(crate) page: usize,
    /// Records of an answer.
    pub(crate) batch: usize,
    /// The time between two writes to the stream.
    pub(crate) write_every: Duration,
    pub(crate) checkpoint_interval: Option<Duration>,
    /// What reads the stream.
    pub(crate) reader: Reader,
    /// Whether the table has transactions. DynamoDB has; some that speak like it do not.
    pub(crate) transactions: bool,
    /// When the faults end.
    pub(crate) calm_at: At,
    /// What happens until then, in order.
    pub(crate) script: Vec<(At, Step)>,
}

/// What reads the stream: the reader of the simulation, which talks to the model itself, or one of the library's over an SDK
/// client and a connection that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Asks the model as a reader that polls would.
    Model,
    /// The library's reader that polls.
    Polling,
    /// The one that subscribes.
    FanOut,
    /// The one that subscribes where it can.
    Auto,
}

impl Reader {
    /// All of them.
    pub const ALL: [Reader; 4] = [Reader::Model, Reader::Polling, Reader::FanOut, Reader::Auto];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reader::Model => "model",
            Reader::Polling => "polling",
            Reader::FanOut => "fanout",
            Reader::Auto => "auto",
        }
    }

    /// How long after the last fault it may still wait before it tries again.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Reader::Model => Duration::ZERO,
            // The longest delay between calls, and the rule of five seconds.
            Reader::Polling | Reader::FanOut | Reader::Auto => Duration::from_secs(36),
        }
    }
}

impl FromStr for Reader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Reader::ALL.into_iter().find(|reader| reader.name() == text);
        found.ok_or_else(|| format!("{text:?} is no reader: say one of {}", Reader::ALL.map(Reader::name).join(", ")))
    }
}

/// Of which one is drawn. Those of the library take more of a real processor's time, those that poll most.
const READERS: [Reader; 16] = {
    let mut readers = [Reader::Model; 16];
    (readers[0], readers[1], readers[2], readers[3]) = (Reader::FanOut, Reader::FanOut, Reader::FanOut, Reader::Auto);
    readers[4] = Reader::Polling;
    readers
};

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn draw(seed: u64, options: &Options) -> Self {
        let random = &mut fastrand::Rng::with_seed(seed ^ 0x5ce9_a110);
        let faults = choose(random, &options.faults);
        // The longer, the more exactly scans show when somebody fell silent.
        let few: &[u64] = if faults == options.faults.only(is_silence) { &[10, 20] } else { &[2, 3, 4, 4, 6, 10, 20] };
        let failover = Duration::from_secs(few[random.usize(..few.len())]);
        let calm_at = failover.mul_f64(6.0 + random.f64() * 6.0);
        // Small answers where little is written: a reader must be able to catch up.
        let (batch, every) = [(2, 1000), (4, 400), (30, 400), (30, 100), (100, 100)][random.usize(..5)];
        let mut scenario = Scenario {
            failover,
            workers: options.workers.unwrap_or_else(|| random.u32(1..=5)),
            shards: options.shards.unwrap_or_else(|| random.u32(1..=6)),
            rates: rates(random, &faults),
            reads: read_rates(random, &faults),
            habits: habits(random, &faults, failover),
            slowest: [-50_000, -25_000, 0][random.usize(..3)],
            page: [1, 2, 5, 1000, 1000, 1000][random.usize(..6)],
            batch,
            write_every: Duration::from_millis(every),
            checkpoint_interval: random.bool().then(|| failover.mul_f64(0.05 + random.f64())),
            reader: Reader::Model,
            transactions: true,
            faults,
            calm_at,
            script: Vec::new(),
        };
        scenario.script = script::write(random, &scenario);
        // Drawn last: what is drawn before stays what it was.
        let drawn = READERS[random.usize(..READERS.len())];
        scenario.reader = options.reader.unwrap_or(drawn);
        scenario.transactions = random.u8(..6) > 0;
        scenario
    }
}

/// A subset, so that rare kinds are not always drowned by loud ones; now and then none at all, and now and then only what
/// makes holders silent, so that much depends on who waits for whom, and how long.
fn choose(random: &mut fastrand::Rng, allowed: &Faults) -> Faults {
    match random.u8(..8) {
        0 => allowed.only(is_silence),
        1 => allowed.only(|fault| RACES.contains(&fault)),
        _ => {
            let share = [0.0, 0.2, 0.4, 0.6, 0.6, 0.8][random.usize(..6)];
            allowed.only(|_| random.f64() < share)
        }
    }
}

/// Holders fall silent, and clocks disagree on when their time is over.
fn is_silence(fault: Fault) -> bool {
    matches!(fault, Fault::Partitions | Fault::Drift)
}

/// Holders come back when others are about to take what they had.
const RACES: [Fault; 5] = [Fault::Partitions, Fault::Latency, Fault::StaleScans, Fault::Crashes, Fault::NoLeader];

fn rates(random: &mut fastrand::Rng, faults: &Faults) -> Rates {
    let mut rate = |fault, most: f64| if faults.has(fault) { most * random.f64().powi(2) } else { 0.0 };
    Rates {
        outlier: rate(Fault::Latency, 0.1),
        lost_request: rate(Fault::LostRequests, 0.2),
        lost_reply: rate(Fault::LostReplies, 0.3),
        late_reply: rate(Fault::LateReplies, 0.1),
        late_request: rate(Fault::LateRequests, 0.1),
        duplicate: rate(Fault::Duplicates, 0.1),
        throttled: rate(Fault::Throttling, 0.3),
        stale_scan: rate(Fault::StaleScans, 1.0),
    }
}

fn read_rates(random: &mut fastrand::Rng, faults: &Faults) -> ReadRates {
    if !faults.has(Fault::Reads) {
        return ReadRates::default();
    }
    let mut rate = |most: f64| most * random.f64().powi(2);
    ReadRates { error: rate(0.2), slow: rate(0.1), expired: rate(0.2), empty: rate(0.3), false_end: rate(0.1) }
}

fn habits(random: &mut fastrand::Rng, faults: &Faults, failover: Duration) -> Habits {
    let work = Duration::from_millis([0, 0, 2, 50][random.usize(..4)]);
    if !faults.has(Fault::Handlers) {
        return Habits { work, ..Habits::default() };
    }
    Habits {
        work,
        slow: 0.05 * random.f64(),
        slowness: failover.mul_f64(2.0 * random.f64()),
        fails: 0.05 * random.f64(),
        stubborn: random.f64(),
        tarries: random.f64() * 0.7,
    }
}

/// The habits of user code once the faults are over.
pub(crate) fn calm_habits(habits: &Habits) -> Habits {
    Habits { work: habits.work, ..Habits::default() }
}
