//! The processor: a batch is completed once its line is written.

use kcl_core::{ProcessContext, ProcessError, RecordBatch, RecordProcessor, async_trait};

use super::arguments::Format;
use super::count::Count;
use super::lines::{self, Names};
use super::output::Output;

/// Prints what one shard delivers.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    /// What to print.
    pub(super) format: Format,
    /// What each line names.
    pub(super) names: Names,
    /// Where to print it.
    pub(super) output: Output,
    /// What to count it in.
    pub(super) count: Count,
}

#[async_trait]
impl RecordProcessor for Printer {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let written = match self.format {
            // The total is told by somebody else; what it could not be told of is not completed either.
            Format::Counts => !self.output.is_closed(),
            Format::Batches => self.output.write(lines::batch(&context.shard, &batch, self.names)).await.is_ok(),
            Format::Records => self.output.write(lines::records(&context.shard, &batch, self.names)).await.is_ok(),
        };
        match batch.first() {
            Some(first) if !written => {
                // Trying again is of no use, and completing would lose the batch: the worker is about to be stopped.
                context.cancelled.cancelled().await;
                Err(ProcessError::cut_short(&first))
            }
            _ => {
                self.count.add(batch.len());
                Ok(())
            }
        }
    }
}
