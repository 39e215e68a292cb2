//! What all processes printed, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kcl_core::types::SequenceNumber;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::feed::Put;
use crate::waiting::within;

/// A line of a process; only what is looked at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) event: String,
    pub(crate) shard: String,
    worker: String,
    sequence: Option<String>,
    pub(crate) fencing_token: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// Everything that was printed so far. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Observed {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
pub(crate) struct State {
    /// By shard, then by token.
    shards: BTreeMap<String, BTreeMap<u64, Tenure>>,
    distinct: BTreeMap<String, BTreeSet<SequenceNumber>>,
    /// How often each worker began a tenure of each shard.
    gained: BTreeMap<(String, String), usize>,
    given_back: BTreeSet<(String, String)>,
    /// The highest token by shard when a worker was found dead: whoever comes later has a higher one.
    dead: BTreeMap<String, u64>,
    cut: BTreeSet<String>,
    /// Everything that each worker said, in its order.
    said: BTreeMap<String, Vec<Line>>,
    problems: Vec<String>,
}

/// What one worker was given of one shard between taking its lease and losing it.
#[derive(Default)]
struct Tenure {
    worker: String,
    sequences: Vec<SequenceNumber>,
}

/// In numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) distinct: usize,
    pub(crate) repeated: usize,
    pub(crate) tenures: usize,
}

impl Observed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn line(&self, from: &str, line: &[u8]) {
        let parsed = serde_json::from_slice::<Line>(line);
        let mut state = self.lock();
        match parsed {
            Ok(line) if line.worker == from => state.note(line),
            Ok(line) => state.problems.push(format!("{from} printed a line of {}", line.worker)),
            Err(error) => state.problems.push(format!("{from} printed {:?}: {error}", String::from_utf8_lossy(line))),
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn cut(&self, from: &str) {
        self.lock().cut.insert(from.to_owned());
    }

    /// A worker is dead: from now on whoever begins a tenure of a shard that it had must show a higher token.
    pub(crate) fn mark_dead(&self, worker: &str) {
        let state = &mut *self.lock();
        for (shard, tenures) in &state.shards {
            let token = tenures.iter().rfind(|(_, tenure)| tenure.worker == worker).map(|(token, _)| *token);
            state.dead.extend(token.map(|token| (shard.clone(), token)));
        }
    }

    /// What was printed so far.
    pub(crate) fn look<T>(&self, at: impl Fn(&State) -> T) -> T {
        at(&self.lock())
    }

    /// Waits until what was printed satisfies `condition`. One at a time may wait.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let condition_holds = async {
            while !condition(&self.lock()) {
                self.changed.notified().await;
            }
        };
        within(what, condition_holds).await;
    }

    /// What a worker said so far, in its order.
    pub(crate) fn said_by(&self, worker: &str) -> Vec<Line> {
        self.lock().said_by(worker).to_vec()
    }

    /// Waits until everything that was put is read.
    pub(crate) async fn until_read(&self, put: &Put) {
        let all_read = |state: &State| put.iter().all(|(shard, put)| state.distinct_of(shard) >= put.len());
        self.until("everything that was put is read", all_read).await;
    }

    /// The shards that a worker said it gave back because it stopped.
    pub(crate) fn given_back(&self, worker: &str) -> BTreeSet<String> {
        let state = self.lock();
        state.given_back.iter().filter(|(by, _)| by == worker).map(|(_, shard)| shard.clone()).collect()
    }

    /// Holds everything against what was put.
    ///
    /// # Panics
    /// If a record is missing or none of ours, if an order is broken, a record skipped, a token no larger than one before;
    /// or if the output of any worker but `killed` was cut.
    pub(crate) fn check(&self, put: &Put, killed: &[&str]) -> Summary {
        let state = self.lock();
        assert!(state.problems.is_empty(), "{:#?}", state.problems);
        assert!(state.cut.iter().all(|worker| killed.contains(&worker.as_str())), "cut output: {:?}", state.cut);
        let shards: BTreeSet<&String> = state.shards.keys().chain(put.keys()).collect();
        let nothing = Vec::new();
        let mut summary = Summary { distinct: 0, repeated: 0, tenures: 0 };
        for shard in shards {
            let (distinct, delivered) = state.check_shard(shard, put.get(shard).unwrap_or(&nothing));
            summary.distinct += distinct;
            summary.repeated += delivered - distinct;
            summary.tenures += state.shards.get(shard).map_or(0, BTreeMap::len);
        }
        summary
    }
}

impl State {
    fn note(&mut self, line: Line) {
        self.said.entry(line.worker.clone()).or_default().push(line.clone());
        let Line { event, shard, worker, sequence, fencing_token, reason } = line;
        match (event.as_str(), sequence, fencing_token) {
            ("record", Some(sequence), Some(token)) => self.delivered(shard, worker, &sequence, token),
            ("lease_gained", ..) => *self.gained.entry((worker, shard)).or_default() += 1,
            ("lease_released", ..) if reason.as_deref() == Some("shutdown") => {
                self.given_back.insert((worker, shard));
            }
            ("lease_released" | "lease_lost", ..) => {}
            ("holding" | "handler_ended" | "checkpoint_refused" | "checkpoint_stored", ..) => {}
            _ => self.problems.push(format!("{worker} printed a line {event:?} that is not known here")),
        }
    }

    fn delivered(&mut self, shard: String, worker: String, sequence: &str, token: u64) {
        let sequence: SequenceNumber = sequence.parse().unwrap();
        let tenures = self.shards.entry(shard.clone()).or_default();
        let dead = self.dead.get(&shard).copied();
        let tenure = tenures.entry(token).or_insert_with(|| {
            if dead.is_some_and(|dead| token <= dead) {
                self.problems.push(format!("{shard}: token {token} of {worker} is not above the dead one's {dead:?}"));
            }
            Tenure { worker: worker.clone(), sequences: Vec::new() }
        });
        if tenure.worker != worker {
            self.problems.push(format!("{shard}: {worker} and {} have one token {token}", tenure.worker));
        }
        tenure.sequences.push(sequence.clone());
        self.distinct.entry(shard).or_default().insert(sequence);
    }

    /// How many different records of a shard were read.
    fn distinct_of(&self, shard: &str) -> usize {
        self.distinct.get(shard).map_or(0, BTreeSet::len)
    }

    /// Whether a worker has ever begun a tenure.
    pub(crate) fn has_gained(&self, worker: &str) -> bool {
        self.gained.keys().any(|(by, _)| by == worker)
    }

    /// What a worker said so far, in its order.
    pub(crate) fn said_by(&self, worker: &str) -> &[Line] {
        self.said.get(worker).map_or(&[], Vec::as_slice)
    }

    /// Of how many shards a worker began a tenure that it has not ended, as far as it said.
    pub(crate) fn held_by(&self, worker: &str) -> usize {
        let of_leases = self.said_by(worker).iter().filter(|line| line.event.starts_with("lease_"));
        let last: BTreeMap<&str, bool> = of_leases.map(|line| (&*line.shard, line.event == "lease_gained")).collect();
        last.values().filter(|held| **held).count()
    }

    /// Whether anybody has ever lost the lease of a shard.
    pub(crate) fn was_lost(&self, shard: &str) -> bool {
        self.said.values().flatten().any(|line| line.event == "lease_lost" && line.shard == shard)
    }

    /// How often a worker said this.
    pub(crate) fn count(&self, worker: &str, event: &str) -> usize {
        self.said_by(worker).iter().filter(|line| line.event == event).count()
    }

    /// How many records a worker was given.
    pub(crate) fn delivered_to(&self, worker: &str) -> usize {
        let tenures = self.shards.values().flat_map(BTreeMap::values);
        tenures.filter(|tenure| tenure.worker == worker).map(|tenure| tenure.sequences.len()).sum()
    }

    /// The numbers of different and of all deliveries of a shard, if its tenures are as they must be.
    fn check_shard(&self, shard: &str, put: &[SequenceNumber]) -> (usize, usize) {
        let missing = put.len() - put.iter().filter(|number| self.has(shard, number)).count();
        assert_eq!(missing, 0, "{shard}: {missing} of {} records were never read", put.len());
        assert!(put.is_sorted(), "{shard}: one who puts alone is given growing numbers");
        let (mut before, mut next, mut delivered) = (0, 0, 0);
        let mut exactly = None;
        for (token, tenure) in self.shards.get(shard).into_iter().flatten() {
            let place = |number| put.binary_search(number).unwrap_or_else(|_| panic!("{shard}: nobody put {number}"));
            let places: Vec<usize> = tenure.sequences.iter().map(place).collect();
            let (first, last) = (places[0], places[places.len() - 1]);
            let what = format!("{shard}, tenure {token} of {}", tenure.worker);
            for pair in places.windows(2) {
                assert_eq!(pair[1], pair[0] + 1, "{what}: each record once, in order, and none left out");
            }
            assert!(first <= next, "{what} begins at {first}, but {next} and those after it were never read before");
            assert!(
                first >= before,
                "{what} begins at {first}: a tenure before it began at {before}, so that was stored"
            );
            if let Some(stored) = exactly {
                assert_eq!(first, stored, "{what}: what is given back is stored, and nothing of it is repeated");
            }
            exactly = self.ended_in_order(shard, *token).then_some(last + 1);
            before = first;
            next = next.max(last + 1);
            delivered += places.len();
        }
        (put.len(), delivered)
    }

    fn has(&self, shard: &str, number: &SequenceNumber) -> bool {
        self.distinct.get(shard).is_some_and(|numbers| numbers.contains(number))
    }

    /// Whether a tenure surely is the one that its worker gave back when it stopped: its last of this shard, if each of
    /// its tenures shows.
    fn ended_in_order(&self, shard: &str, token: u64) -> bool {
        let tenures = &self.shards[shard];
        let worker = &tenures[&token].worker;
        let mine: Vec<u64> = tenures.iter().filter(|(_, tenure)| tenure.worker == *worker).map(|(at, _)| *at).collect();
        let key = (worker.clone(), shard.to_owned());
        let every_one_shows = self.gained.get(&key) == Some(&mine.len());
        every_one_shows && mine.last() == Some(&token) && self.given_back.contains(&key)
    }
}
