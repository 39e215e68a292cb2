//! Ways to run workers: several in a process, on one thread, through a handle.

use kcl_core::types::{FencingToken, LeaseKey};
use kcl_core::{EventStream, LeaseReleasedReason, Settings, WorkerError, WorkerEvent, WorkerHandle};

use crate::log::Log;
use crate::services::{STREAM, Services};
use crate::waiting::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_of_one_process_share_a_stream_and_give_it_back() {
    let services = Services::new(6);
    let log = Log::default();
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        workers.push(services.start(name, &log).await);
    }
    services.until_owners(&[("a", 2), ("b", 2), ("c", 2)]).await;
    services.put(300);
    log.until_read(300).await;
    assert_eq!(log.readers().len(), 3);
    for worker in &mut workers {
        stop(worker).await;
    }
    assert_eq!(services.owners().await, [("-".to_owned(), 6)].into());
    assert_eq!(services.keys().await.len(), 6, "no worker left a row");
    services.assert_read_once(&log);
}

#[tokio::test(flavor = "current_thread")]
async fn two_applications_of_one_process_each_read_everything() {
    let services = Services::new(2);
    let logs = [Log::default(), Log::default()];
    let mut workers = Vec::new();
    for (application, log) in ["orders-app", "audit-app"].into_iter().zip(&logs) {
        let settings = Settings::new(application, STREAM).or(Services::settings("same-name"));
        let worker = services.builder(settings).processor(log.processors()).build().unwrap();
        workers.push(worker.start().await.unwrap());
    }
    services.put(100);
    for log in &logs {
        log.until_read(100).await;
    }
    for worker in &mut workers {
        stop(worker).await;
    }
    for log in &logs {
        services.assert_read_once(log);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn on_one_thread_a_worker_tells_what_happens_from_its_first_lease_to_its_end() {
    let services = Services::new(2);
    services.put(50);
    let log = Log::default();
    let worker = services.builder(Services::settings("a")).processor(log.processors()).build().unwrap();
    let mut events = worker.events();
    let mut handle = worker.start().await.unwrap();
    assert_eq!(handle.worker_id().as_str(), "a");
    let mut tokens = Vec::<(LeaseKey, FencingToken)>::new();
    while tokens.len() < 2 {
        match next(&mut events).await {
            WorkerEvent::LeaseGained { tenure, reason } => {
                assert_eq!((tenure.worker.as_str(), tenure.shard.stream().name().as_str()), ("a", STREAM));
                assert!(reason.contains("free"), "{reason}");
                tokens.push((tenure.lease.clone(), tenure.fencing_token));
            }
            other => panic!("{other:?}"),
        }
    }
    log.until_read(50).await;
    let mut late = handle.events();
    handle.stop();
    handle.stop();
    assert_eq!(next(&mut late).await, WorkerEvent::Stopping, "a subscriber hears what comes from now on");
    let report = within("the worker ends", handle.wait()).await.unwrap();
    assert_eq!((report.released, report.ended, report.undone.len()), (2, 0, 0));
    assert_eq!(within("it has ended", handle.wait()).await, Ok(report), "asked again, the same answer");
    assert_eq!(next(&mut events).await, WorkerEvent::Stopping);
    for _ in 0..2 {
        match next(&mut events).await {
            WorkerEvent::LeaseReleased { tenure, reason: LeaseReleasedReason::Shutdown } => {
                assert!(tokens.contains(&(tenure.lease.clone(), tenure.fencing_token)), "the tenure that began");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next(&mut events).await, WorkerEvent::Stopped);
    drop(handle);
    assert_eq!(events.next().await, None, "and nothing more");
    services.assert_read_once(&log);
}

#[tokio::test(flavor = "current_thread")]
async fn a_handle_that_is_dropped_stops_its_worker() {
    let services = Services::new(2);
    let log = Log::default();
    let handle = services.start("a", &log).await;
    services.until_owners(&[("a", 2)]).await;
    let mut events = handle.events();
    drop(handle);
    while next(&mut events).await != WorkerEvent::Stopped {}
    assert_eq!(services.owners().await, [("-".to_owned(), 2)].into());
}

#[tokio::test(flavor = "current_thread")]
async fn an_aborted_worker_gives_nothing_back_and_others_take_over() {
    let services = Services::new(2);
    let log = Log::default();
    let mut first = services.start("a", &log).await;
    services.until_owners(&[("a", 2)]).await;
    first.abort();
    assert_eq!(within("it ends", first.wait()).await, Err(WorkerError::Aborted));
    assert_eq!(services.owners().await, [("a".to_owned(), 2)].into());
    let mut second = services.start("b", &log).await;
    services.until_owners(&[("b", 2)]).await;
    services.put(20);
    log.until_read(20).await;
    stop(&mut second).await;
    assert_eq!(log.readers(), ["b".to_owned()].into());
}

#[tokio::test(flavor = "current_thread")]
async fn a_stream_that_does_not_exist_is_said_at_the_start_and_nothing_is_written() {
    let services = Services::new(1);
    let settings = Settings::new(crate::services::APPLICATION, "no-such-stream").or(Services::settings("a"));
    let worker = services.builder(settings).processor(Log::default().processors()).build().unwrap();
    let error = worker.start().await.unwrap_err();
    assert!(matches!(error, WorkerError::Stream { .. }) && error.to_string().contains("no-such-stream"), "{error}");
    assert!(services.rows().await.is_empty());
}

async fn next(events: &mut EventStream) -> WorkerEvent {
    within("an event comes", events.next()).await.unwrap().unwrap()
}

async fn stop(worker: &mut WorkerHandle) {
    worker.stop();
    within("the worker ends", worker.wait()).await.unwrap();
}
