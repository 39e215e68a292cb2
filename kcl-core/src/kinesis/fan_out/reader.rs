//! Reading a shard by having it pushed.

use std::convert::Infallible;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream as Pushed};
use aws_smithy_types::DateTime;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::allowance::Allowance;
use super::super::codec::{Decoded, Outcome, decoding};
use super::super::convert::{self, Nonsense};
use super::super::errors::Fault;
use super::super::gap::Resumption;
use super::super::sizes::Sizes;
use super::FanOut;
use super::events::{self, End};
use super::subscription::{Ended, LIVENESS, Reason, State, Subscription, Telling};
use super::told::SubscriptionTold;
use crate::ports::{Fetched, ReadError, ShardReader};
use crate::types::{BytePermit, Moment, Position, RecordBatch, ShardEnd, ShardRef};

/// A reader of one shard.
///
/// The truth is `position`: it moves when an event is handed out, in one step with it, and nothing else moves it. A
/// subscription only delivers from there on; it is made anew whenever it ends, fails or is in doubt.
pub(crate) struct FanOutReader {
    shared: Arc<FanOut>,
    shard: ShardRef,
    position: Position,
    resumption: Resumption,
    subscription: Subscription,
    line: Line,
    /// The consumer that subscribes, once it is known.
    consumer: Option<Arc<str>>,
    /// When the next opening may begin, once it has its place among those of other shards.
    place: Option<Moment>,
    /// The end that the last event spoke of although it named a place to go on from.
    promised: Option<ShardEnd>,
    /// What an event may take up.
    allowance: Allowance,
    sizes: Sizes,
    random: fastrand::Rng,
    told: SubscriptionTold,
}

/// What connects the reader with the service.
enum Line {
    Closed,
    /// Kept here and not in the caller's future, so that dropping that one does not give up a call that may have begun a
    /// subscription, after which the next would have to wait for five seconds.
    Opening(BoxFuture<'static, Result<SubscribeToShardOutput, Fault>>),
    Open(Box<SubscribeToShardOutput>),
    /// Behind the last event of the shard.
    AtEnd,
}

/// What a wait for the next event came to.
enum Step {
    Event(Decoded),
    /// Nothing for now; the caller takes its permit back.
    Nothing,
    /// The end that was promised, now that nothing follows.
    End(ShardEnd),
}

#[async_trait]
impl ShardReader for FanOutReader {
    async fn ready(&mut self) {
        if matches!(self.line, Line::Closed) {
            // If there is no consumer, `next` says so.
            drop(self.find_consumer().await);
            self.wait_for_place().await;
        }
    }

    fn demand(&self) -> usize {
        self.sizes.demand()
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        let allowance = self.allowance.clone();
        let waiting = allowance.wait(permit, self.shared.too_large);
        let step = self.step().await?;
        // Kept until the permit fits the records.
        let received = waiting.end();
        let permit = received.permit;
        match step {
            Step::Event(event) => self.deliver(event, permit),
            Step::End(end) => {
                self.line = Line::AtEnd;
                Ok(Fetched::new(RecordBatch::new(Vec::new(), None, permit), None, Some(end)))
            }
            Step::Nothing => Ok(Fetched::new(RecordBatch::new(Vec::new(), None, permit), None, None)),
        }
    }

    async fn rest(&mut self) -> Infallible {
        let clock = Arc::clone(&self.shared.clock);
        if let Some(until) = self.subscription.rest(clock.now()) {
            clock.sleep_until(until).await;
            // With it goes what was received and not read.
            self.line = Line::Closed;
            self.subscription.suspended();
            self.told.suspended();
            self.told.stands(self.subscription.state());
        }
        std::future::pending().await
    }
}

impl FanOutReader {
    pub(crate) fn new(shared: Arc<FanOut>, shard: ShardRef, position: Position) -> Self {
        let mut seed = DefaultHasher::new();
        // Shards that lose one connection together must not come back together.
        (&shard, shared.clock.now()).hash(&mut seed);
        FanOutReader {
            told: shared.told.of(&shard),
            allowance: Allowance::new(&shared.turns, &shared.clock),
            shared,
            shard,
            resumption: Resumption::new(&position),
            position,
            subscription: Subscription::new(),
            line: Line::Closed,
            consumer: None,
            place: None,
            promised: None,
            sizes: Sizes::of_fan_out(),
            random: fastrand::Rng::with_seed(seed.finish()),
        }
    }

    /// Where reading goes on.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Whether a subscription is open, or being opened.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.line, Line::Opening(_) | Line::Open(_))
    }

    /// Whether the last fault was none of the subscription, but has to be waited out.
    pub(crate) fn is_delayed(&self) -> bool {
        matches!(self.subscription.state(), State::Reopening(Reason::InUse | Reason::Throttled))
    }

    /// Waits for the next event; opens the subscription if it is not open.
    async fn step(&mut self) -> Result<Step, ReadError> {
        loop {
            match &mut self.line {
                Line::Closed => {
                    let consumer = self.find_consumer().await?;
                    self.wait_for_place().await;
                    self.begin_opening(consumer);
                }
                Line::Opening(_) => {
                    if let Some(step) = self.finish_opening().await? {
                        return Ok(step);
                    }
                }
                Line::Open(_) => {
                    if let Some(step) = self.receive().await? {
                        return Ok(step);
                    }
                }
                // The runtime did not believe the end: look again, in a while.
                Line::AtEnd => {
                    let now = self.shared.clock.now();
                    self.close(Reason::Doubted, now, "the end of the shard is not believed");
                    return Ok(Step::Nothing);
                }
            }
        }
    }

    /// The consumer to subscribe with.
    async fn find_consumer(&mut self) -> Result<Arc<str>, ReadError> {
        let search = self.shared.consumers.search(self.shard.stream());
        let found = search.outcome().await.map_err(|why| why.into_read_error(&self.shard))?;
        self.consumer = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Waits until the subscription may be opened, and until it is this shard's turn.
    async fn wait_for_place(&mut self) {
        let clock = &self.shared.clock;
        let place = match self.place {
            Some(place) => place,
            None => {
                clock.sleep_until(self.subscription.open_at()).await;
                *self.place.insert(self.shared.place(clock.now(), self.random.u64(..)))
            }
        };
        clock.sleep_until(place).await;
    }

    fn begin_opening(&mut self, consumer: Arc<str>) {
        self.place = None;
        self.promised = None;
        let request = self.shared.client.subscribe_to_shard();
        let request = request.consumer_arn(&*consumer).shard_id(self.shard.id().as_str());
        let request = request.set_starting_position(Some(starting_position(&self.position)));
        let call = self.allowance.count(request.send());
        let answer = async move { call.await.map_err(|error| Fault::of(&error)) };
        self.line = Line::Opening(answer.boxed());
        self.subscription.opening(self.shared.clock.now());
        self.told.stands(self.subscription.state());
    }

    async fn finish_opening(&mut self) -> Result<Option<Step>, ReadError> {
        let Line::Opening(answer) = &mut self.line else { return Ok(None) };
        let until = self.subscription.opening_until();
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            // No time-out of the SDK covers the wait for the first frame.
            () = self.shared.clock.sleep_until(until) => {
                self.allowance.leave_connection();
                Err(Fault::Unavailable("no answer in time".to_owned()))
            }
        };
        let now = self.shared.clock.now();
        match answer {
            Ok(output) => {
                self.line = Line::Open(Box::new(output));
                self.subscription.opened(now);
                self.told.opened(self.consumer.as_deref().unwrap_or_default());
                self.told.stands(self.subscription.state());
                Ok(None)
            }
            Err(fault) => self.failed(refusal(&fault), now, fault).map(Some),
        }
    }

    async fn receive(&mut self) -> Result<Option<Step>, ReadError> {
        let Line::Open(output) = &mut self.line else { return Ok(None) };
        let clock = &self.shared.clock;
        let until = self.subscription.listen(|| clock.now());
        let received = tokio::select! {
            biased;
            received = decoding(self.sizes.expected_records(), output.event_stream.recv()) => Some(received),
            // The SDK itself would wait for ever. Not even begun where an event is there already.
            () = async { clock.sleep_until(until).await } => None,
        };
        let now = clock.now();
        let (received, decoded) = received.map_or((None, None), |(received, decoded)| (Some(received), decoded));
        match received {
            Some(Ok(Some(Pushed::SubscribeToShardEvent(_)))) => {
                self.subscription.heard(now);
                self.event(decoded, now).map(Some)
            }
            // It came, and made no sense.
            Some(Err(_)) if matches!(decoded, Some(Err(_))) => self.event(decoded, now).map(Some),
            // Something that this version does not know is a sign of life.
            Some(Ok(Some(_))) => {
                self.subscription.heard(now);
                Ok(None)
            }
            Some(Ok(None)) => self.ended(now),
            Some(Err(error)) => {
                let fault = Fault::of_events(&error);
                self.failed(breakage(&fault), now, fault).map(Some)
            }
            None if self.allowance.heard() + LIVENESS > now => {
                self.subscription.receiving(self.allowance.heard());
                Ok(None)
            }
            None => {
                self.allowance.leave_connection();
                let fault = Fault::Unavailable(format!("no event within {LIVENESS:?}, not even an empty one"));
                self.failed(Reason::Silent, now, fault).map(Some)
            }
        }
    }

    /// What the codec made of an event.
    fn event(&mut self, decoded: Option<Outcome>, now: Moment) -> Result<Step, ReadError> {
        let decoded = convert::decoded(decoded, &self.position);
        decoded.map(Step::Event).map_err(|nonsense| self.doubt(&nonsense, now))
    }

    /// What came makes no sense: perhaps it does on another subscription.
    fn doubt(&mut self, nonsense: &Nonsense, now: Moment) -> ReadError {
        let text = nonsense.to_string();
        self.close(Reason::Doubted, now, &text);
        ReadError::Invalid(text)
    }

    /// The stream of events is over.
    fn ended(&mut self, now: Moment) -> Result<Option<Step>, ReadError> {
        if let Some(end) = self.promised.take() {
            return Ok(Some(Step::End(end)));
        }
        (self.line, self.place) = (Line::Closed, None);
        let ended = self.subscription.ended(now, self.random.u64(..));
        self.told.stands(self.subscription.state());
        match ended {
            Ended::InTime => {
                self.told.renewing();
                Ok(None)
            }
            Ended::Early(telling) => {
                let why = "the service ended the subscription long before its five minutes were over";
                self.told.failed(Reason::Early, telling, why);
                answer(telling, Fault::Unavailable(why.to_owned()), &self.shard).map(Some)
            }
        }
    }

    /// The subscription could not be opened, or broke.
    fn failed(&mut self, reason: Reason, now: Moment, fault: Fault) -> Result<Step, ReadError> {
        if let (Fault::NotFound(_), Some(consumer)) = (&fault, &self.consumer) {
            // Perhaps it is not the shard that is gone.
            self.shared.consumers.forget(self.shard.stream(), consumer);
        }
        let telling = self.close(reason, now, fault.text());
        answer(telling, fault, &self.shard)
    }

    fn close(&mut self, reason: Reason, now: Moment, why: &str) -> Telling {
        (self.line, self.place) = (Line::Closed, None);
        let telling = self.subscription.failed(reason, now, self.random.u64(..));
        self.told.failed(reason, telling, why);
        self.told.stands(self.subscription.state());
        telling
    }

    /// Hands out an event and moves the position past it. No waiting in here: either both happen or neither.
    fn deliver(&mut self, event: Decoded, permit: BytePermit) -> Result<Fetched, ReadError> {
        let brought = events::take_apart(event, &self.position)
            .map_err(|nonsense| self.doubt(&nonsense, self.shared.clock.now()))?;
        self.sizes.answered(brought.records.entries().len(), brought.records.held_bytes());
        if let Some(position) = brought.position {
            self.position = position;
        }
        self.promised = None;
        let end = match brought.end {
            End::No => None,
            End::Perhaps(end) => {
                self.promised = Some(end);
                None
            }
            End::Yes(end) => {
                self.line = Line::AtEnd;
                Some(end)
            }
        };
        let data_loss = self.resumption.gap(brought.records.entries());
        let batch = brought.records.finish(brought.lag, permit);
        Ok(Fetched::new(batch, brought.lag, end).with_data_loss(data_loss))
    }
}

/// What the caller is told of a fault.
fn answer(telling: Telling, fault: Fault, shard: &ShardRef) -> Result<Step, ReadError> {
    match telling {
        Telling::Quiet => Ok(Step::Nothing),
        Telling::Loud => Err(fault.into_read_error(shard)),
    }
}

/// Why a subscription could not be opened.
fn refusal(fault: &Fault) -> Reason {
    match fault {
        Fault::Throttled(_) => Reason::Throttled,
        Fault::InUse(_) => Reason::InUse,
        Fault::Unavailable(_) | Fault::Expired(_) => Reason::Unavailable,
        Fault::NotFound(_) | Fault::Denied(_) | Fault::BadArgument(_) | Fault::Refused(_) => Reason::Refused,
        Fault::Nonsense(_) => Reason::Doubted,
    }
}

/// Why an open subscription broke off. What would be an outage at the opening says little here, since it did open.
fn breakage(fault: &Fault) -> Reason {
    match refusal(fault) {
        Reason::Unavailable => Reason::Broken,
        other => other,
    }
}

fn starting_position(position: &Position) -> StartingPosition {
    let start = StartingPosition::builder();
    let start = match position {
        Position::TrimHorizon => start.r#type(ShardIteratorType::TrimHorizon),
        Position::AtTime(instant) => {
            start.r#type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(instant.as_millis()))
        }
        // The whole record is pushed again; user records below the position are cut off by whoever opens it.
        Position::At(record) => {
            start.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(record.sequence.as_str())
        }
        Position::After(sequence) => {
            start.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence.as_str())
        }
    };
    start.build().expect("the only member that is required is set")
}

impl fmt::Debug for FanOutReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOutReader")
            .field("shard", &self.shard)
            .field("position", &self.position)
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}
