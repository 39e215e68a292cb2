//! What a reader brought, and what a stream has.

use std::time::Duration;

use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::{Fetched, ReadError, ShardReader, StreamSource};
use kcl_core::types::{BytePermit, ChildShard, Position, SequenceNumber};
use kcl_local::ShardId;

use crate::scene::{STREAM, Scene, shard};

/// A reader of one shard as the runtime drives it, and what it brought.
pub(crate) struct Reading {
    pub(crate) reader: Box<dyn ShardReader>,
    pub(crate) numbers: Vec<String>,
    pub(crate) errors: Vec<ReadError>,
    /// Answers without records, and without lag.
    pub(crate) empty: usize,
    pub(crate) nothing: usize,
    pub(crate) children: Option<Vec<ChildShard>>,
    index: u32,
}

impl Reading {
    /// Reads a shard from its beginning.
    pub(crate) fn of(source: &KinesisSource, index: u32) -> Self {
        Reading::from(source, index, Position::TrimHorizon)
    }

    pub(crate) fn from(source: &KinesisSource, index: u32, position: Position) -> Self {
        let reader = source.open(&shard(index), position);
        Reading { reader, numbers: Vec::new(), errors: Vec::new(), empty: 0, nothing: 0, children: None, index }
    }

    /// One fetch, as the runtime makes it. After an error the runtime waits a little; so does this.
    pub(crate) async fn fetch(&mut self, scene: &Scene) {
        self.reader.ready().await;
        let result = self.reader.next(BytePermit::unlimited()).await;
        if result.is_err() {
            scene.pass(Duration::from_millis(100)).await;
        }
        self.took(result);
    }

    pub(crate) fn took(&mut self, result: Result<Fetched, ReadError>) {
        match result {
            Ok(fetched) => {
                self.empty += usize::from(fetched.batch.is_empty());
                self.nothing += usize::from(fetched.batch.is_empty() && fetched.lag.is_none());
                self.numbers.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
                self.children = fetched.end.map(|end| end.children);
            }
            Err(error) => self.errors.push(error),
        }
    }

    /// Fetches until so many records came.
    pub(crate) async fn until(&mut self, scene: &Scene, count: usize) {
        while self.numbers.len() < count {
            self.fetch(scene).await;
        }
    }

    /// Fetches until the shard ends.
    pub(crate) async fn until_end(&mut self, scene: &Scene) {
        while self.children.is_none() {
            self.fetch(scene).await;
        }
    }

    /// Fetches for so long.
    pub(crate) async fn during(&mut self, scene: &Scene, time: Duration) {
        tokio::select! {
            biased;
            () = async { loop { self.fetch(scene).await } } => {}
            () = scene.pass(time) => {}
        }
    }

    /// Holds what was brought against what the shard has: the same records, in order and once.
    #[track_caller]
    pub(crate) fn assert_all(&self, scene: &Scene) {
        assert_eq!(self.numbers, of_shard(scene, self.index), "of shard {}", self.index);
    }
}

/// The numbers of the records that a shard has.
pub(crate) fn of_shard(scene: &Scene, index: u32) -> Vec<String> {
    let all = scene.kinesis.all_records(STREAM).unwrap().into_iter();
    all.filter(|(shard, _)| *shard == ShardId(index)).map(|(_, record)| record.sequence_number.to_string()).collect()
}

pub(crate) fn sequence(text: &str) -> SequenceNumber {
    text.parse().unwrap()
}
