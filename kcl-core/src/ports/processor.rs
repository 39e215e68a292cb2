//! The user's side: processors, what they are given, and what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::types::{
    Epoch, FencingToken, LeaseKey, Record, RecordBatch, RecordPosition, ShardRef, StoreError, WorkerId,
};

/// Any error of user code.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Processes the records of one shard, from the beginning of a tenure to its end. Driven serially: no method is called
/// while another one runs, and one instance never sees two shards.
///
/// All methods but [`process_records`](RecordProcessor::process_records) have defaults. A panic counts as a failed
/// attempt: the instance is then dropped, a new one is made by the factory and initialised, and it goes on at the last
/// completed position. Futures are dropped (at an await) when the tenure ends. An instance is also replaced if its shard cannot
/// be read for minutes and the shard's task begins anew: [`shutdown_requested`](RecordProcessor::shutdown_requested) is called
/// before, and the next instance goes on at the last completed position in the same tenure.
#[async_trait]
pub trait RecordProcessor: Send + 'static {
    /// Called once before the first records. An error is retried with growing delays.
    ///
    /// # Errors
    /// Anything; it is logged with the shard.
    async fn initialize(&mut self, shard: &ShardContext) -> Result<(), BoxError> {
        let _ = shard;
        Ok(())
    }

    /// Processes a batch. `Ok` completes all its records; an error never advances the position: the records it names are
    /// delivered again.
    ///
    /// # Errors
    /// [`ProcessError`]; `?` on any error means the whole batch, transiently.
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError>;

    /// The lease is gone; another worker may own the shard already. There is no way to checkpoint, by type.
    async fn lease_lost(&mut self, reason: LeaseLostReason) {
        let _ = reason;
    }

    /// Every record of the shard is completed and the shard is closed. The runtime writes the end afterwards, not the user.
    ///
    /// # Errors
    /// Anything: the end is then not written, and the call is repeated with growing delays.
    async fn shard_ended(&mut self, context: &ProcessContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// The worker stops, the lease moves to another one, or this instance is replaced: a last chance to flush, within
    /// [`ProcessContext::deadline_in`]. What is completed is checkpointed afterwards in any case.
    ///
    /// # Errors
    /// Anything; it is logged, and the lease is released all the same.
    async fn shutdown_requested(&mut self, context: &ProcessContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }
}

/// Makes a processor for each tenure, and anew after a panic. Every `Fn(&ShardContext) -> impl RecordProcessor` is one.
pub trait RecordProcessorFactory: Send + Sync + 'static {
    /// A new processor for this shard.
    fn processor(&self, shard: &ShardContext) -> Box<dyn RecordProcessor>;
}

impl<F, P> RecordProcessorFactory for F
where
    F: Fn(&ShardContext) -> P + Send + Sync + 'static,
    P: RecordProcessor,
{
    fn processor(&self, shard: &ShardContext) -> Box<dyn RecordProcessor> {
        Box::new(self(shard))
    }
}

/// Which shard a processor works for, in which tenure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShardContext {
    /// The stream and the shard.
    pub shard: ShardRef,
    /// The lease of the shard.
    pub lease: LeaseKey,
    /// This worker.
    pub worker: WorkerId,
    /// The epoch of the tenure.
    pub epoch: Epoch,
    /// Grows from tenure to tenure of the shard; see [`FencingToken`].
    pub fencing_token: FencingToken,
}

impl ShardContext {
    /// The context of a tenure; for tests of processors, too.
    pub fn new(shard: ShardRef, worker: WorkerId, epoch: Epoch, fencing_token: FencingToken) -> Self {
        ShardContext { lease: shard.lease_key(), shard, worker, epoch, fencing_token }
    }
}

/// What a processor is told with each call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessContext {
    /// The shard and its tenure.
    pub shard: ShardContext,
    /// Cancelled when the tenure ends or the worker wants the call to come to an end soon.
    pub cancelled: CancellationToken,
    /// How long the call may take before it is cut off; `None`: as long as it needs.
    pub deadline_in: Option<Duration>,
    /// How far behind the tip the records were when they were fetched, if known.
    pub lag: Option<Duration>,
    /// 1 for the first delivery of these records, then counting up.
    pub attempt: u32,
    /// Writes checkpoints early; the runtime writes them by itself too.
    pub checkpointer: Checkpointer,
}

impl ProcessContext {
    /// A first attempt without deadline; for tests of processors, too.
    pub fn new(shard: ShardContext, checkpointer: Checkpointer) -> Self {
        ProcessContext {
            shard,
            cancelled: CancellationToken::new(),
            deadline_in: None,
            lag: None,
            attempt: 1,
            checkpointer,
        }
    }
}

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseLostReason {
    /// It could not be renewed in time, so by now another worker may have it.
    Expired,
    /// The row names another holder, or another tenure.
    Taken,
    /// The row is gone.
    RowMissing,
    /// The row cannot be read any more.
    RowUnreadable,
    /// Another process uses this worker id.
    WorkerIdTaken,
    /// The worker's own task for the shard ended in a defect of this library.
    Internal,
}

impl LeaseLostReason {
    /// A short name for logs, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseLostReason::Expired => "expired",
            LeaseLostReason::Taken => "taken",
            LeaseLostReason::RowMissing => "row_missing",
            LeaseLostReason::RowUnreadable => "row_unreadable",
            LeaseLostReason::WorkerIdTaken => "worker_id_taken",
            LeaseLostReason::Internal => "internal",
        }
    }
}

impl fmt::Display for LeaseLostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which records of a batch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureScope {
    /// All of them.
    Batch,
    /// This record and all after it; those before are completed.
    From(RecordPosition),
    /// Exactly these; the others are completed. With shard order the records after the first failed one are delivered
    /// again too, marked as such.
    Records(Vec<RecordPosition>),
}

/// What failed, and whether trying again may help.
#[derive(Debug)]
pub struct ProcessError(Box<Failure>);

/// Behind a pointer, so that a function that is called for each record hands back eight bytes.
#[derive(Debug)]
struct Failure {
    scope: FailureScope,
    kind: FailureKind,
    source: BoxError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    Transient,
    Permanent,
    CutShort,
}

impl ProcessError {
    /// The whole batch failed, and trying again may help.
    pub fn transient(source: impl Into<BoxError>) -> Self {
        ProcessError::of(FailureKind::Transient, source.into())
    }

    /// The whole batch failed, and trying again does not help.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        ProcessError::of(FailureKind::Permanent, source.into())
    }

    fn of(kind: FailureKind, source: BoxError) -> Self {
        ProcessError(Box::new(Failure { scope: FailureScope::Batch, kind, source }))
    }

    /// Everything from this record on failed; what came before it in the batch is completed.
    pub fn from_record(mut self, record: &Record) -> Self {
        self.0.scope = FailureScope::From(record.position());
        self
    }

    /// Exactly these records failed.
    pub fn records<'a>(mut self, failed: impl IntoIterator<Item = &'a Record>) -> Self {
        self.0.scope = FailureScope::Records(failed.into_iter().map(Record::position).collect());
        self
    }

    /// Which records failed.
    pub fn scope(&self) -> &FailureScope {
        &self.0.scope
    }

    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        self.0.kind == FailureKind::Permanent
    }

    /// Nothing failed: the handler saw [`ProcessContext::cancelled`] and left this record and all after it undone. What came
    /// before is completed; the rest is delivered again, to whoever owns the shard then.
    pub fn cut_short(first_undone: &Record) -> Self {
        let error = ProcessError::of(FailureKind::CutShort, "the handler was asked to come to an end".into());
        error.from_record(first_undone)
    }

    /// Whether the handler only left work undone because it was asked to.
    pub fn is_cut_short(&self) -> bool {
        self.0.kind == FailureKind::CutShort
    }

    /// The user's error.
    pub fn source(&self) -> &BoxError {
        &self.0.source
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source())?;
        let mut cause = self.source().source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// `?` on any error: the whole batch, transient.
impl<E: Into<BoxError>> From<E> for ProcessError {
    fn from(source: E) -> Self {
        ProcessError::transient(source)
    }
}

/// Writes checkpoints of one tenure. After the tenure every call answers [`CheckpointError::LeaseLost`].
///
/// What may be stored is only what is completed: the highest position below which all records are done.
#[derive(Clone)]
pub struct Checkpointer {
    sink: Arc<dyn CheckpointSink>,
}

/// Where a [`Checkpointer`] sends its calls: the runtime, or a double in tests of processors.
#[async_trait]
pub trait CheckpointSink: Send + Sync + 'static {
    /// Stores everything that is completed now, and returns once it is stored.
    async fn checkpoint(&self) -> Result<Option<RecordPosition>, CheckpointError>;
}

impl Checkpointer {
    /// A checkpointer over a sink.
    pub fn new(sink: Arc<dyn CheckpointSink>) -> Self {
        Checkpointer { sink }
    }

    /// Stores everything that is completed: all batches before the current call (the records of the running call are not
    /// completed until it returns). Returns the stored position, `None` if nothing has been completed ever.
    ///
    /// # Errors
    /// [`CheckpointError::LeaseLost`] if the tenure is over. While the store does not answer, the call waits and the write
    /// is repeated, until the lease is lost.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it to the next renewal to store the position.
    pub async fn checkpoint(&self) -> Result<Option<RecordPosition>, CheckpointError> {
        self.sink.checkpoint().await
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpointer")
    }
}

/// Why a checkpoint was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The tenure is over; another worker may own the shard.
    #[error("the lease is lost ({0}); nothing was stored")]
    LeaseLost(LeaseLostReason),
    /// The store refuses the write in a way that repeating does not cure.
    #[error(transparent)]
    Store(#[from] StoreError),
}
