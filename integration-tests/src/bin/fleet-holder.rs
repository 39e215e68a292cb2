//! A worker whose handler stays at every record `hold` until it is cut off, as one in the middle of something long. It
//! prints what `consume` prints of records, and besides when a handler holds, when it is dropped, and what becomes of a
//! checkpoint that is asked for after the end of the tenure. Settings and endpoints come from the environment.

use std::io::Write;
use std::process::ExitCode;

use kcl_core::{
    EventStream, ProcessContext, ProcessError, Record, RecordBatch, RecordProcessor, Settings, ShardContext, Worker,
    WorkerEvent, async_trait,
};
use kcl_examples::common::{aws, logging, program};
use serde_json::{Value, json};

fn main() -> ExitCode {
    program::run("fleet-holder", async {
        logging::start(None, "warn,kcl_core=info,aws_config=error")?;
        let endpoints = ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_DYNAMODB"].map(|name| std::env::var(name).ok());
        let config = aws::configuration("fleet-holder", &endpoints, None).await?;
        let worker = Worker::builder(Settings::from_env()).aws(&config).processor(|_: &ShardContext| Holder).build()?;
        let events = worker.events();
        let (outcome, ()) = tokio::join!(worker.run_until_signal(), announce(events));
        outcome?;
        Ok(())
    })
}

struct Holder;

#[async_trait]
impl RecordProcessor for Holder {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        for record in batch.iter() {
            say(context, "record", json!({"sequence": record.sequence_number().as_str()}));
            if record.data() == "hold" {
                hold(&record, context).await;
            }
        }
        Ok(())
    }
}

/// Prints which leases the worker has, as `consume` does.
async fn announce(mut events: EventStream) {
    while let Some(Ok(event)) = events.next().await {
        let (event, tenure) = match event {
            WorkerEvent::LeaseGained { tenure, .. } => ("lease_gained", tenure),
            WorkerEvent::LeaseLost { tenure, .. } => ("lease_lost", tenure),
            WorkerEvent::LeaseReleased { tenure, .. } => ("lease_released", tenure),
            WorkerEvent::Stopped => return,
            _ => continue,
        };
        print(event, tenure.shard.id().as_str(), tenure.worker.as_str(), tenure.fencing_token.0, json!({}));
    }
}

/// Never returns: the future is dropped when the tenure ends.
async fn hold(record: &Record, context: &ProcessContext) {
    say(context, "holding", json!({"sequence": record.sequence_number().as_str()}));
    let _cut = Cut(context);
    keep_checkpointer(context);
    std::future::pending::<()>().await;
}

/// User code that outlives its tenure asks for a checkpoint then.
#[expect(clippy::disallowed_methods, reason = "what user code does besides its handler is what is looked at")]
fn keep_checkpointer(context: &ProcessContext) {
    let context = context.clone();
    tokio::spawn(async move {
        context.cancelled.cancelled().await;
        match context.checkpointer.checkpoint().await {
            Ok(_) => say(&context, "checkpoint_stored", json!({})),
            Err(error) => say(&context, "checkpoint_refused", json!({"reason": error.to_string()})),
        }
    });
}

struct Cut<'a>(&'a ProcessContext);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        say(self.0, "handler_ended", json!({}));
    }
}

fn say(context: &ProcessContext, event: &str, more: Value) {
    let shard = &context.shard;
    print(event, shard.shard.id().as_str(), shard.worker.as_str(), shard.fencing_token.0, more);
}

/// One line on standard output, in one piece. Nobody reads slowly here.
fn print(event: &str, shard: &str, worker: &str, fencing_token: u64, more: Value) {
    let mut line = json!({"event": event, "shard": shard, "worker": worker, "fencing_token": fencing_token});
    if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
        line.extend(more.clone());
    }
    let _nobody_reads = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}
