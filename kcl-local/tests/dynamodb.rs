//! DynamoDB beside Kinesis: what a lease table needs, through the AWS SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, Put, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem, Update,
};
use common::{Scene, code};

in_both_ways!(
    a_conditional_update_has_one_winner,
    an_index_shows_items_by_their_other_key,
    a_transaction_happens_as_a_whole,
    errors_have_the_codes_of_the_service,
);

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(name: &str) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap()
}

fn attribute(name: &str) -> AttributeDefinition {
    let kind = ScalarAttributeType::S;
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
}

async fn create_leases(client: &Client) {
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-owner")
        .key_schema(key("leaseOwner"))
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    let table = client.create_table().table_name("leases").billing_mode(BillingMode::PayPerRequest);
    let table = table.key_schema(key("leaseKey")).attribute_definitions(attribute("leaseKey"));
    let table = table.attribute_definitions(attribute("leaseOwner"));
    table.global_secondary_indexes(index.build().unwrap()).send().await.unwrap();
}

async fn put_lease(client: &Client, lease: &str, owner: &str) {
    let put = client.put_item().table_name("leases").item("leaseKey", text(lease));
    put.item("leaseOwner", text(owner)).item("leaseCounter", number(1)).send().await.unwrap();
}

async fn a_conditional_update_has_one_winner(scene: Scene) {
    let client = &scene.dynamodb;
    create_leases(client).await;
    put_lease(client, "shard-0", "nobody").await;
    let takes = (0..8).map(|worker| async move {
        let take = client.update_item().table_name("leases").key("leaseKey", text("shard-0"));
        take.update_expression("SET leaseOwner = :me, leaseCounter = leaseCounter + :one")
            .condition_expression("leaseCounter = :seen")
            .expression_attribute_values(":me", text(&format!("worker-{worker}")))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":seen", number(1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await
    });
    let outcomes = futures_util::future::join_all(takes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        let error = error.into_service_error();
        let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(lost) = error
        else {
            panic!("{error}")
        };
        assert_eq!(lost.item.unwrap()["leaseCounter"], number(2));
    }
}

async fn an_index_shows_items_by_their_other_key(scene: Scene) {
    let client = &scene.dynamodb;
    create_leases(client).await;
    for (lease, owner) in [("shard-0", "a"), ("shard-1", "b"), ("shard-2", "a")] {
        put_lease(client, lease, owner).await;
    }
    let query = client.query().table_name("leases").index_name("by-owner");
    let query = query.key_condition_expression("leaseOwner = :owner").expression_attribute_values(":owner", text("a"));
    let mut leases: Vec<_> = query.send().await.unwrap().items.unwrap();
    leases.sort_by_key(|item| item["leaseKey"].as_s().unwrap().clone());
    let keys: Vec<_> = leases.iter().map(|item| item["leaseKey"].as_s().unwrap().as_str()).collect();
    assert_eq!(keys, ["shard-0", "shard-2"]);
    assert_eq!(client.scan().table_name("leases").send().await.unwrap().count, 3);
}

async fn a_transaction_happens_as_a_whole(scene: Scene) {
    let client = &scene.dynamodb;
    create_leases(client).await;
    put_lease(client, "parent", "a").await;
    let end = Update::builder()
        .table_name("leases")
        .key("leaseKey", text("parent"))
        .update_expression("SET checkpoint = :end")
        .condition_expression("leaseOwner = :me")
        .expression_attribute_values(":end", text("SHARD_END"));
    let child = Put::builder().table_name("leases").item("leaseKey", text("child")).item("leaseOwner", text("a"));
    let child = child.condition_expression("attribute_not_exists(leaseKey)").build().unwrap();
    let transact = |me: &str| {
        let end = end.clone().expression_attribute_values(":me", text(me)).build().unwrap();
        let items =
            [TransactWriteItem::builder().update(end).build(), TransactWriteItem::builder().put(child.clone()).build()];
        client.transact_write_items().set_transact_items(Some(items.into())).send()
    };
    let cancelled = transact("b").await.unwrap_err().into_service_error();
    assert!(cancelled.is_transaction_canceled_exception(), "{cancelled}");
    assert_eq!(client.scan().table_name("leases").send().await.unwrap().count, 1);
    transact("a").await.unwrap();
    assert_eq!(client.scan().table_name("leases").send().await.unwrap().count, 2);
}

async fn errors_have_the_codes_of_the_service(scene: Scene) {
    let client = &scene.dynamodb;
    let get = || client.get_item().table_name("leases").key("leaseKey", text("x")).send();
    assert!(get().await.unwrap_err().into_service_error().is_resource_not_found_exception());
    create_leases(client).await;
    assert!(get().await.unwrap().item.is_none());
    let again = client.create_table().table_name("leases").billing_mode(BillingMode::PayPerRequest);
    let again = again.key_schema(key("leaseKey")).attribute_definitions(attribute("leaseKey")).send().await;
    assert!(again.unwrap_err().into_service_error().is_resource_in_use_exception());
    let wrong_key = client.get_item().table_name("leases").key("leaseKey", number(1)).send().await;
    assert_eq!(code(wrong_key), "ValidationException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_that_race_are_all_counted() {
    for scene in [Scene::in_process(Default::default()).await, Scene::over_http(Default::default()).await] {
        create_leases(&scene.dynamodb).await;
        put_lease(&scene.dynamodb, "shard-0", "nobody").await;
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            workers.spawn(increment(scene.dynamodb.clone(), 25));
        }
        workers.join_all().await;
        assert_eq!(counter(&scene.dynamodb).await, 1 + 8 * 25);
    }
}

async fn counter(client: &Client) -> u64 {
    let get = client.get_item().table_name("leases").key("leaseKey", text("shard-0")).consistent_read(true);
    get.send().await.unwrap().item.unwrap()["leaseCounter"].as_n().unwrap().parse().unwrap()
}

/// Raises the counter by one, `times` times, each time only if nobody else did since it was read.
async fn increment(client: Client, times: usize) {
    let mut done = 0;
    while done < times {
        let seen = counter(&client).await;
        let update = client.update_item().table_name("leases").key("leaseKey", text("shard-0"));
        let outcome = update
            .update_expression("SET leaseCounter = :next")
            .condition_expression("leaseCounter = :seen")
            .expression_attribute_values(":seen", number(seen))
            .expression_attribute_values(":next", number(seen + 1))
            .send()
            .await;
        match outcome {
            Ok(_) => done += 1,
            Err(error) => assert!(error.into_service_error().is_conditional_check_failed_exception()),
        }
    }
}
