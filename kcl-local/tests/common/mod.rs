//! One scene, and the ways to reach it: most checks run in process and over HTTP, some in every way.
#![allow(dead_code, unused_imports, reason = "no test file needs all of it")]

mod cbor;
mod http2;
mod ways;
pub(crate) mod world;

use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use kcl_local::{LocalAws, LocalDynamoDb, LocalKinesis, ManualClock, Settings, Timestamp};
pub(crate) use ways::{WAYS, Way, client_through, trusting};

/// A service, its clock, and a client of it.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) kinesis: LocalKinesis,
    pub(crate) database: LocalDynamoDb,
    pub(crate) clock: Arc<ManualClock>,
    _server: Option<LocalAws>,
}

impl Scene {
    pub(crate) async fn in_process(settings: Settings) -> Self {
        Self::reached(Way::InProcess, settings).await
    }

    pub(crate) async fn over_http(settings: Settings) -> Self {
        Self::reached(Way::Http1, settings).await
    }

    pub(crate) async fn reached(way: Way, settings: Settings) -> Self {
        let (kinesis, clock) = service(settings);
        let database = LocalDynamoDb::with_clock(clock.clone()).unwrap();
        let (client, server) = way.reach(&kinesis, &database).await;
        let dynamodb = match &server {
            Some(server) if way != Way::Tls => dynamodb_client(&server.dynamodb_endpoint()),
            _ => aws_sdk_dynamodb::Client::new(&database.sdk_config()),
        };
        Self { client, dynamodb, kinesis, database, clock, _server: server }
    }

    /// A provisioned stream called `orders`.
    pub(crate) async fn with_stream(self, shards: i32) -> Self {
        self.client.create_stream().stream_name("orders").shard_count(shards).send().await.unwrap();
        self
    }

    pub(crate) fn arn(&self) -> String {
        self.kinesis.stream_arn("orders")
    }
}

pub(crate) fn http_client(endpoint: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

pub(crate) fn dynamodb_client(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .endpoint_url(endpoint)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// A table called `leases` with the key `k`.
pub(crate) async fn create_table(client: &aws_sdk_dynamodb::Client) {
    let key = KeySchemaElement::builder().attribute_name("k").key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder().attribute_name("k").attribute_type(ScalarAttributeType::S);
    let create = client.create_table().table_name("leases").key_schema(key).billing_mode(BillingMode::PayPerRequest);
    create.attribute_definitions(attribute.build().unwrap()).send().await.unwrap();
}

pub(crate) fn start_of_time() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_123)
}

fn service(settings: Settings) -> (LocalKinesis, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start_of_time()));
    (LocalKinesis::with_settings(settings, clock.clone()), clock)
}

/// The code that a call was refused with.
pub(crate) fn code<T: std::fmt::Debug, E, R>(outcome: Result<T, SdkError<E, R>>) -> String
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    match outcome {
        Ok(output) => panic!("not refused: {output:?}"),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

/// Makes two tests out of an `async fn(Scene)`.
#[macro_export]
macro_rules! in_both_ways {
    ($($check:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $check() {
                super::$check($crate::common::Scene::in_process(Default::default()).await).await;
            })*
        }
        mod over_http {
            $(#[tokio::test]
            async fn $check() {
                super::$check($crate::common::Scene::over_http(Default::default()).await).await;
            })*
        }
    };
}
