//! Drives a reader as the runtime does, with a small budget, and looks at what it brings.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::{Clock, Fetched, ReadError, ShardReader, StreamSource};
use kcl_core::testing::ManualClock;
use kcl_core::types::{Position, RecordBatch, SequenceNumber, ShardRef};

use super::expected::{Expected, brought};
use super::tally::Tally;

/// A reader, and what it brought so far.
pub(super) struct Reading {
    reader: Box<dyn ShardReader>,
    clock: ManualClock,
    tally: Arc<Tally>,
    last: Option<SequenceNumber>,
    pub(super) records: Vec<Expected>,
    pub(super) errors: Vec<ReadError>,
    pub(super) ended: bool,
}

impl Reading {
    /// Reads a shard from its beginning.
    pub(super) fn of(source: &KinesisSource, clock: &ManualClock) -> Self {
        let (stream, shard) = ("orders".parse(), "shardId-000000000000".parse());
        let shard = ShardRef::new(stream.expect("a name"), shard.expect("an id"));
        Reading {
            reader: source.open(&shard, Position::TrimHorizon),
            clock: clock.clone(),
            tally: Tally::new(ROOM),
            last: None,
            records: Vec::new(),
            errors: Vec::new(),
            ended: false,
        }
    }

    /// Makes so many fetches; none after an end, which the runtime would not make either unless it has doubts.
    pub(super) async fn fetches(&mut self, count: usize) {
        for _ in 0..count {
            if self.ended {
                return;
            }
            match self.fetch().await {
                Ok(fetched) => self.took(fetched),
                Err(error) => {
                    assert!(!error.to_string().is_empty(), "an error without words");
                    self.errors.push(error);
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, ReadError> {
        let patience = self.clock.sleep_until(self.clock.now() + PATIENCE);
        let reader = &mut self.reader;
        let permit = self.tally.permit(reader.demand().min(ROOM));
        tokio::select! {
            biased;
            fetched = async { reader.ready().await; reader.next(permit).await } => fetched,
            () = patience => panic!("it waits without end"),
        }
    }

    fn took(&mut self, fetched: Fetched) {
        self.ended = fetched.end.is_some();
        let batch = fetched.batch;
        for record in batch.iter() {
            let next = Some(record.sequence_number().clone());
            assert!(self.last < next, "{next:?} comes after {:?}", self.last);
            self.last = next;
            self.records.push(brought(&record));
        }
        let held = batch.data_bytes() + batch.len() * LEAST_OF_ENTRY;
        assert!(self.tally.used() >= held, "{held} bytes are held, and {} counted", self.tally.used());
        self.opens(&batch);
    }

    /// What comes of a wire may be an aggregate, too.
    fn opens(&self, batch: &RecordBatch) {
        let opened = batch.open_aggregates(None);
        assert_eq!(opened.outside, 0, "nothing lies outside of everything");
    }

    /// The end: everything was counted, and is given back.
    pub(super) fn finish(self, wire: usize) -> (Vec<Expected>, Vec<ReadError>) {
        let Reading { reader, tally, records, errors, .. } = self;
        drop(reader);
        assert_eq!(tally.used(), 0, "bytes that nobody gives back");
        // Three bytes for each on the wire while it is received; records without data weigh more than on the wire.
        let bound = ROOM + 8 * wire;
        assert!(tally.most() <= bound, "{} bytes for {wire} on the wire", tally.most());
        (records, errors)
    }
}

/// Far above the longest wait of any reader.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// The bytes of the budget. Most inputs fit; those that do not are refused or overdraw it, one at a time.
const ROOM: usize = 16 << 10;
/// What a record takes besides its data, at least.
const LEAST_OF_ENTRY: usize = 64;
