//! Kinesis Data Streams as a source, through the AWS SDK.
