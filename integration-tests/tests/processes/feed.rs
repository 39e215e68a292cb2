//! Putting lines through the AWS SDK, and what was put where.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_core::types::SequenceNumber;

/// What a shard holds: the number of each record, in order.
pub(crate) type Put = BTreeMap<String, Vec<SequenceNumber>>;

pub(crate) struct Feed {
    client: Client,
    stream: &'static str,
    lines: Vec<Vec<u8>>,
    put: Put,
}

impl Feed {
    pub(crate) fn new(endpoint: &str, stream: &'static str, lines: Vec<Vec<u8>>) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Feed { client: Client::from_conf(config.build()), stream, lines, put: Put::new() }
    }

    /// Puts some of the lines, in calls as large as the service allows.
    pub(crate) async fn put(&mut self, range: Range<usize>) {
        for start in range.clone().step_by(CALL) {
            let entries = (start..range.end.min(start + CALL)).map(|number| {
                let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", number % 997));
                entry.data(Blob::new(self.lines[number].as_slice())).build().unwrap()
            });
            let call = self.client.put_records().stream_name(self.stream).set_records(Some(entries.collect()));
            let answer = call.send().await.unwrap();
            assert_eq!(answer.failed_record_count(), Some(0), "a server without limits takes everything");
            for placed in answer.records() {
                let number = placed.sequence_number().unwrap().parse().unwrap();
                self.put.entry(placed.shard_id().unwrap().to_owned()).or_default().push(number);
            }
        }
    }

    /// What was put so far.
    pub(crate) fn so_far(&self) -> &Put {
        &self.put
    }
}

/// The most records that one call takes.
const CALL: usize = 500;
