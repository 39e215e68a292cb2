//! Services that do not answer, or deny what they have done.

use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};

use crate::observed::State;
use crate::proxy::{Mode, Proxy};
use crate::table::Leases;
use crate::world::{Endpoints, World, failover_time, seconds};

const SHARDS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_goes_on_by_itself_after_a_table_that_was_silent_for_long() {
    let (mut world, proxy) = behind_a_proxy("silent").await;
    world.start(&["one", "two", "three"]);
    let trickle = world.feed.trickle();
    world.until_shared("three workers share the shards").await;
    world.until_reading(&["one", "two", "three"]).await;

    proxy.set(Mode::Silent);
    let silent = SystemClock::new().now();
    // Each stops by itself before anybody could take its leases.
    let nobody_holds = |state: &State| ["one", "two", "three"].iter().all(|worker| state.held_by(worker) == 0);
    world.fleet.observed.until("every worker gives up its shards", nobody_holds).await;
    world.watch.tell("nobody delivers any more");
    let delivered = |state: &State| ["one", "two", "three"].map(|worker| state.count(worker, "record"));
    let before = world.fleet.observed.look(delivered);
    SystemClock::new().sleep_until(silent + lasting("KCL_TEST_SILENCE_SECONDS")).await;
    assert_eq!(world.fleet.observed.look(delivered), before, "nothing is delivered without a lease");

    proxy.set(Mode::Through);
    world.until_shared("the shards are shared again").await;
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_are_applied_and_then_denied_cost_no_lease_and_no_record() {
    let (mut world, proxy) = behind_a_proxy("denied").await;
    proxy.set(Mode::HalfDenied);
    world.start(&["one", "two"]);
    let trickle = world.feed.trickle();
    world.until_shared("two workers share the shards").await;
    let begun = SystemClock::new().now();
    let (before, abandoned) = (world.fleet.observed.look(lost), proxy.abandoned());
    let (leases, _) = world.table.now().await;
    SystemClock::new().sleep_until(begun + lasting("KCL_TEST_DENIAL_SECONDS")).await;
    let renewed = |now: &Leases| leases.iter().all(|(key, lease)| now[key].counter > lease.counter);
    world.table.until("every lease was renewed", renewed).await;
    world.watch.tell("every lease was renewed");
    let lost = world.fleet.observed.look(lost) - before;
    let abandoned = proxy.abandoned() - abandoned;
    world.watch.tell(format!("{lost} leases were lost, and {abandoned} calls took too long"));
    // On a machine that is so slow that calls time out leases are lost by that.
    assert!(lost == 0 || abandoned > 0, "no lease is lost by what is only denied");
    let denied = proxy.denied();
    for key in leases.keys() {
        let (applied, answered_by_error) = denied[key];
        assert!(2 * answered_by_error >= applied, "{key}: {denied:?}");
    }
    trickle.stop().await;
    world.end().await;
}

fn lost(state: &State) -> usize {
    ["one", "two"].map(|worker| state.count(worker, "lease_lost")).iter().sum()
}

/// A world in which workers reach the table through a proxy.
async fn behind_a_proxy(name: &str) -> (World, Proxy) {
    let mut proxy = None;
    let world = World::with(name, SHARDS, failover_time(), async |endpoints| {
        let proxied = Proxy::before(&endpoints.dynamodb).await;
        let dynamodb = proxied.endpoint.clone();
        proxy = Some(proxied);
        Endpoints { dynamodb, ..endpoints }
    });
    let world = world.await;
    (world, proxy.unwrap())
}

/// Five times F, or the seconds in this variable.
fn lasting(variable: &str) -> Duration {
    seconds(variable).map_or(5 * failover_time(), Duration::from_secs)
}
