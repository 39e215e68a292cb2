//! A source whose readers hold something open, and must be prepared.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::ports::{Clock, Fetched, ListedShards, ReadError, ShardReader, SourceError, StreamSource};
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{BytePermit, Moment, Position, ShardRef, StreamId};
use kcl_core::{ProcessError, Record, WorkerError, async_trait};
use tokio::sync::Semaphore;

use crate::fleet::{Fleet, shard};

/// Gives up what its readers hold open after they have rested for two seconds.
#[derive(Debug, Clone)]
struct Holding {
    source: ScriptedSource,
    clock: ManualClock,
    given_up: Arc<Mutex<Vec<Moment>>>,
    refusal: Option<SourceError>,
}

struct HoldingReader {
    reader: Box<dyn ShardReader>,
    source: Holding,
    is_open: bool,
    since: Option<Moment>,
}

#[async_trait]
impl StreamSource for Holding {
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError> {
        self.source.list_shards(stream).await
    }

    async fn prepare(&self, _stream: &StreamId) -> Result<(), SourceError> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        let reader = self.source.open(shard, position);
        Box::new(HoldingReader { reader, source: self.clone(), is_open: false, since: None })
    }
}

#[async_trait]
impl ShardReader for HoldingReader {
    async fn ready(&mut self) {
        self.reader.ready().await;
    }

    fn demand(&self) -> usize {
        self.reader.demand()
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        (self.is_open, self.since) = (true, None);
        self.reader.next(permit).await
    }

    async fn rest(&mut self) -> Infallible {
        let clock = &self.source.clock;
        let since = *self.since.get_or_insert_with(|| clock.now());
        clock.sleep_until(since + Duration::from_secs(2)).await;
        if std::mem::take(&mut self.is_open) {
            self.source.given_up.lock().unwrap().push(clock.now());
        }
        std::future::pending().await
    }
}

fn holding(fleet: &Fleet) -> Holding {
    let (source, clock) = (fleet.source.clone(), fleet.clock.clone());
    Holding { source, clock, given_up: Arc::default(), refusal: None }
}

/// Stops user code for half a minute with ten records of so many bytes to read, and says when readers gave something up.
fn given_up(bytes: usize) -> Vec<Moment> {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let source = holding(&fleet);
        fleet.source.set_batch_limit(1);
        for _ in 0..10 {
            fleet.source.append(&shard(0), vec![b'x'; bytes]);
        }
        let (log, gate) = (fleet.log.clone(), Arc::new(Semaphore::new(0)));
        let waiting = Arc::clone(&gate);
        let worker = fleet.builder(fleet.settings("a").read_ahead_bytes(1_u64 << 20)).source(source.clone());
        let worker = worker.handler(move |record: Record| {
            let (log, gate) = (log.clone(), Arc::clone(&waiting));
            async move {
                let _passed = gate.acquire().await?;
                log.note(record.sequence_number().to_string());
                Ok::<(), ProcessError>(())
            }
        });
        let mut a = worker.build().unwrap().start().await.unwrap();
        fleet.pass(Duration::from_secs(30)).await;
        assert_eq!(fleet.log.notes().len(), 0);
        let given_up = source.given_up.lock().unwrap().clone();
        gate.add_permits(1);
        fleet.pass(Duration::from_secs(5)).await;
        a.stop();
        a.wait().await.unwrap();
        let expected: Vec<String> = (1..=10).map(|n| n.to_string()).collect();
        assert_eq!(fleet.log.notes(), expected, "nothing is lost or repeated by it");
        given_up
    })
}

#[test]
fn a_reader_rests_while_user_code_is_busy_and_while_the_budget_is_used_up() {
    for bytes in [10, 1 << 20] {
        let given_up = given_up(bytes);
        assert_eq!(given_up.len(), 1, "once, although it rests much longer: {given_up:?}");
        assert!(given_up[0] < Moment::from_origin(Duration::from_secs(5)), "{given_up:?}");
    }
}

#[test]
fn a_source_that_cannot_be_prepared_ends_the_start_before_anything_is_written() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let refusal = SourceError::ConsumerLimit("stream orders has 20 registered consumers".into());
        let source = Holding { refusal: Some(refusal.clone()), ..holding(&fleet) };
        let worker = fleet.logging("a").source(source.clone()).build().unwrap();
        let error = worker.start().await.unwrap_err();
        assert!(matches!(&error, WorkerError::Stream { error, .. } if *error == refusal), "{error}");
        assert!(
            error.to_string().contains("20 registered consumers") && error.to_string().contains("polling"),
            "{error}"
        );
        assert_eq!(fleet.store.rows().len(), 0);
    });
}
