//! Fleets of the Java library that a worker must not join: it says why and what to do, and writes nothing.

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::WorkerError;
use kcl_core::ports::{Clock, StoreStartError};
use kcl_core::testing::ManualClock;
use kcl_core::types::Moment;

use crate::items::{Item, item_of};
use crate::virtual_time::{Scene, TABLE, shard};

/// A table of KCL 2.x with two leases.
fn old_leases() -> Vec<Item> {
    let row = |shard: &str| {
        item_of(&format!(
            r#"{{"leaseKey": {{"S": "{shard}"}}, "leaseCounter": {{"N": "5"}}, "ownerSwitchesSinceCheckpoint": {{"N": "0"}},
                "leaseOwner": {{"S": "old"}}, "checkpoint": {{"S": "TRIM_HORIZON"}}, "checkpointSubSequenceNumber": {{"N": "0"}}}}"#
        ))
    };
    ["shardId-000000000000", "shardId-000000000001"].map(row).into()
}

async fn refused(scene: &Scene) -> (String, String) {
    for index in 0..2 {
        scene.source.add_shard(&shard(&format!("shardId-{index:012}")), None);
    }
    match scene.worker("ours").build().unwrap().start().await {
        Err(WorkerError::LeaseTable(StoreStartError::Unsuitable { reason, cure })) => (reason, cure),
        other => panic!("{other:?}"),
    }
}

async fn index_count(scene: &Scene) -> usize {
    let described = scene.client.describe_table().table_name(TABLE).send().await.unwrap();
    described.table().unwrap().global_secondary_indexes().len()
}

#[test]
fn a_fleet_with_three_tables_is_not_joined_before_its_migration_is_complete() {
    let coordinator = format!("{TABLE}-CoordinatorState");
    let states = [None, Some("INIT"), Some("DEPLOYED"), Some("PENDING")];
    for state in states {
        let clock = ManualClock::new();
        clock.run(async {
            let scene = Scene::new(&clock);
            let row = state.map(|state| {
                item_of(&format!(
                    r#"{{"key": {{"S": "TableMigration3.5"}}, "tm": {{"S": "TABLE_MIGRATION_STATUS_{state}"}}}}"#
                ))
            });
            scene.table(&coordinator, "key", row.as_slice()).await;
            scene.table(TABLE, "leaseKey", &old_leases()).await;
            let before = scene.rows().await;
            let (reason, cure) = refused(&scene).await;
            assert!(reason.contains(&coordinator), "{reason}");
            assert!(cure.contains("complete the table migration"), "{cure}");
            assert_eq!((scene.rows().await, index_count(&scene).await), (before, 0), "nothing was written");
            assert_eq!(clock.now(), Moment::default(), "and nobody had to wait");
        });
    }
}

#[test]
fn a_fleet_of_kcl_2_at_work_is_not_joined() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock);
        scene.table(TABLE, "leaseKey", &old_leases()).await;
        let before = scene.rows().await;
        let renewing = async {
            loop {
                scene.pass(3).await;
                let key = AttributeValue::S("shardId-000000000001".to_owned());
                let call = scene.client.update_item().table_name(TABLE).key("leaseKey", key);
                let call = call.update_expression("ADD leaseCounter :one");
                call.expression_attribute_values(":one", AttributeValue::N("1".to_owned())).send().await.unwrap();
            }
        };
        let (reason, cure) = tokio::select! {
            refused = refused(&scene) => refused,
            () = renewing => unreachable!(),
        };
        assert!(reason.contains("shardId-000000000001"), "{reason}");
        assert!(cure.contains("stop that fleet"), "{cure}");
        let after = scene.rows().await;
        assert_eq!((after.len(), index_count(&scene).await), (2, 0), "no row and no index was added");
        for (key, row) in before {
            let mut now = after[&key].clone();
            now.insert("leaseCounter".to_owned(), row["leaseCounter"].clone());
            assert_eq!(now, row, "only its fleet moved its counter");
        }
    });
}

#[test]
fn a_fleet_of_kcl_2_that_has_stopped_is_taken_over() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock);
        scene.table(TABLE, "leaseKey", &old_leases()).await;
        for index in 0..2 {
            let shard = shard(&format!("shardId-{index:012}"));
            scene.source.add_shard(&shard, None);
            scene.source.append(&shard, "data");
        }
        let mut worker = scene.worker("ours").build().unwrap().start().await.unwrap();
        scene.pass(20).await;
        assert_eq!(scene.log.records().len(), 2);
        worker.stop();
        worker.wait().await.unwrap();
        for (_, row) in scene.rows().await.into_iter().filter(|(key, _)| key != "Leader") {
            assert_eq!(row["checkpoint"], AttributeValue::S("1".to_owned()));
        }
    });
}
