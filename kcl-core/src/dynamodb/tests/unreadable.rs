//! Rows that cannot be read, and what is said of them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::fixtures::{item_of, java_row};
use crate::dynamodb::fields::Item;
use crate::dynamodb::read;

/// Puts `json` over a good row and expects a problem with `attribute` that says `part`.
fn refused(row: &str, json: &str, attribute: &str, part: &str) {
    let mut item = java_row(row);
    item.extend(item_of(json));
    let problem = read::row(&item).unwrap_err();
    assert_eq!(problem.key, item["leaseKey"].as_s().unwrap().as_str());
    assert_eq!(problem.attribute, attribute, "{problem}");
    assert!(problem.problem.contains(part), "{problem} should contain {part:?}");
}

#[test]
fn a_bad_lease_names_its_attribute_and_value() {
    for (json, attribute, part) in [
        (r#"{"leaseCounter": {"N": "-3"}}"#, "leaseCounter", "-3 is negative"),
        (r#"{"leaseCounter": {"N": "1.5"}}"#, "leaseCounter", "1.5 is not a whole number"),
        (r#"{"leaseCounter": {"N": "9223372036854775808"}}"#, "leaseCounter", "9223372036854775808"),
        (r#"{"leaseCounter": {"S": "7"}}"#, "leaseCounter", "must be a number (N) but is the text \"7\""),
        (r#"{"leaseCounter": {"NULL": true}}"#, "leaseCounter", "is NULL"),
        (r#"{"ownerSwitchesSinceCheckpoint": {"N": "-1"}}"#, "ownerSwitchesSinceCheckpoint", "-1 is negative"),
        (r#"{"checkpoint": {"S": ""}}"#, "checkpoint", "empty"),
        (r#"{"checkpoint": {"S": "EARLIEST"}}"#, "checkpoint", "EARLIEST"),
        (r#"{"checkpoint": {"S": "007"}}"#, "checkpoint", "007"),
        (r#"{"checkpoint": {"N": "7"}}"#, "checkpoint", "must be a text (S) but is the number 7"),
        (r#"{"checkpointSubSequenceNumber": {"N": "-1"}}"#, "checkpointSubSequenceNumber", "-1 is negative"),
        (r#"{"checkpointSubSequenceNumber": {"N": "0.5"}}"#, "checkpointSubSequenceNumber", "0.5"),
        (
            r#"{"checkpoint": {"S": "SHARD_END"}, "checkpointSubSequenceNumber": {"N": "2"}}"#,
            "checkpointSubSequenceNumber",
            "must be 0 beside SHARD_END",
        ),
        (r#"{"leaseOwner": {"S": ""}}"#, "leaseOwner", "empty"),
        (r#"{"leaseOwner": {"S": "Leader"}}"#, "leaseOwner", "Leader"),
        (r#"{"checkpointOwner": {"BOOL": true}}"#, "checkpointOwner", "flag true"),
        (r#"{"pendingCheckpoint": {"S": "x"}}"#, "pendingCheckpoint", "\"x\""),
        (r#"{"pendingCheckpointSubSequenceNumber": {"N": "0"}}"#, "pendingCheckpointSubSequenceNumber", "without"),
        (r#"{"pendingCheckpointState": {"B": "eA=="}}"#, "pendingCheckpointState", "without"),
        (r#"{"pendingCheckpointState": {"N": "0"}}"#, "pendingCheckpointState", "number 0"),
        (r#"{"parentShardId": {"S": "shardId-1"}}"#, "parentShardId", "must be a set of texts (SS)"),
        (r#"{"parentShardId": {"SS": ["shard 1"]}}"#, "parentShardId", "shard 1"),
        (r#"{"childShardIds": {"SS": [""]}}"#, "childShardIds", "1 to 128"),
        (r#"{"startingHashKey": {"S": "9"}, "endingHashKey": {"S": "9"}}"#, "startingHashKey", "9 must lie below"),
        (r#"{"startingHashKey": {"S": "-1"}}"#, "startingHashKey", "\"-1\" is not a decimal number"),
        (r#"{"endingHashKey": {"S": "340282366920938463463374607431768211456"}}"#, "endingHashKey", "128 bits"),
        (r#"{"throughputKBps": {"N": "-0.5"}}"#, "throughputKBps", "-0.5"),
        (r#"{"streamName": {"S": "1:orders:2"}}"#, "shardId", "missing beside"),
        (r#"{"shardId": {"S": "shardId-1"}}"#, "streamName", "missing beside"),
        (r#"{"entityType": {"N": "1"}}"#, "entityType", "must be a text (S)"),
        (r#"{"entityType": {"S": ""}}"#, "entityType", "empty"),
        (r#"{"k_epoch": {"N": "-1"}}"#, "k_epoch", "negative"),
        (r#"{"k_c": {"S": "1"}}"#, "k_c", "must be a number"),
        (r#"{"k_start": {"N": "0.5"}}"#, "k_start", "0.5"),
        (r#"{"k_by": {"S": "shardId-0"}}"#, "k_by", "shardId-0"),
        (r#"{"k_stream": {"N": "1e400"}}"#, "k_stream", "1e400"),
        (r#"{"k_tip": {"S": "now"}}"#, "k_tip", "must be a number"),
    ] {
        refused("lease, running", json, attribute, part);
    }
}

#[test]
fn what_a_lease_cannot_do_without_is_named() {
    for attribute in ["leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "startingHashKey", "endingHashKey"]
    {
        let mut item = java_row("lease, running");
        item.remove(attribute);
        // A checkpoint's sub-sequence number alone is a mistake of its own.
        if attribute == "checkpoint" {
            item.remove("checkpointSubSequenceNumber");
        }
        let problem = read::row(&item).unwrap_err();
        assert_eq!(problem.attribute, attribute, "{problem}");
        assert!(problem.problem.contains("missing"), "{problem}");
    }
}

#[test]
fn a_bad_worker_or_leader_names_its_attribute_and_value() {
    for (json, attribute, part) in [
        (r#"{"lut": {"S": "now"}}"#, "lut", "now"),
        (r#"{"lut": {"N": "9223372036854775807"}}"#, "lut", "seconds"),
        (r#"{"k_inbox": {"L": []}}"#, "k_inbox", "a list of 0"),
        (r#"{"k_cap": {"N": "-1"}}"#, "k_cap", "-1"),
        (r#"{"k_max": {"N": "1.5"}}"#, "k_max", "1.5"),
        (r#"{"k_inc": {"S": ""}}"#, "k_inc", "empty"),
    ] {
        refused("worker metrics, nothing measurable on this host", json, attribute, part);
    }
    for (json, attribute, part) in [
        (r#"{"leaseDuration": {"N": "120000"}}"#, "leaseDuration", "must be a text (S)"),
        (r#"{"leaseDuration": {"S": "2 minutes"}}"#, "leaseDuration", "2 minutes"),
        (r#"{"ownerName": {"S": ""}}"#, "ownerName", "empty"),
        (r#"{"isReleased": {"S": "true"}}"#, "isReleased", "\"true\" must be \"1\""),
    ] {
        refused("leader lock", json, attribute, part);
    }
}

#[test]
fn a_row_of_another_kind_is_no_lease() {
    for (name, found) in [
        ("worker metrics, other worker", "a worker row"),
        ("leader lock", "the leader lock"),
        ("client version state", "CLIENT_VERSION_MIGRATION"),
    ] {
        let problem = read::lease(&java_row(name)).unwrap_err();
        assert_eq!(problem.attribute, "entityType");
        assert!(problem.problem.contains(found) && problem.problem.contains("no lease"), "{problem}");
    }
    assert!(read::worker(&java_row("lease, running")).unwrap_err().problem.contains("no worker row"));
    assert!(read::leader(&java_row("lease, running")).unwrap_err().problem.contains("no leader lock"));
}

#[test]
fn hostile_values_are_cut_and_never_panic() {
    let long = "é".repeat(100_000);
    for attribute in ["leaseCounter", "checkpoint", "leaseOwner", "startingHashKey", "entityType"] {
        for value in
            [AttributeValue::S(long.clone()), AttributeValue::N(long.clone()), AttributeValue::Ss(vec![long.clone()])]
        {
            let mut item = java_row("lease, running");
            item.insert(attribute.to_owned(), value);
            if let Err(problem) = read::row(&item) {
                assert!(problem.to_string().len() < 1000, "{}", problem.to_string().len());
            }
        }
    }
    assert!(read::row(&Item::new()).is_err());
    assert!(read::row(&item_of(r#"{"leaseKey": {"N": "1"}}"#)).is_err());
}
