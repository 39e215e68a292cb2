//! Enhanced fan-out where it can be had, polling while it cannot, and back.
//!
//! A change of readers is the position of one handed to the other. Each of them moves its position in one step with the
//! records that it hands out, so nothing is lost or repeated by a change, also while records flow.

mod choice;

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;

use self::choice::{Choice, Fault, Verdict};
use super::Shared;
use super::fan_out::{FanOut, FanOutReader};
use super::polling::PollingReader;
use crate::ports::{Fetched, ReadError, ShardReader};
use crate::types::{BytePermit, Position, RecordBatch, ShardRef};

/// A reader of one shard.
#[derive(Debug)]
pub(super) struct AutoReader {
    source: Arc<Shared>,
    fan_out: Arc<FanOut>,
    shard: ShardRef,
    reader: Reader,
    choice: Choice,
    random: fastrand::Rng,
}

#[derive(Debug)]
enum Reader {
    FanOut(FanOutReader),
    Polling(PollingReader),
}

#[async_trait]
impl ShardReader for AutoReader {
    async fn ready(&mut self) {
        self.reconsider();
        match &mut self.reader {
            Reader::FanOut(reader) => reader.ready().await,
            Reader::Polling(reader) => {
                let search = self.fan_out.consumers.search(self.shard.stream());
                tokio::select! {
                    biased;
                    // It is driven by those who wait for it; once it is over, `next` looks at what came of it.
                    _ = search.clone().outcome(), if search.peek().is_none() => {}
                    () = reader.ready() => {}
                }
            }
        }
    }

    fn demand(&self) -> usize {
        match &self.reader {
            Reader::FanOut(reader) => reader.demand(),
            Reader::Polling(reader) => reader.demand(),
        }
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        self.reconsider();
        match &mut self.reader {
            Reader::Polling(reader) => reader.next(permit).await,
            Reader::FanOut(reader) => {
                self.choice.wanted(self.fan_out.clock.now());
                let result = reader.next(permit).await;
                self.judge(result)
            }
        }
    }

    async fn rest(&mut self) -> Infallible {
        match &mut self.reader {
            Reader::FanOut(reader) => reader.rest().await,
            Reader::Polling(reader) => reader.rest().await,
        }
    }
}

impl AutoReader {
    pub(super) fn new(source: Arc<Shared>, fan_out: Arc<FanOut>, shard: ShardRef, position: Position) -> Self {
        let mut seed = DefaultHasher::new();
        (&shard, fan_out.clock.now()).hash(&mut seed);
        // Whether there is a consumer is known when the first fetch begins, or soon after.
        let reader = Reader::Polling(PollingReader::new(Arc::clone(&source), shard.clone(), position));
        let random = fastrand::Rng::with_seed(seed.finish());
        AutoReader { source, fan_out, shard, reader, choice: Choice::new(), random }
    }

    /// Changes the reader if it has to poll, or need not any more.
    fn reconsider(&mut self) {
        match &self.reader {
            Reader::FanOut(reader) if reader.is_open() => {}
            Reader::FanOut(_) => match self.fan_out.consumers.search(self.shard.stream()).peek() {
                Some(Ok(_)) => {}
                Some(Err(why)) => self.poll_without_consumer(why.text().to_owned()),
                None => self.poll_without_consumer("the consumer cannot subscribe yet".to_owned()),
            },
            Reader::Polling(reader) => {
                let search = self.fan_out.consumers.search(self.shard.stream());
                if matches!(search.peek(), Some(Ok(_))) && self.choice.may_subscribe(self.fan_out.clock.now()) {
                    let position = reader.position().clone();
                    let reader = FanOutReader::new(Arc::clone(&self.fan_out), self.shard.clone(), position);
                    self.reader = Reader::FanOut(reader);
                    self.fan_out.told.changed_to_fan_out(&self.shard);
                }
            }
        }
    }

    fn poll_without_consumer(&mut self, why: String) {
        self.choice.no_consumer();
        self.poll(&why);
    }

    fn poll(&mut self, why: &str) {
        let Reader::FanOut(reader) = &self.reader else { return };
        let position = reader.position().clone();
        self.reader = Reader::Polling(PollingReader::new(Arc::clone(&self.source), self.shard.clone(), position));
        self.fan_out.told.changed_to_polling(&self.shard, why);
    }

    /// Looks at what a subscription brought. Faults that make this reader poll are mended by that, and not told.
    fn judge(&mut self, result: Result<Fetched, ReadError>) -> Result<Fetched, ReadError> {
        let Reader::FanOut(reader) = &self.reader else { return result };
        let now = self.fan_out.clock.now();
        let why = match &result {
            Ok(fetched) if fetched.lag.is_some() || fetched.end.is_some() => {
                self.choice.brought(now);
                return result;
            }
            Ok(_) => "subscriptions end too soon".to_owned(),
            Err(error) => error.to_string(),
        };
        let fault = if reader.is_delayed() { Fault::Delayed } else { Fault::Broken };
        match (self.choice.fault(fault, now, self.random.u64(..)), fault) {
            (Verdict::Stay, Fault::Broken) => return result,
            // If it lasts, it is polled.
            (Verdict::Stay, Fault::Delayed) => {}
            (Verdict::GiveUp, _) => self.poll(&why),
        }
        Ok(Fetched::new(RecordBatch::new(Vec::new(), None, BytePermit::unlimited()), None, None))
    }
}
