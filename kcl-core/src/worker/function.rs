//! The function handler: a consumer without a processor type.

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
        for record in batch {
            if context.cancelled.is_cancelled() {
                return Err(ProcessError::cut_short(&record));
            }
            // Whatever the function says failed, here it is this record: those before are completed.
            (self.handler)(record.clone()).await.map_err(|error| error.from_record(&record))?;
        }
        Ok(())
    }
}
