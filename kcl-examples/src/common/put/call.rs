//! One batch: called until the service has taken all of it.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::{Backoff, StreamId};

use super::{Entry, Totals};

/// Puts batches to a stream.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    stream: StreamId,
    totals: Totals,
    clock: SystemClock,
    random: fastrand::Rng,
}

impl Caller {
    /// `number` tells callers apart, so that they do not repeat in step.
    pub(super) fn new(client: Client, stream: StreamId, totals: Totals, number: u64) -> Self {
        let clock = SystemClock::new();
        let seed = clock.wall().as_millis().unsigned_abs().rotate_left(8) ^ number;
        Caller { client, stream, totals, clock, random: fastrand::Rng::with_seed(seed) }
    }

    /// Puts all of them. A call whose answer was lost is made again, so records may be in the stream twice.
    pub(super) async fn put(&mut self, entries: Vec<Entry>, placed: &impl Fn(&str, &str)) -> anyhow::Result<()> {
        let mut left = entries;
        let mut failures = 0;
        let mut progress = self.clock.now();
        loop {
            let before = left.len();
            let problem = match self.call(&left).await {
                Ok(answer) => match self.settle(&mut left, &answer, placed)? {
                    Some(problem) => anyhow::anyhow!(problem),
                    None => return Ok(()),
                },
                Err(error) if may_pass(&error) => anyhow::Error::new(error),
                Err(error) => return Err(self.refused(error)),
            };
            if left.len() < before {
                failures = 0;
                progress = self.clock.now();
            }
            if self.clock.now().since(progress) > PATIENCE {
                return Err(problem.context(format!(
                    "the stream {} has taken nothing for {} s; check the endpoint, the region, the network, and whether \
                     the stream has enough shards",
                    self.stream,
                    PATIENCE.as_secs()
                )));
            }
            failures += 1;
            self.totals.again(&left);
            tracing::info!(records = left.len(), error = format!("{problem:#}"), "records are put again");
            self.clock.sleep_until(self.clock.now() + BACKOFF.delay(failures, self.random.u64(..))).await;
        }
    }

    async fn call(&self, entries: &[Entry]) -> Result<PutRecordsOutput, SdkError<PutRecordsError>> {
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = PutRecordsRequestEntry::builder().partition_key(&entry.key).data(Blob::new(&*entry.data));
            let record = record.set_explicit_hash_key(entry.explicit_hash_key.clone());
            records.push(record.build().map_err(SdkError::construction_failure)?);
        }
        let call = self.client.put_records().set_records(Some(records));
        let call = match self.stream.arn() {
            Some(arn) => call.stream_arn(arn),
            None => call.stream_name(self.stream.name().as_str()),
        };
        call.send().await
    }

    /// Keeps the records that were not taken, and says why the first of them was not.
    fn settle(
        &self,
        left: &mut Vec<Entry>,
        answer: &PutRecordsOutput,
        placed: &impl Fn(&str, &str),
    ) -> anyhow::Result<Option<String>> {
        let results = answer.records();
        anyhow::ensure!(
            results.len() == left.len(),
            "the service answered for {} of {} records",
            results.len(),
            left.len()
        );
        let mut problem = None;
        let mut results = results.iter();
        left.retain(|entry| {
            let Some(result) = results.next() else { return true };
            match (result.shard_id(), result.sequence_number()) {
                (Some(shard), Some(sequence)) => {
                    self.totals.placed(entry);
                    placed(shard, sequence);
                    false
                }
                _ => {
                    let said = |text: Option<&str>| text.unwrap_or("no reason given").to_owned();
                    let (code, message) = (said(result.error_code()), said(result.error_message()));
                    problem.get_or_insert_with(|| format!("{code}: {message}"));
                    true
                }
            }
        });
        Ok(problem)
    }

    fn refused(&self, error: SdkError<PutRecordsError>) -> anyhow::Error {
        let cure = match error.code() {
            Some("ResourceNotFoundException") => {
                "check its name, the region and the account, or let --create-shards make it"
            }
            Some("AccessDeniedException") => "check the credentials and the policy for the stream",
            _ => "check the stream, and that the endpoint is a Kinesis",
        };
        let stream = &self.stream;
        let words = error.message().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned);
        anyhow::anyhow!("the stream {stream} does not take records: {}; {cure}", words.trim_end_matches('.'))
    }
}

/// Whether the same call may succeed later without anybody's help.
fn may_pass(error: &SdkError<PutRecordsError>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => {
            let busy = matches!(
                answer.err().code(),
                Some(
                    "ProvisionedThroughputExceededException"
                        | "LimitExceededException"
                        | "ThrottlingException"
                        | "KMSThrottlingException"
                )
            );
            busy || answer.raw().status().is_server_error()
        }
        _ => false,
    }
}

/// One call with 10 MiB over a slow line.
pub(super) const ATTEMPT: Duration = Duration::from_secs(15);
/// With the last attempt this stays below half a minute where nothing answers.
const PATIENCE: Duration = Duration::from_secs(20);
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(2) };
