//! Answers larger than what may be held of them.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::clock::TestClock;
use super::fake::{Fake, Reply};
use super::{by_name, shard_of, source_with};
use crate::ports::ShardReader;
use crate::ports::StreamSource;
use crate::settings::ReadLimit;
use crate::types::{ByteAccount, BytePermit, Position};

/// What one shard has taken, and the most of it. It gives no more than the share.
struct Account {
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default, Clone)]
struct Taken {
    now: usize,
    most: usize,
    overdrawn: usize,
}

impl Account {
    fn new(share: usize) -> Arc<Self> {
        Arc::new(Account { share, taken: Mutex::default() })
    }

    fn permit(self: &Arc<Self>, demand: usize) -> BytePermit {
        let bytes = demand.min(self.share);
        assert!(self.try_take(bytes), "nothing is held between two calls");
        BytePermit::new(bytes, Arc::clone(self) as Arc<dyn ByteAccount>)
    }

    fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

impl ByteAccount for Account {
    fn give_back(&self, bytes: usize) {
        self.taken.lock().unwrap().now -= bytes;
    }

    fn overdraw(&self, bytes: usize) {
        let mut taken = self.taken.lock().unwrap();
        taken.now += bytes;
        taken.most = taken.most.max(taken.now);
        taken.overdrawn += 1;
    }

    fn try_take(&self, bytes: usize) -> bool {
        let mut taken = self.taken.lock().unwrap();
        let fits = taken.now + bytes <= self.share;
        if fits {
            taken.now += bytes;
            taken.most = taken.most.max(taken.now);
        }
        fits
    }
}

/// A shard whose records have these sizes. An iterator is the number of the record to go on with.
fn shard_with(sizes: &'static [usize]) -> Fake {
    Fake::new(move |call| {
        if call.operation == "GetShardIterator" {
            return Reply::Json(json!({ "ShardIterator": "0" }));
        }
        let first: usize = call.text("ShardIterator").unwrap().parse().unwrap();
        let limit = usize::try_from(call.body["Limit"].as_u64().unwrap()).unwrap();
        let mut room: usize = 10 << 20;
        let numbers: Vec<usize> = (first..sizes.len())
            .take(limit)
            .take_while(|&n| {
                let fits = n == first || sizes[n] <= room;
                room = room.saturating_sub(sizes[n]);
                fits
            })
            .collect();
        let next = numbers.last().map_or(first, |last| last + 1);
        let record = |n: &usize| {
            let data = base64_simd::STANDARD.encode_to_string(vec![b'x'; sizes[*n]]);
            json!({ "SequenceNumber": (n + 1).to_string(), "PartitionKey": "key", "Data": data })
        };
        Reply::Json(json!({
            "Records": numbers.iter().map(record).collect::<Vec<_>>(),
            "NextShardIterator": next.to_string(),
            "MillisBehindLatest": sizes.len() - next,
        }))
    })
}

/// Reads all of them with a share of the budget, dropping each batch. Yields what was taken, and the limits asked for.
async fn read_all(sizes: &'static [usize], share: usize) -> (Taken, Vec<u64>) {
    let (fake, clock, account) = (shard_with(sizes), Arc::new(TestClock::default()), Account::new(share));
    let source = source_with(&fake, ReadLimit::None, &clock);
    let mut reader: Box<dyn ShardReader> = source.open(&shard_of(by_name()), Position::TrimHorizon);
    let mut read = Vec::new();
    while read.len() < sizes.len() {
        let permit = account.permit(reader.demand());
        let fetched = reader.next(permit).await.unwrap();
        read.extend(fetched.batch.iter().map(|record| record.data().len()));
    }
    assert_eq!(read, sizes, "in order and once");
    let calls = fake.calls();
    let limits = calls.iter().filter_map(|call| call.body["Limit"].as_u64()).collect();
    assert_eq!(account.taken().now, 0, "all of it came back");
    (account.taken(), limits)
}

const SMALL_THEN_LARGE: [usize; 160] = {
    let mut sizes = [8; 160];
    let mut n = 100;
    while n < 160 {
        sizes[n] = 100_000;
        n += 1;
    }
    sizes
};

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_the_share_is_refused_and_asked_for_in_smaller_parts() {
    let (taken, limits) = read_all(&SMALL_THEN_LARGE, 1 << 20).await;
    assert_eq!(taken.overdrawn, 0, "{taken:?}");
    assert!(taken.most <= 1 << 20, "{taken:?}");
    assert!(limits.windows(2).any(|pair| pair[1] < pair[0] / 2), "one was refused: {limits:?}");
    assert!(limits.len() < 50, "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn with_a_share_that_is_large_enough_nothing_is_refused() {
    let (taken, limits) = read_all(&SMALL_THEN_LARGE, 64 << 20).await;
    assert_eq!(taken.overdrawn, 0);
    assert_eq!(limits.len(), 3, "the permit grew: {limits:?}");
    assert!(taken.most > 6 * 3_000_000, "the call is counted at its peak: {taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_single_record_larger_than_the_share_is_received_all_the_same() {
    let (taken, limits) = read_all(&[1_000_000, 8, 3_000_000, 8], 1 << 20).await;
    assert!(taken.overdrawn >= 2 && taken.most > 3_000_000, "{taken:?}");
    assert!(limits.contains(&1), "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn those_that_overdraw_the_budget_take_turns() {
    let (fake, clock) = (shard_with(&[3_000_000]), Arc::new(TestClock::default()));
    let source = source_with(&fake, ReadLimit::None, &clock);
    let accounts: Vec<_> = (0..8).map(|_| Account::new(100 << 10)).collect();
    let peak = Arc::new(Mutex::new((0_usize, 0_usize)));
    let reads = accounts.iter().map(|account| {
        let (source, peak) = (source.clone(), Arc::clone(&peak));
        async move {
            let mut reader = source.open(&shard_of(by_name()), Position::TrimHorizon);
            loop {
                let account = Arc::new(Shared { inner: Arc::clone(account), peak: Arc::clone(&peak) });
                assert!(account.try_take(100 << 10));
                let fetched = reader.next(BytePermit::new(100 << 10, account)).await.unwrap();
                if !fetched.batch.is_empty() {
                    return fetched;
                }
            }
        }
    });
    let held = futures_util::future::join_all(reads).await;
    assert_eq!(held.len(), 8);
    let most = peak.lock().unwrap().1;
    // Eight records that are held, and four answers on their way.
    assert!(most < 8 * 3_100_000 + 4 * 3 * 4_100_000, "{most}");
}

/// Counts over all accounts, too.
struct Shared {
    inner: Arc<Account>,
    peak: Arc<Mutex<(usize, usize)>>,
}

impl Shared {
    fn count(&self, more: usize, less: usize) {
        let mut peak = self.peak.lock().unwrap();
        peak.0 = peak.0 + more - less;
        peak.1 = peak.1.max(peak.0);
    }
}

impl ByteAccount for Shared {
    fn give_back(&self, bytes: usize) {
        self.count(0, bytes);
        self.inner.give_back(bytes);
    }

    fn overdraw(&self, bytes: usize) {
        self.count(bytes, 0);
        self.inner.overdraw(bytes);
    }

    fn try_take(&self, bytes: usize) -> bool {
        let taken = self.inner.try_take(bytes);
        self.count(if taken { bytes } else { 0 }, 0);
        taken
    }
}
