//! The function handler: a consumer without a processor type.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{ProcessContext, ProcessError, RecordProcessor, RecordProcessorFactory, ShardContext};
use crate::types::{Record, RecordBatch};

/// Makes processors that call one function for each record, in order.
pub(super) struct FunctionFactory<F> {
    handler: Arc<F>,
}

impl<F> FunctionFactory<F> {
    pub(super) fn new(handler: F) -> Self {
        FunctionFactory { handler: Arc::new(handler) }
    }
}

impl<F, Fut> RecordProcessorFactory for FunctionFactory<F>
where
    F: Fn(Record) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), ProcessError>> + Send + 'static,
{
    fn processor(&self, _shard: &ShardContext) -> Box<dyn RecordProcessor> {
        Box::new(FunctionProcessor { handler: Arc::clone(&self.handler) })
    }
}

struct FunctionProcessor<F> {
    handler: Arc<F>,
}

#[async_trait]
impl<F, Fut> RecordProcessor for FunctionProcessor<F>
where
    F: Fn(Record) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), ProcessError>> + Send + 'static,
{
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let mut waited = true;
        for index in 0..batch.len() {
            // The shard task cancels between two polls of this call, so only then is the token, which has a lock, looked at.
            if waited && context.cancelled.is_cancelled() {
                return Err(ProcessError::cut_short(&batch.at(index)));
            }
            let result;
            // Made where it goes: a record that is moved about costs as much as the call.
            (result, waited) = noting_waits((self.handler)(batch.at(index))).await;
            if let Err(error) = result {
                // Whatever the function says failed, here it is this record: those before are completed.
                return Err(error.from_record(&batch.at(index)));
            }
        }
        Ok(())
    }
}

/// What the future yields, and whether it had to be polled more than once for it.
async fn noting_waits<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = pin!(future);
    let mut polls = 0_usize;
    let output = poll_fn(|context| {
        polls += 1;
        future.as_mut().poll(context)
    });
    let output = output.await;
    (output, polls > 1)
}
