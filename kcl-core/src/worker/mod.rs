//! The worker: what users build, start and stop. The only place that sees adapters and runtime together.

mod aws;
mod builder;
mod function;
mod handle;
mod reads;
mod signal;

pub use builder::WorkerBuilder;
pub use handle::WorkerHandle;

use std::sync::Arc;

use crate::error::WorkerError;
use crate::metric_definitions;
use crate::runtime::{self, Context, EventStream, TaskKind, WorkerReport};
use crate::settings::{EffectiveSettings, Settings};
use crate::types::WorkerId;

/// A worker that is ready to start: it leases shards of one stream, or of several, reads them, hands records to user code and stores how
/// far it is. Any number of workers of one application share the shards, in one process or many.
///
/// ```no_run
/// use kcl_core::{Record, Worker, settings::Settings};
///
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = aws_config_or_your_own().await;
/// let worker = Worker::builder(Settings::new("orders-app", "orders"))
///     .aws(&aws)
///     .handler(|record: Record| async move {
///         println!("{} {} bytes", record.partition_key(), record.data().len());
///         Ok(())
///     })
///     .build()?;
/// worker.run_until_signal().await?;
/// # Ok(()) }
/// # async fn aws_config_or_your_own() -> aws_types::SdkConfig { aws_types::SdkConfig::builder().build() }
/// ```
#[derive(Debug)]
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    context: Arc<Context>,
}

impl Worker {
    /// A builder over these settings.
    pub fn builder(settings: Settings) -> WorkerBuilder {
        WorkerBuilder::new(settings)
    }

    /// The settings in force.
    pub fn settings(&self) -> &EffectiveSettings {
        &self.context.settings
    }

    /// The id of this worker.
    pub fn worker_id(&self) -> &WorkerId {
        &self.context.worker
    }

    /// Events from now on: subscribe before the start to miss none.
    pub fn events(&self) -> EventStream {
        self.context.events.subscribe()
    }

    /// Makes the table, the leases and the worker's row ready, then runs in tasks of its own on the current runtime, of
    /// either flavour. Installs no signal handler, no subscriber and no recorder.
    ///
    /// # Errors
    /// [`WorkerError`]: what is wrong fails at once, what cannot be reached after the setting `start_timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready may leave a table, leases and a worker row behind; another start uses them.
    pub async fn start(self) -> Result<WorkerHandle, WorkerError> {
        let context = self.context;
        metric_definitions::describe();
        tracing::info!(
            application = %context.settings.application,
            stream = context.settings.stream.as_ref().map(tracing::field::display),
            worker_id = %context.worker,
            timings = %context.settings.timings,
            "worker starts"
        );
        let started = runtime::start(&context).await?;
        let tasks = runtime::Tasks::new(Arc::clone(context.tasks.spawner()));
        let done = tasks.spawn(TaskKind::Supervisor, runtime::run(Arc::clone(&context), started));
        Ok(WorkerHandle::new(context, done))
    }

    /// Starts, runs until SIGTERM or SIGINT (Ctrl-C), then stops in order: no new work, handlers finish within
    /// `drain_timeout`, last checkpoints, leases given back, the worker's row removed. A second signal, half a second
    /// later or more, ends at once, still without a wrong checkpoint.
    ///
    /// # Errors
    /// [`WorkerError`], also if the worker ended by itself; [`WorkerError::Aborted`] after a second signal.
    pub async fn run_until_signal(self) -> Result<WorkerReport, WorkerError> {
        signal::run(self).await
    }
}
