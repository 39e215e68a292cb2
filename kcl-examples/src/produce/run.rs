//! From lines to records.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::Moment;

use super::arguments::Arguments;
use super::create;
use crate::common::aggregate::Aggregator;
use crate::common::aws;
use crate::common::display::Display;
use crate::common::input::{Lines, MOST_DATA};
use crate::common::key::KeyRule;
use crate::common::pace::Pace;
use crate::common::put::{self, Entry, Feed, Totals};
use crate::common::signals::Signals;

/// Puts every line, then says how many there were.
pub(super) async fn run(arguments: Arguments, display: Display) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("signals cannot be waited for")?;
    let clock = SystemClock::new();
    let begun = clock.now();
    let totals = Totals::default();
    let outcome = tokio::select! {
        biased;
        signal = signals.next() => Err(anyhow::anyhow!("ended by {signal} before the end of the input")),
        outcome = produce(&arguments, &totals) => outcome,
        never = report(&display, &totals, begun) => match never {},
    };
    display.finish();
    let seconds = clock.now().since(begun).as_secs_f64();
    let (records, bytes, retried) = (totals.records(), totals.bytes(), totals.retried());
    writeln!(std::io::stdout(), "produced records={records} bytes={bytes} retried={retried} seconds={seconds:.3}")
        .context("standard output cannot be written")
        .and(outcome)
}

async fn produce(arguments: &Arguments, totals: &Totals) -> anyhow::Result<()> {
    let Arguments { stream, kinesis, .. } = arguments;
    let lines = arguments.input.open().await?;
    let trusting = arguments.trust.read()?;
    let config = aws::configuration("produce", &[kinesis.named()], trusting.as_ref()).await?;
    let client = kinesis.client(&config);
    if let Some(shards) = arguments.create_shards {
        create::if_missing(&client, stream, shards).await?;
    }
    let (feed, putting) = put::to_stream(&client, stream, arguments.calls.get(), totals);
    putting.run(hand_over(lines, arguments, feed), |_, _| {}).await
}

/// Hands every line over, and drops the feed.
async fn hand_over(mut lines: Lines, arguments: &Arguments, feed: Feed) -> anyhow::Result<()> {
    let rule = KeyRule::new(arguments.key_regex.clone());
    let mut pace = Pace::new(arguments.rate);
    let clock = SystemClock::new();
    let mut packing = arguments.aggregate.then(Aggregator::default);
    while let Some(data) = next_line(&mut lines, &mut packing, &clock, &feed).await? {
        let entry = Entry::new(rule.key(&data), data);
        if entry.size() > MOST_DATA {
            return Err(lines.refuse());
        }
        pace.pass().await;
        match &mut packing {
            None => feed.push(entry).await?,
            Some(packing) => push_all(&feed, packing.add(entry, clock.now())).await?,
        }
    }
    push_all(&feed, packing.map(Aggregator::finish).unwrap_or_default()).await
}

/// The next line. While it is waited for, records that have waited for company long enough are handed over.
async fn next_line(
    lines: &mut Lines,
    packing: &mut Option<Aggregator>,
    clock: &SystemClock,
    feed: &Feed,
) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = std::pin::pin!(lines.next());
    loop {
        let due_at = packing.as_ref().and_then(Aggregator::due_at);
        let due = async {
            match due_at {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Time first: input that never pauses must not keep records of rare keys waiting.
            biased;
            () = due => {
                let due = packing.as_mut().map(|packing| packing.due(clock.now()));
                push_all(feed, due.unwrap_or_default()).await?;
            }
            line = &mut line => return line,
        }
    }
}

async fn push_all(feed: &Feed, entries: Vec<Entry>) -> anyhow::Result<()> {
    for entry in entries {
        feed.push(entry).await?;
    }
    Ok(())
}

/// Shows progress every second.
async fn report(display: &Display, totals: &Totals, begun: Moment) -> std::convert::Infallible {
    let clock = SystemClock::new();
    let mut next = begun;
    loop {
        next = next + Duration::from_secs(1);
        clock.sleep_until(next).await;
        let (records, retried) = (totals.records(), totals.retried());
        let mebibytes = totals.bytes() as f64 / f64::from(1 << 20);
        let seconds = clock.now().since(begun).as_secs_f64();
        let rate = records as f64 / seconds;
        display.show(format!(
            "progress records={records} mib={mebibytes:.1} retried={retried} seconds={seconds:.0} rate={rate:.0}/s"
        ));
    }
}
