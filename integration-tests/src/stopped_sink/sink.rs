//! The worker whose sink stops. Settings and endpoints come from the environment.

use std::io::Write;

use kcl_core::{
    EventStream, ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext, Worker,
    WorkerEvent, async_trait,
};
use kcl_examples::common::trust::TrustFlags;
use kcl_examples::common::{aws, logging};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

use super::line::Line;
use super::scene::WARM_UP;

/// Runs the worker until a signal. Its sink stops at the first so many shards with the first record that is not one of the
/// warming up, and goes on when a line comes on standard input.
///
/// # Errors
/// If the worker cannot start, or fails.
pub async fn run(stopped_shards: usize) -> Result<(), Box<dyn std::error::Error>> {
    logging::start(None, "warn,kcl_core=info,aws_config=error")?;
    let endpoints = ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_DYNAMODB"].map(|name| std::env::var(name).ok());
    let trusting = TrustFlags::default().read()?;
    let config = aws::configuration("stopped-sink", &endpoints, trusting.as_ref()).await?;
    let goes_on = watch::Sender::new(false);
    let sink = Sink { stopped_shards, goes_on: goes_on.subscribe() };
    let worker = Worker::builder(Settings::from_env()).aws(&config);
    let worker = match trusting {
        Some(trusting) => worker.subscribing_over(trusting.subscriptions),
        None => worker,
    };
    let worker = worker.processor(move |_: &ShardContext| sink.clone()).build()?;
    let events = worker.events();
    let waits_for_line = async {
        let mut line = String::new();
        if BufReader::new(tokio::io::stdin()).read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
            goes_on.send_replace(true);
        }
    };
    let (outcome, (), ()) = tokio::join!(worker.run_until_signal(), announce(events), waits_for_line);
    outcome?;
    Ok(())
}

#[derive(Clone)]
struct Sink {
    stopped_shards: usize,
    goes_on: watch::Receiver<bool>,
}

#[async_trait]
impl RecordProcessor for Sink {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let shard = context.shard.shard.id().as_str().to_owned();
        let stops = shard.rsplit('-').next().and_then(|number| number.parse().ok()) < Some(self.stopped_shards);
        if stops && !*self.goes_on.borrow() && batch.iter().any(|record| record.data() != WARM_UP) {
            print(Line::Stopped { shard: shard.clone() });
            self.goes_on.wait_for(|goes_on| *goes_on).await?;
        }
        let number = |record: Option<kcl_core::Record>| {
            record.map_or_else(String::new, |record| record.sequence_number().to_string())
        };
        let (first, last) = (number(batch.first()), number(batch.last()));
        print(Line::Given { shard, records: batch.len(), first, last });
        Ok(())
    }
}

/// Prints what must not happen, and what the watchdog tells.
async fn announce(mut events: EventStream) {
    while let Some(Ok(event)) = events.next().await {
        let id = |tenure: &kcl_core::ShardTenure| tenure.shard.id().as_str().to_owned();
        match event {
            WorkerEvent::ShardSlow { tenure, what, .. } => {
                print(Line::Slow { shard: id(&tenure), what: what.to_owned() });
            }
            WorkerEvent::LeaseLost { tenure, reason } => {
                print(Line::Lost { shard: id(&tenure), why: format!("lost: {}", reason.as_str()) });
            }
            WorkerEvent::ShardRestarted { tenure, reason, .. } => {
                print(Line::Lost { shard: id(&tenure), why: format!("restarted: {reason:?}") });
            }
            WorkerEvent::ShardStalled { tenure, error, .. } => {
                print(Line::Lost { shard: id(&tenure), why: format!("stalled: {error}") });
            }
            WorkerEvent::Stopped => return,
            _ => {}
        }
    }
}

/// One line on standard output, in one piece. Nobody reads slowly here.
fn print(line: Line) {
    let _nobody_reads = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}
