use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use futures_util::future::join_all;

use super::*;

/// Set for the processes that [`a_process_that_is_killed_harms_nobody`] starts: the file to write to.
const FILE: &str = "KCL_TEST_SQLITE_FILE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_count_every_increment_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    let stores = [started(&path).await, started(&path).await];
    for name in ["a", "b"] {
        assert_eq!(stores[0].create(&bare(name)).await, CreateOutcome::Created);
    }
    let each = 100;
    join_all(stores.iter().flat_map(|store| ["a", "b"].map(|name| (store, name))).map(async |(store, name)| {
        for _ in 0..each {
            increment(store, name).await;
        }
    }))
    .await;
    for name in ["a", "b"] {
        assert_eq!(stores[1].get(&key(name)).await.unwrap().unwrap().unwrap().counter, 2 * each);
    }
}

#[tokio::test]
async fn processes_that_start_at_once_all_find_one_table() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.db");
        let stores: Vec<SqliteStore> = (0..8).map(|_| SqliteStore::open(&path).unwrap()).collect();
        for started in join_all(stores.iter().map(|store| store.start())).await {
            started.unwrap();
        }
        let created = join_all(stores.iter().map(async |store| store.create(&bare("a")).await)).await;
        assert_eq!(created.iter().filter(|outcome| **outcome == CreateOutcome::Created).count(), 1, "{created:?}");
    }
}

/// Not a test of its own: the other process of the test below. It says each counter that it was answered.
#[tokio::test]
async fn process_that_increments_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let store = started(Path::new(&path)).await;
    loop {
        println!("wrote {}", increment(&store, "a").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    let store = started(&path).await;
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Created);
    let (mut ours, mut theirs, mut killed) = (0, 0, 0);
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "sqlite::tests::processes::process_that_increments_until_it_is_killed"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // SIGKILL comes in mid-work: the child has just said that it wrote, and goes on writing.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let mut said = lines.filter(|line| line.contains("wrote "));
        for _ in 0..30 {
            said.next().expect("the child writes until it is killed");
            theirs += 1;
            increment(&store, "a").await;
            ours += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        theirs += said.count();
        killed += 1;
        // Whoever is left goes on at once.
        increment(&store, "a").await;
        ours += 1;
    }
    let counter = usize::try_from(store.get(&key("a")).await.unwrap().unwrap().unwrap().counter).unwrap();
    // Every answered write is there, and of each killed process at most the one that it could not speak of any more.
    let answered = ours + theirs;
    assert!((answered..=answered + killed).contains(&counter), "{counter} of {ours} + {theirs}");
    let integrity: String = raw(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
}
