//! Calls into user code: what they are given, and how their panics and errors become values.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::events::ShardTenure;
use super::lease_keeper::LeaseKeeper;
use super::tasks::panic_message;
use super::tenure::SharedTenure;
use crate::ports::{
    BoxError, CheckpointError, CheckpointSink, Checkpointer, FailureScope, LeaseLostReason, ProcessContext,
    ProcessError, RecordProcessor, ShardContext,
};
use crate::shard::machine::Processed;
use crate::types::{Moment, RecordBatch, RecordPosition};

/// Stores what is completed through the lease keeper, for one tenure.
pub(crate) struct TenureSink {
    keeper: LeaseKeeper,
    tenure: Arc<SharedTenure>,
}

#[async_trait]
impl CheckpointSink for TenureSink {
    async fn checkpoint(&self) -> Result<Option<RecordPosition>, CheckpointError> {
        if self.tenure.orders.is_ended() {
            return Err(CheckpointError::LeaseLost(self.tenure.orders.end_reason()));
        }
        self.keeper.flush(&self.tenure).await
    }
}

/// The processor of one tenure, and what its calls have in common.
pub(crate) struct UserCode {
    context: Arc<Context>,
    told: Told,
    processor: Option<Box<dyn RecordProcessor>>,
}

/// What calls are told.
struct Told {
    shard: Arc<ShardTenure>,
    checkpointer: Checkpointer,
    /// Made for the first call that is given one, and kept: of what it holds, little changes from call to call.
    context: Option<Box<ProcessContext>>,
}

/// A call into user code panicked; the processor is gone.
pub(crate) struct Panicked(pub(crate) String);

impl UserCode {
    pub(crate) fn new(
        context: &Arc<Context>,
        keeper: &LeaseKeeper,
        tenure: &Arc<SharedTenure>,
        shard: &Arc<ShardTenure>,
    ) -> Self {
        let sink = TenureSink { keeper: keeper.clone(), tenure: Arc::clone(tenure) };
        UserCode {
            context: Arc::clone(context),
            told: Told { shard: Arc::clone(shard), checkpointer: Checkpointer::new(Arc::new(sink)), context: None },
            processor: None,
        }
    }

    /// Makes a processor if there is none, and initialises it.
    pub(crate) async fn initialize(&mut self) -> Result<(), String> {
        let shard = self.told.shard();
        let mut processor = match self.processor.take() {
            Some(processor) => processor,
            None => {
                let make = || self.context.factory.processor(&shard);
                std::panic::catch_unwind(AssertUnwindSafe(make))
                    .map_err(|panic| format!("the factory panicked: {}", panic_message(&*panic)))?
            }
        };
        let result = AssertUnwindSafe(processor.initialize(&shard)).catch_unwind().await;
        match result {
            Ok(Ok(())) => {
                self.processor = Some(processor);
                Ok(())
            }
            Ok(Err(error)) => {
                self.processor = Some(processor);
                Err(chain(&error))
            }
            Err(panic) => Err(format!("the processor panicked: {}", panic_message(&*panic))),
        }
    }

    /// Delivers a batch. It is asked to come to an end by `cancelled`, as are the calls below.
    pub(crate) fn process<'a>(
        &'a mut self,
        batch: RecordBatch,
        attempt: u32,
        cancelled: &CancellationToken,
    ) -> impl Future<Output = Processed> + use<'a> {
        let context = self.told.context(attempt, cancelled);
        context.lag = batch.lag();
        let (slot, context) = (&mut self.processor, &*context);
        async move {
            let Some(processor) = slot else { return Processed::Panicked { message: NO_PROCESSOR.into() } };
            let result = AssertUnwindSafe(processor.process_records(batch, context)).catch_unwind().await;
            match settle(slot, result) {
                Ok(Ok(())) => Processed::Completed,
                Ok(Err(error)) if error.is_cut_short() => Processed::CutShort { first: first_failed(&error) },
                Ok(Err(error)) => Processed::Failed { first: first_failed(&error), error: error.to_string() },
                Err(Panicked(message)) => Processed::Panicked { message },
            }
        }
    }

    /// Tells of the end of the shard.
    pub(crate) fn shard_ended<'a>(
        &'a mut self,
        attempt: u32,
        cancelled: &CancellationToken,
    ) -> impl Future<Output = Result<Result<(), String>, Panicked>> + use<'a> {
        let (slot, context) = (&mut self.processor, &*self.told.context(attempt, cancelled));
        async move {
            let Some(processor) = slot else { return Err(Panicked(NO_PROCESSOR.into())) };
            let result = AssertUnwindSafe(processor.shard_ended(context)).catch_unwind().await;
            Ok(settle(slot, result)?.map_err(|error| chain(&error)))
        }
    }

    /// Gives the last chance to flush. From now on calls are asked to come to an end by this token.
    pub(crate) fn shutdown_requested<'a>(
        &'a mut self,
        deadline: Moment,
        cancelled: &CancellationToken,
    ) -> impl Future<Output = Result<Result<(), String>, Panicked>> + use<'a> {
        let context = self.told.context(1, cancelled);
        context.cancelled = cancelled.clone();
        context.deadline_in = Some(deadline.since(self.context.clock.now()));
        let (slot, context) = (&mut self.processor, &*context);
        async move {
            let Some(processor) = slot else { return Err(Panicked(NO_PROCESSOR.into())) };
            let result = AssertUnwindSafe(processor.shutdown_requested(context)).catch_unwind().await;
            Ok(settle(slot, result)?.map_err(|error| chain(&error)))
        }
    }

    /// Tells that the lease is gone.
    pub(crate) async fn lease_lost(&mut self, reason: LeaseLostReason) -> Result<(), Panicked> {
        let Some(processor) = &mut self.processor else { return Err(Panicked(NO_PROCESSOR.into())) };
        let result = AssertUnwindSafe(processor.lease_lost(reason)).catch_unwind().await;
        settle(&mut self.processor, result)
    }
}

impl Told {
    fn shard(&self) -> ShardContext {
        let ShardTenure { shard, worker, epoch, fencing_token, .. } = &*self.shard;
        ShardContext::new(shard.clone(), worker.clone(), *epoch, *fencing_token)
    }

    /// What the next call is told. The token is that of the first call, which all share up to the last chance to flush.
    fn context(&mut self, attempt: u32, cancelled: &CancellationToken) -> &mut ProcessContext {
        if self.context.is_none() {
            let (shard, checkpointer) = (self.shard(), self.checkpointer.clone());
            let context = ProcessContext { cancelled: cancelled.clone(), ..ProcessContext::new(shard, checkpointer) };
            self.context = Some(Box::new(context));
        }
        let context = self.context.as_mut().expect("made above, where there was none");
        (context.attempt, context.lag, context.deadline_in) = (attempt, None, None);
        context
    }
}

/// A processor that panicked is dropped: nobody knows in which state it is.
fn settle<T>(
    processor: &mut Option<Box<dyn RecordProcessor>>,
    result: Result<T, Box<dyn Any + Send>>,
) -> Result<T, Panicked> {
    result.map_err(|panic| {
        *processor = None;
        Panicked(panic_message(&*panic))
    })
}

/// The machine initialises before it calls anything else.
const NO_PROCESSOR: &str = "there is no processor";

fn first_failed(error: &ProcessError) -> Option<RecordPosition> {
    match error.scope() {
        FailureScope::Batch => None,
        FailureScope::From(position) => Some(position.clone()),
        // Naming no record at all is naming none that is completed.
        FailureScope::Records(positions) => positions.iter().min().cloned(),
    }
}

/// An error with its causes.
fn chain(error: &BoxError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
