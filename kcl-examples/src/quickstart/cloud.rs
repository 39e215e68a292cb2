//! Kinesis and DynamoDB inside the process, under the clients of the AWS SDK: requests are serialised, signed, answered and
//! parsed as over the network, but need no port.

use anyhow::Context;
use kcl_core::types::StreamId;
use kcl_local::{LocalDynamoDb, LocalKinesis};

use crate::common::program::Usage;

/// Both services, and a stream.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    /// A client of Kinesis.
    pub(super) kinesis: aws_sdk_kinesis::Client,
    /// A client of DynamoDB.
    pub(super) dynamodb: aws_sdk_dynamodb::Client,
    /// The stream.
    pub(super) stream: StreamId,
}

impl Cloud {
    /// Starts both and creates the stream.
    pub(super) fn start(shards: u32) -> anyhow::Result<Cloud> {
        let kinesis = LocalKinesis::new();
        kinesis.create_stream(NAME, shards).map_err(|error| Usage(format!("--shards {shards}: {error}")))?;
        let dynamodb = LocalDynamoDb::in_memory().context("the embedded DynamoDB does not start")?;
        Ok(Cloud {
            kinesis: aws_sdk_kinesis::Client::new(&kinesis.sdk_config()),
            dynamodb: aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config()),
            stream: NAME.parse()?,
        })
    }
}

/// The stream and the application.
pub(super) const NAME: &str = "quickstart";
