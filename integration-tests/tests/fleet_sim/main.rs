//! The simulation of fleets, simulated itself: that a seed replays, that broken protocols show, and how the program answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod program;
mod variants;

use integration_tests::sim::{self, Faults, Options, Reader};

#[test]
fn a_seed_gives_the_same_log_byte_for_byte() {
    let options = Options { faults: Faults::all(), log: true, ..Options::default() };
    for seed in [3, 7, 11] {
        let (first, second) = (sim::run(seed, &options), sim::run(seed, &options));
        assert!(first.log.as_ref().is_some_and(|log| log.len() > 10_000), "seed {seed} tells little");
        assert!(first == second, "seed {seed} went two ways");
    }
}

#[test]
fn so_it_does_with_every_reader_and_whether_it_is_written_down_or_not() {
    for reader in Reader::ALL {
        let written = Options { faults: Faults::all(), reader: Some(reader), log: true, ..Options::default() };
        let silent = Options { log: false, ..written.clone() };
        for seed in [5, 31] {
            let (first, second) = (sim::run(seed, &written), sim::run(seed, &written));
            assert!(first == second, "{reader:?}, seed {seed} went two ways");
            let unwritten = sim::run(seed, &silent);
            assert_eq!((first.events, first.violation), (unwritten.events, None), "{reader:?}, seed {seed}");
        }
    }
}

#[test]
fn the_readers_of_the_library_meet_what_befalls_a_connection() {
    let log = |reader| {
        let options =
            Options { faults: "reads".parse().unwrap(), reader: Some(reader), log: true, ..Options::default() };
        let logs = (1..=12).map(|seed| sim::run(seed, &options)).map(|run| {
            assert_eq!(run.violation, None);
            run.log.unwrap()
        });
        logs.collect::<String>()
    };
    let subscribing = log(Reader::FanOut);
    for part in
        ["RegisterStreamConsumer", "asks SubscribeToShard: Error", "frames: End", "frames: Reset", "frames: Stall"]
    {
        assert!(subscribing.contains(part), "no {part}");
    }
    assert!(!subscribing.contains("asks GetRecords"));
    let polling = log(Reader::Polling);
    for part in ["GetRecords: Error", "GetRecords: Expired", "GetRecords: Empty", "GetRecords: FalseEnd"] {
        assert!(polling.contains(part), "no {part}");
    }
    assert!(!polling.contains("asks SubscribeToShard"));
    let either = log(Reader::Auto);
    assert!(either.contains("asks GetRecords") && either.contains("asks SubscribeToShard"));
}

#[test]
fn what_happens_does_not_depend_on_whether_it_is_written_down() {
    let silent = Options { faults: Faults::all(), ..Options::default() };
    let written = Options { log: true, ..silent.clone() };
    for seed in 21..=24 {
        let (silent, written) = (sim::run(seed, &silent), sim::run(seed, &written));
        assert_eq!((silent.events, silent.violation), (written.events, written.violation), "seed {seed}");
    }
}

#[test]
fn different_seeds_go_different_ways() {
    let options = Options { faults: Faults::all(), ..Options::default() };
    let mut events: Vec<u64> = (1..=8).map(|seed| sim::run(seed, &options).events).collect();
    events.sort_unstable();
    events.dedup();
    assert!(events.len() > 6, "{events:?}");
}
