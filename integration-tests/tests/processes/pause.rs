//! A worker that is stopped in the middle of its work and goes on much later, as if nothing had happened.

use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};

use crate::observed::{Line, State};
use crate::stopwatch::Stopwatch;
use crate::table::owned;
use crate::worker::Program;
use crate::world::{World, failover_time, seconds};

const SHARDS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_paused_ends_its_handlers_first_and_its_checkpoints_are_refused() {
    let mut world = World::new("pause", SHARDS).await;
    world.start_program(Program::Holder, "paused");
    world.start(&["awake"]);
    let trickle = world.feed.trickle();
    world.until_shared("two workers share the shards").await;
    world.until_reading(&["paused", "awake"]).await;
    trickle.stop().await;
    world.feed.put_into_each(SHARDS, b"hold").await;
    let (leases, _) = world.table.now().await;
    let held = owned(&leases, "paused").len();
    let holding = |state: &State| state.count("paused", "holding") >= held;
    world.fleet.observed.until("a handler holds in each shard of the worker to be paused", holding).await;

    world.worker("paused").pause();
    let pause = Stopwatch::start();
    let trickle = world.feed.trickle();
    world.table.until_even("the paused worker's leases are taken over", SHARDS, &["awake"]).await;
    pause.tell("the other worker has all leases");
    // What is held is read by the other one, and does not hold it.
    world.fleet.observed.until_read(&world.feed.so_far().await).await;
    pause.tell("everything was read without the paused worker");
    pause.wait_until(pause_time()).await;

    let woken = Stopwatch::start();
    world.worker("paused").resume();
    let ended = |state: &State| state.count("paused", "handler_ended") >= held;
    world.fleet.observed.until("the handlers of the paused worker end", ended).await;
    woken.tell("its handlers have ended");
    let refused = |state: &State| state.count("paused", "checkpoint_refused") >= held;
    world.fleet.observed.until("its checkpoints are refused", refused).await;
    woken.tell("its checkpoints were refused");
    for shard in owned(&leases, "paused") {
        check_order(&world.fleet.observed.said_by("paused"), shard);
    }

    world.until_shared("the paused worker has its share again").await;
    trickle.stop().await;
    world.end().await;
}

/// Between the start of the handler that held and its end the worker delivered nothing of this shard, in whatever tenure,
/// and nothing of that tenure was stored or delivered afterwards.
fn check_order(said: &[Line], shard: &str) {
    let of_shard: Vec<&Line> = said.iter().filter(|line| line.shard == shard).collect();
    let holding = of_shard.iter().position(|line| line.event == "holding").unwrap();
    let token = of_shard[holding].fencing_token;
    let after: Vec<&Line> = of_shard[holding + 1..].to_vec();
    let first = after.iter().find(|line| ["record", "handler_ended"].contains(&line.event.as_str())).unwrap();
    assert_eq!((first.event.as_str(), first.fencing_token), ("handler_ended", token), "{shard}: {after:#?}");
    let of_tenure = after.iter().filter(|line| line.fencing_token == token);
    let events: Vec<&str> = of_tenure.map(|line| line.event.as_str()).collect();
    assert!(!events.contains(&"record") && !events.contains(&"checkpoint_stored"), "{shard}: {events:?}");
    let refused = after.iter().find(|line| line.event == "checkpoint_refused" && line.fencing_token == token).unwrap();
    assert!(refused.reason.as_ref().unwrap().contains("lease is lost"), "{refused:?}");
}

/// Four times F, or the seconds in `KCL_TEST_PAUSE_SECONDS`: how long a worker stands still.
fn pause_time() -> Duration {
    seconds("KCL_TEST_PAUSE_SECONDS").map_or(4 * failover_time(), Duration::from_secs)
}

impl Stopwatch {
    async fn wait_until(&self, elapsed: Duration) {
        SystemClock::new().sleep_until(self.begun + elapsed).await;
    }
}
