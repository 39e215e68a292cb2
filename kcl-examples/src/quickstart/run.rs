//! From the start to the summary.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::Moment;

use super::arguments::Arguments;
use super::cloud::Cloud;
use super::course::Course;
use super::fleet::Fleet;
use super::look::{Look, Observer};
use super::source::Source;
use super::table;
use super::tally::Tally;
use crate::common::display::Display;
use crate::common::put::{self, Totals};
use crate::common::signals::Signals;

/// Feeds the stream, lets the fleet read it, and sums up.
pub(super) async fn run(arguments: Arguments, display: Display) -> anyhow::Result<()> {
    arguments.check()?;
    let signals = Signals::install().context("signals cannot be waited for")?;
    let source = Source::open(&arguments).await?;
    let cloud = Cloud::start(arguments.shards.get())?;
    let tally = Tally::default();
    let clock = SystemClock::new();
    let begun = clock.now();
    let outcome = watch(&arguments, source, &cloud, signals, &tally, Screen { display, begun, next_line: begun }).await;
    let total = tally.total();
    writeln!(
        std::io::stdout(),
        "summary put={} read={} distinct={} duplicated={} missing={} workers={} shards={} seconds={:.3}",
        total.put,
        total.read,
        total.distinct,
        total.duplicated(),
        total.missing,
        arguments.workers,
        arguments.shards,
        clock.now().since(begun).as_secs_f64()
    )
    .context("the summary cannot be written to standard output")?;
    outcome?;
    anyhow::ensure!(total.missing == 0, "{} records were put but not read", total.missing);
    Ok(())
}

/// Runs everything until the end, and stops the fleet.
async fn watch(
    arguments: &Arguments,
    source: Source,
    cloud: &Cloud,
    mut signals: Signals,
    tally: &Tally,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let failover_time = arguments.failover_time;
    let clock = SystemClock::new();
    let observer = Observer::new(cloud, failover_time, tally.clone())?;
    let mut fleet = Fleet::start(arguments.fleet(), cloud, tally).await?;
    let (feed, putting) = put::to_stream(&cloud.kinesis, &cloud.stream, PUTS_AT_A_TIME, &Totals::default());
    let mut feeding = std::pin::pin!(putting.run(source.hand_over(feed), |shard, sequence| tally.put(shard, sequence)));
    let mut fed = Ok(());
    let mut course = Course::new(arguments.kill_after, failover_time, clock.now());
    let mut look = Look::default();
    let mut next_look = clock.now();
    let ended = loop {
        let now = clock.now();
        if course.kill_at().is_some_and(|at| at <= now) {
            let victim = fleet.kill(look.busiest()).unwrap_or_default();
            screen.note(&format!("killed {victim}: nothing is released or checkpointed, its leases must run out"));
            course.killed(victim, now);
        }
        let taken_over = course.victim().is_some_and(|victim| look.is_without(victim));
        if course.is_over(now, tally.total(), taken_over) {
            break fed;
        }
        let wake = course.kill_at().map_or(next_look, |at| at.min(next_look));
        tokio::select! {
            // Ends first, and what moves the run before what only shows it.
            biased;
            signal = signals.next() => {
                screen.note(&format!("{signal}: the run stops here"));
                break fed;
            }
            (name, outcome) = fleet.ended() => {
                let error = outcome.err().map_or_else(|| anyhow::anyhow!("nobody asked it to"), anyhow::Error::new);
                break Err(error.context(format!("{name} has ended by itself")));
            }
            outcome = &mut feeding, if !course.fed => {
                course.fed = true;
                // What was put before a failure is read all the same.
                fed = outcome;
            }
            () = tally.more_read() => course.read(clock.now()),
            () = clock.sleep_until(wake) => {
                if let Some(seen) = observer.look().await {
                    screen.show(&look, &seen, clock.now());
                    look = seen;
                }
                next_look = clock.now() + LOOK_EVERY;
            }
        }
    };
    if let Some(seen) = observer.look().await {
        screen.last(&seen, clock.now());
    }
    ended.and(fleet.stop(&mut signals).await)
}

/// What is shown when.
struct Screen {
    display: Display,
    begun: Moment,
    next_line: Moment,
}

impl Screen {
    fn note(&self, text: &str) {
        self.display.note(text);
    }

    /// Redraws a terminal with every look. Elsewhere a line tells of every lease that changed hands, and one each second of
    /// the whole.
    fn show(&mut self, before: &Look, now: &Look, at: Moment) {
        let elapsed = at.since(self.begun);
        if self.display.is_terminal() {
            self.display.show(table::table(now, elapsed));
            return;
        }
        for (id, shard) in now.changed_hands(before) {
            self.display.show(table::shard(id, shard));
        }
        if at >= self.next_line {
            self.display.show(table::line(now, elapsed));
            self.next_line = at + LINE_EVERY;
        }
    }

    /// Leaves the last state on the screen.
    fn last(&self, look: &Look, at: Moment) {
        let elapsed = at.since(self.begun);
        if self.display.is_terminal() {
            self.display.show(table::table(look, elapsed));
        } else {
            for (id, shard) in &look.shards {
                self.display.show(table::shard(id, shard));
            }
            self.display.show(table::line(look, elapsed));
        }
        self.display.finish();
    }
}

const PUTS_AT_A_TIME: usize = 4;
/// Often enough to see a take-over happen.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(1);
