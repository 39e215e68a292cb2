//! Reading a shard by asking again and again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::allowance::{Allowance, TooLarge};
use super::callers::Request;
use super::codec::{Decoded, Tail, decoding};
use super::errors::Fault;
use super::gap::Resumption;
use super::limits::ReadLimiter;
use super::sizes::Sizes;
use super::{Shared, convert, iterator};
use crate::ports::{Fetched, ReadError, ShardReader};
use crate::types::{BytePermit, Moment, Position, RecordBatch, ShardEnd, ShardRef};

/// A reader of one shard.
///
/// The truth is `position`: it moves when records are handed out, in one step with it, and nothing else moves it. The
/// iterator only names it for some minutes and is made anew from it whenever it is missing, expired or in doubt. That is
/// why a dropped future, an error or an expiry at any point loses and repeats nothing.
#[derive(Debug)]
pub(super) struct PollingReader {
    source: Arc<Shared>,
    shard: ShardRef,
    position: Position,
    resumption: Resumption,
    iterator: Option<String>,
    limiter: ReadLimiter,
    sizes: Sizes,
    /// Calls that failed since the last answer.
    failures: u32,
    /// At the tip: not before this.
    idle_until: Moment,
    random: fastrand::Rng,
}

#[async_trait]
impl ShardReader for PollingReader {
    async fn ready(&mut self) {
        self.wait().await;
    }

    fn demand(&self) -> usize {
        self.sizes.demand()
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        self.wait().await;
        let source = self.source.clone();
        // Nobody closes the semaphore; if somebody did, reading would go on unbounded rather than not at all.
        let _slot = source.calls_in_flight.acquire().await.ok();
        let limit = self.sizes.limit(permit.bytes());
        let allowance = Allowance::new(&source.turns, &source.clock);
        let (too_large, _turn) = match limit {
            1 => (TooLarge::Receive, source.turns.take().await),
            _ => (TooLarge::Refuse, None),
        };
        let waiting = allowance.wait(permit, too_large);
        let answer = self.fetch(limit, &allowance).await;
        // Kept until the permit fits the records.
        let received = waiting.end();
        let permit = received.permit;
        match (answer, received.refused) {
            (Ok(answer), _) => Ok(self.deliver(answer, permit)),
            (Err(_), Some(wire)) => Ok(self.ask_for_less(limit, wire, permit)),
            (Err(Fault::Throttled(text)), None) => Ok(self.slow_down(&text, permit)),
            (Err(fault), None) => Err(self.failed(fault)),
        }
    }
}

/// An answer, when it was asked for, and for how many records.
struct Answer {
    decoded: Decoded,
    sent: Moment,
    limit: u16,
}

impl PollingReader {
    pub(super) fn new(source: Arc<Shared>, shard: ShardRef, position: Position) -> Self {
        let mut seed = DefaultHasher::new();
        // Applications on one shard that are throttled together must not come back together; the clock tells them apart.
        (&shard, source.clock.now()).hash(&mut seed);
        PollingReader {
            limiter: ReadLimiter::new(source.settings.read_limit),
            source,
            shard,
            resumption: Resumption::new(&position),
            position,
            iterator: None,
            sizes: Sizes::of_polling(),
            failures: 0,
            idle_until: Moment::default(),
            random: fastrand::Rng::with_seed(seed.finish()),
        }
    }

    /// Where reading goes on.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Waits for the limits and, at the tip, for the idle time.
    async fn wait(&self) {
        let until = self.limiter.next_call().max(self.idle_until);
        if until > self.source.clock.now() {
            self.source.clock.sleep_until(until).await;
        }
    }

    /// One answer, with a new iterator if it takes one.
    async fn fetch(&mut self, limit: u16, allowance: &Allowance) -> Result<Answer, Fault> {
        // A kept iterator may have expired, or be spoilt in a way the service only calls a bad argument. One that was made
        // a moment ago cannot be mended by making another, so then the fault is told.
        if let Some(kept) = self.iterator.clone() {
            match self.call(kept, limit, allowance).await {
                Err(Fault::Expired(text) | Fault::BadArgument(text)) => self.doubt(&text),
                answer_or_fault => return answer_or_fault,
            }
        }
        // On the heap, as it is rare: a future of the SDK is large, and this one has room for it all the time.
        let made = Box::pin(iterator::make(&self.source.clients.control, &self.shard, &self.position)).await?;
        self.iterator = Some(made.clone());
        let answer = self.call(made, limit, allowance).await;
        if let Err(Fault::Expired(text) | Fault::BadArgument(text)) = &answer {
            self.doubt(text);
        }
        answer
    }

    async fn call(&mut self, iterator: String, limit: u16, allowance: &Allowance) -> Result<Answer, Fault> {
        let stream_arn = self.shard.stream().arn().map(str::to_owned);
        let sent = self.source.clock.now();
        // Before the call: one that is given up half-way counts at the service too.
        self.limiter.called(sent);
        let request = Request { iterator, limit, stream_arn };
        let call = allowance.count(self.source.callers.call(request));
        let (answered, decoded) = decoding(self.sizes.expected_records().min(limit.into()), call).await;
        let Some(answered) = answered else {
            allowance.leave_connection();
            return Err(Fault::Unavailable("no answer in time".to_owned()));
        };
        // What was decoded and makes no sense is an error of the call, too; then the codec knows more.
        if !matches!(decoded, Some(Err(_))) {
            answered?;
        }
        let decoded = convert::decoded(decoded, &self.position);
        let decoded = decoded.map_err(|nonsense| Fault::Nonsense(nonsense.to_string()))?;
        if says_nothing(&decoded) {
            return Err(Fault::Unavailable(
                "GetRecords says nothing: no records, iterator, lag or children".to_owned(),
            ));
        }
        Ok(Answer { decoded, sent, limit })
    }

    /// Hands out an answer and moves the position past it. No waiting in here: either both happen or neither.
    fn deliver(&mut self, answer: Answer, permit: BytePermit) -> Fetched {
        let Answer { decoded: Decoded { records, tail }, sent, limit } = answer;
        let lag = tail.lag();
        self.failures = 0;
        let count = records.entries().len();
        self.limiter.answered(sent, records.service_bytes(), self.random.u64(..));
        self.sizes.answered(count, records.held_bytes());
        if let Some(last) = records.entries().last() {
            self.position = Position::After(last.sequence.clone());
        }
        // At an end that the runtime does not believe, the next call asks anew from the position.
        self.iterator = tail.next.filter(|next| !next.is_empty());
        let children = tail.child_shards.unwrap_or_default();
        let end = self.iterator.is_none().then(|| ShardEnd::with_children(children));
        if end.is_some() || at_tip(lag, count, limit) {
            self.idle_until = sent + self.source.settings.idle_interval;
        }
        let data_loss = self.resumption.gap(records.entries());
        Fetched::new(records.finish(lag, permit), lag, end).with_data_loss(data_loss)
    }

    /// Gives the permit back with an empty answer: it must not be held while the throttling is waited out.
    fn slow_down(&mut self, text: &str, permit: BytePermit) -> Fetched {
        self.limiter.throttled(self.source.clock.now(), self.random.u64(..));
        self.source.metrics.throttled.increment(1);
        tracing::debug!(
            stream = %self.shard.stream(),
            shard_id = %self.shard.id(),
            share = self.limiter.share(),
            text,
            "reading is throttled"
        );
        Fetched::new(RecordBatch::new(Vec::new(), None, permit), None, None)
    }

    /// The answer was larger than what may be held of it in memory. It was paid for all the same.
    fn ask_for_less(&mut self, limit: u16, wire: usize, permit: BytePermit) -> Fetched {
        self.limiter.answered(self.source.clock.now(), wire, self.random.u64(..));
        self.sizes.too_large(limit, wire);
        tracing::debug!(
            stream = %self.shard.stream(),
            shard_id = %self.shard.id(),
            limit,
            wire,
            permit = permit.bytes(),
            "an answer is larger than the budget allows; fewer records are asked for"
        );
        Fetched::new(RecordBatch::new(Vec::new(), None, permit), None, None)
    }

    fn failed(&mut self, fault: Fault) -> ReadError {
        self.sizes.failed();
        self.failures = self.failures.saturating_add(1);
        // Some servers answer a spoilt iterator with an error, or records, of their own making; asking with it for ever would
        // never end.
        if self.failures > 1 && self.iterator.is_some() {
            self.doubt("repeated failures");
        }
        fault.into_read_error(&self.shard)
    }

    fn doubt(&mut self, text: &str) {
        tracing::debug!(stream = %self.shard.stream(), shard_id = %self.shard.id(), text, "the iterator is made anew");
        self.iterator = None;
    }
}

/// An empty body decodes to this, and it must not pass for the end of the shard: if the shard happens to be closed, nothing
/// later would contradict it, and what is left of it would be skipped.
fn says_nothing(answer: &Decoded) -> bool {
    answer.records.entries().is_empty() && answer.tail == Tail::default()
}

/// Whether there is nothing to be had at once. Not every server knows the lag, so a full answer speaks for more.
fn at_tip(lag: Option<Duration>, records: usize, limit: u16) -> bool {
    match lag {
        Some(lag) => lag.is_zero() && records < usize::from(limit),
        None => records == 0,
    }
}
