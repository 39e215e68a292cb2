//! Where records come from: lines of an input, or lines that are made up.

use std::num::NonZeroU32;

use super::arguments::Arguments;
use crate::common::input::{Lines, MOST_DATA};
use crate::common::key::KeyRule;
use crate::common::pace::Pace;
use crate::common::put::{Entry, Feed};

/// The lines, their keys and their pace.
#[derive(Debug)]
pub(super) struct Source {
    lines: Origin,
    rule: KeyRule,
    pace: Pace,
}

#[derive(Debug)]
enum Origin {
    Input(Lines),
    MadeUp { random: fastrand::Rng, number: u64, end: u64 },
}

impl Source {
    /// Opens the input, if there is one.
    pub(super) async fn open(arguments: &Arguments) -> anyhow::Result<Source> {
        let (lines, rate) = match &arguments.input {
            Some(input) => (Origin::Input(input.open().await?), None),
            None => {
                let end = arguments.records.map_or(RECORDS, |records| records.get());
                (Origin::MadeUp { random: fastrand::Rng::with_seed(SEED), number: 0, end }, NonZeroU32::new(RATE))
            }
        };
        let pace = Pace::new(arguments.rate.or(rate));
        Ok(Source { lines, rule: KeyRule::new(arguments.key_regex.clone()), pace })
    }

    /// Hands every line over, and drops the feed.
    pub(super) async fn hand_over(mut self, feed: Feed) -> anyhow::Result<()> {
        while let Some(data) = self.lines.next().await? {
            let entry = Entry::new(self.rule.key(&data), data);
            if entry.size() > MOST_DATA {
                return Err(self.lines.refuse());
            }
            self.pace.pass().await;
            feed.push(entry).await?;
        }
        Ok(())
    }
}

impl Origin {
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Origin::Input(lines) => lines.next().await,
            Origin::MadeUp { number, end, .. } if *number >= *end => Ok(None),
            Origin::MadeUp { random, number, .. } => {
                *number += 1;
                Ok(Some(made_up(*number, random).into_bytes()))
            }
        }
    }

    fn refuse(&self) -> anyhow::Error {
        match self {
            Origin::Input(lines) => lines.refuse(),
            Origin::MadeUp { number, .. } => anyhow::anyhow!("line {number} was made up too long"),
        }
    }
}

/// A line as a web server logs it.
fn made_up(number: u64, random: &mut fastrand::Rng) -> String {
    const PATHS: [&str; 5] = ["/", "/basket", "/checkout", "/search", "/product"];
    const STATES: [u16; 6] = [200, 200, 200, 304, 404, 503];
    let (path, state) = (PATHS[random.usize(..PATHS.len())], STATES[random.usize(..STATES.len())]);
    let (customer, millis) = (random.u32(..5000), random.u32(1..900));
    format!("request={number} customer={customer:04} path={path} status={state} duration_ms={millis}")
}

const RECORDS: u64 = 20_000;
/// Some seconds to look at.
const RATE: u32 = 4_000;
/// The same lines in every run.
const SEED: u64 = 1;
