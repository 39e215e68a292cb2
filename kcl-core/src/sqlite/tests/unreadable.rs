use super::*;
use crate::types::Row;

/// A lease document with one member replaced.
fn lease_with(member: &str) -> String {
    let base = r#"{"entityType":"LEASE","leaseCounter":1,"ownerSwitchesSinceCheckpoint":0,"checkpoint":"5","checkpointSubSequenceNumber":0}"#;
    let sql = "SELECT json_patch(?1, ?2)";
    Connection::open_in_memory().unwrap().query_row(sql, [base, member], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn broken_documents_are_reported_by_key_and_attribute_and_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    let other = raw(store.path());
    for (document, attribute, problem) in [
        ("", "document", "no JSON"),
        ("{\"leaseCounter\":", "document", "no JSON"),
        ("[1, 2]", "document", "[1,2] is no JSON object"),
        (&lease_with(r#"{"leaseCounter":"1"}"#), "leaseCounter", "\"1\" is not a whole number"),
        (&lease_with(r#"{"leaseCounter":-1}"#), "leaseCounter", "-1"),
        (&lease_with(r#"{"leaseCounter":1.5}"#), "leaseCounter", "1.5"),
        (&lease_with(r#"{"leaseCounter":null}"#), "leaseCounter", "missing"),
        (&lease_with(r#"{"ownerSwitchesSinceCheckpoint":null}"#), "ownerSwitchesSinceCheckpoint", "missing"),
        (&lease_with(r#"{"checkpoint":null}"#), "checkpointSubSequenceNumber", "without \"checkpoint\""),
        (&lease_with(r#"{"checkpoint":"0005"}"#), "checkpoint", "0005"),
        (&lease_with(r#"{"checkpoint":"SHARD_END","checkpointSubSequenceNumber":1}"#), "checkpointSub", "SHARD_END"),
        (&lease_with(r#"{"leaseOwner":7}"#), "leaseOwner", "7 is not a text"),
        (&lease_with(r#"{"leaseOwner":""}"#), "leaseOwner", "1 to 2048"),
        (&lease_with(r#"{"parentShardId":"shardId-1"}"#), "parentShardId", "not a list"),
        (&lease_with(r#"{"childShardIds":["a",1]}"#), "childShardIds", "1 in it is no text"),
        (&lease_with(r#"{"childShardIds":["a b"]}"#), "childShardIds", "a b"),
        (&lease_with(r#"{"startingHashKey":"1"}"#), "endingHashKey", "missing"),
        (&lease_with(r#"{"startingHashKey":"5","endingHashKey":"5"}"#), "startingHashKey", "below"),
        (&lease_with(r#"{"startingHashKey":"+1","endingHashKey":"5"}"#), "startingHashKey", "decimal"),
        (&lease_with(r#"{"pendingCheckpointState":"00"}"#), "pendingCheckpointState", "without"),
        (&lease_with(r#"{"pendingCheckpoint":"5","pendingCheckpointState":"0g"}"#), "pendingCheckpointState", "hex"),
        (&lease_with(r#"{"pendingCheckpoint":"5","pendingCheckpointState":"000"}"#), "pendingCheckpointState", "hex"),
        (&lease_with(r#"{"throughputKBps":"fast"}"#), "throughputKBps", "fast"),
        (&lease_with(r#"{"streamName":"orders"}"#), "shardId", "missing"),
        (&lease_with(r#"{"entityType":3}"#), "entityType", "3 is not a text"),
        (r#"{"entityType":"WORKER_METRIC_STATS","lut":9223372036854775807}"#, "lut", "no time"),
        (r#"{"entityType":"WORKER_METRIC_STATS","k_inbox":[""]}"#, "k_inbox", "1 to 2048"),
        (r#"{"entityType":"LEADER","ownerName":"w","recordVersionNumber":"1"}"#, "leaseDuration", "missing"),
        (r#"{"entityType":"LEADER","ownerName":"w","leaseDuration":"-5"}"#, "leaseDuration", "invalid digit"),
    ] {
        other.execute("INSERT OR REPLACE INTO rows (key, document) VALUES ('a', ?1)", [document]).unwrap();
        let page = store.scan(Projection::All, None).await.unwrap();
        let [found] = &page.unreadable[..] else { panic!("{document}: {page:?}") };
        assert!(found.key == "a" && found.attribute.starts_with(attribute), "{document}: {found}");
        assert!(found.problem.contains(problem), "{document}: {found}");
        assert!(matches!(store.get(&key("a")).await, Ok(Some(Err(_)))));
        let change = LeaseChange { counter: Some(5), ..LeaseChange::default() };
        let outcome = store.update(&key("a"), &Condition::default(), &change).await;
        assert!(matches!(outcome, WriteOutcome::Unreadable(_)), "{outcome:?}");
        let kept: String = other.query_row("SELECT document FROM rows", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, document);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_the_problem_of_their_row_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    assert_eq!(store.create(&bare("z")).await, CreateOutcome::Created);
    raw(store.path()).execute("INSERT INTO rows (key, document) VALUES ('a', CAST(x'ff7b7d' AS TEXT))", []).unwrap();
    let page = store.scan(Projection::Planning, None).await.unwrap();
    assert_eq!((page.rows.len(), page.unreadable.len()), (1, 1));
    assert_eq!(page.unreadable[0].attribute, "document");
}

#[tokio::test]
async fn what_planning_leaves_out_does_not_hide_a_row_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    let document = lease_with(r#"{"startingHashKey":"nonsense"}"#);
    raw(store.path()).execute("INSERT INTO rows (key, document) VALUES ('a', ?1)", [document]).unwrap();
    assert_eq!(store.scan(Projection::All, None).await.unwrap().unreadable.len(), 1);
    let page = store.scan(Projection::Planning, None).await.unwrap();
    assert!(matches!(&page.rows[..], [Row::Lease(lease)] if lease.counter == 1), "{page:?}");
}
