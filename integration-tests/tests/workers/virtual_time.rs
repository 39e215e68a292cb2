//! DynamoDB in virtual time: a worker, its client and its waits all follow one clock that a test moves.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use integration_tests::virtual_sleep::sleep_of;
use kcl_core::ports::Clock;
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{ShardId, ShardRef, StreamId};
use kcl_core::{Settings, Worker, WorkerBuilder};
use kcl_local::LocalDynamoDb;

use crate::items::{Item, key_of};
use crate::log::Log;

pub(crate) const STREAM: &str = "orders";
pub(crate) const TABLE: &str = "fx-orders";

/// A table that others wrote, a stream that is set by hand, and a clock that moves when everybody waits.
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) client: Client,
    pub(crate) source: ScriptedSource,
    pub(crate) log: Log,
}

impl Scene {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        let config = LocalDynamoDb::in_memory().unwrap().sdk_config();
        let client = Client::new(&config.into_builder().sleep_impl(sleep_of(clock)).build());
        let source = ScriptedSource::new(clock.clone());
        Scene { clock: clock.clone(), client, source, log: Log::default() }
    }

    /// Creates a table with a text key and nothing else, as KCL 2.x does, and puts rows into it.
    pub(crate) async fn table(&self, name: &str, key: &str, rows: &[Item]) {
        let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build().unwrap();
        let definition = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
        let call = self.client.create_table().table_name(name).key_schema(schema);
        let call = call.attribute_definitions(definition.build().unwrap()).billing_mode(BillingMode::PayPerRequest);
        call.send().await.unwrap();
        for row in rows {
            self.client.put_item().table_name(name).set_item(Some(row.clone())).send().await.unwrap();
        }
    }

    /// The lease table as it is.
    pub(crate) async fn rows(&self) -> BTreeMap<String, Item> {
        let answer = self.client.scan().table_name(TABLE).consistent_read(true).send().await.unwrap();
        answer.items.unwrap_or_default().into_iter().map(|item| (key_of(&item), item)).collect()
    }

    /// A worker of the fleet whose table it is.
    pub(crate) fn worker(&self, name: &str) -> WorkerBuilder {
        Worker::builder(Settings::new(TABLE, STREAM).worker_id(name))
            .dynamodb_client(self.client.clone())
            .source(self.source.clone())
            .clock(self.clock.clone())
            .seed(7)
            .processor(self.log.processors())
    }

    pub(crate) async fn pass(&self, seconds: u64) {
        self.clock.sleep_until(self.clock.now() + Duration::from_secs(seconds)).await;
    }
}

pub(crate) fn shard(name: &str) -> ShardRef {
    let stream: StreamId = STREAM.parse().unwrap();
    ShardRef::new(stream, ShardId::new(name).unwrap())
}
