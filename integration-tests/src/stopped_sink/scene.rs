//! The servers, the stream, and what is put into it.

use std::error::Error;

use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, NewRecord, ShardDescription, ShardFilter, Tls};

/// What is put before anything is measured.
pub(super) const WARM_UP: &str = "warming up";
pub(super) const STREAM: &str = "backlog";

/// A stream in servers of this process.
pub(super) struct Scene {
    pub(super) aws: LocalAws,
    /// The certificates that the servers are to be trusted by; none without TLS.
    pub(super) ca_pem: Option<String>,
    shards: Vec<ShardDescription>,
}

impl Scene {
    pub(super) async fn start(shards: u32, is_tls: bool) -> Result<Self, Box<dyn Error>> {
        let kinesis = LocalKinesis::new();
        kinesis.create_stream(STREAM, shards)?;
        let (dynamodb, anywhere) = (LocalDynamoDb::in_memory()?, Addresses::default());
        let (aws, ca_pem) = if is_tls {
            let tls = Tls::generate()?;
            let ca_pem = tls.ca_pem().to_owned();
            (LocalAws::start_tls(kinesis, dynamodb, anywhere, tls).await?, Some(ca_pem))
        } else {
            (LocalAws::start_with(kinesis, dynamodb, anywhere).await?, None)
        };
        let shards = aws.kinesis().list_shards(STREAM, ShardFilter::AtLatest)?;
        Ok(Scene { aws, ca_pem, shards })
    }

    /// Puts so many records with this data into each of these shards.
    pub(super) fn put(&self, shards: std::ops::Range<usize>, count: usize, data: &[u8]) -> Result<(), Box<dyn Error>> {
        let record = NewRecord::new("key", data);
        for shard in &self.shards[shards] {
            for _ in 0..count {
                self.aws.kinesis().put(STREAM, record.clone().with_explicit_hash_key(shard.hash_range.start))?;
            }
        }
        Ok(())
    }
}
