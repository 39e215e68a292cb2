use std::fs;

use super::*;

/// Starts a store on the path, which must be refused; the whole message.
async fn refusal(path: impl AsRef<Path>) -> String {
    match SqliteStore::open(path) {
        Err(error @ StoreStartError::Unsuitable { .. }) => error.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(store) => match store.start().await {
            Err(error @ StoreStartError::Unsuitable { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        },
    }
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} should contain {part:?}");
    }
}

#[tokio::test]
async fn paths_that_cannot_be_are_refused_with_reason_and_cure() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&refusal(folder.path()).await, &["is a folder", "name a file in it"]);
    let missing = folder.path().join("nowhere").join("leases.db");
    assert_says(&refusal(&missing).await, &["nowhere/leases.db", "does not exist", "make the folder first"]);
    assert!(!missing.parent().unwrap().exists());
    assert_says(&refusal("").await, &["\"\"", "name a file"]);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_says(&refusal(file.join("leases.db")).await, &["does not exist"]);
}

#[tokio::test]
async fn files_of_others_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let sqlite = |sql: &str| {
        let file = folder.path().join("made.db");
        let _ = fs::remove_file(&file);
        raw(&file).execute_batch(sql).unwrap();
        fs::read(&file).unwrap()
    };
    let garbage = b"certainly no database, but long enough to be one".repeat(100);
    let newer = format!("PRAGMA application_id = {}; PRAGMA user_version = 99; CREATE TABLE rows (x);", 0x6b63_6c31);
    for (content, parts) in [
        (garbage, ["not a database", "choose another file"]),
        (sqlite("CREATE TABLE accounts (id)"), ["of another application", "nothing was changed"]),
        (sqlite("PRAGMA user_version = 3"), ["of another application", "nothing was changed"]),
        (sqlite("PRAGMA application_id = 252006675"), ["of another application", "nothing was changed"]),
        (sqlite(&newer), ["layout 99, this one knows 1", "update this program"]),
    ] {
        fs::write(&path, &content).unwrap();
        let message = refusal(&path).await;
        assert_says(&message, &parts);
        assert_says(&message, &[path.to_str().unwrap()]);
        assert!(fs::read(&path).unwrap() == content, "after {message:?}");
    }
}

#[tokio::test]
async fn a_file_that_can_only_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    drop(started(&path).await);
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    // The superuser may write all the same; then there is nothing to refuse.
    if fs::OpenOptions::new().append(true).open(&path).is_err() {
        assert_says(&refusal(&path).await, &["leases.db can only be read", "the right to write"]);
    }
}

#[tokio::test]
async fn an_empty_file_and_odd_names_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["empty", ":memory:", "file:leases.db?mode=memory", "a b'c\"ü"] {
        let path = folder.path().join(name);
        fs::write(&path, "").unwrap();
        let store = started(&path).await;
        assert_eq!(store.create(&bare("a")).await, CreateOutcome::Created);
        assert_eq!(increment(&started(&path).await, "a").await, 1, "{name} is a file that all stores share");
    }
}

#[tokio::test]
async fn nothing_is_written_before_the_start_and_all_calls_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("leases.db")).unwrap();
    let outcome = store.create(&bare("a")).await;
    assert!(matches!(&outcome, CreateOutcome::Refused(StoreError::Invalid(text)) if text.contains("start")));
    assert!(!store.path().exists());
}

#[tokio::test]
async fn a_file_that_was_replaced_is_noticed_before_two_fleets_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    let store = started(&path).await;
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Created);
    fs::rename(&path, folder.path().join("old.db")).unwrap();
    let missing = |error: &StoreError| matches!(error, StoreError::TableMissing(text) if text.contains("leases.db"));
    assert!(matches!(store.create(&bare("b")).await, CreateOutcome::Refused(error) if missing(&error)));
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(folder.path().join(format!("leases.db{suffix}"))).unwrap();
    }
    let other = started(&path).await;
    assert!(missing(&store.get(&key("a")).await.unwrap_err()), "the other file is not the one that was opened");
    store.start().await.unwrap();
    assert_eq!(store.create(&bare("c")).await, CreateOutcome::Created);
    assert_eq!(other.get(&key("c")).await, Ok(Some(Ok(bare("c")))));
}
