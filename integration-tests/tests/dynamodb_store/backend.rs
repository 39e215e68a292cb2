//! A server, tables of its own for each test, and a raw client that does what other libraries do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_runtime_api::client::http::HttpClient;
use kcl_core::dynamodb::{DynamoDbStore, TableSettings};
use kcl_core::ports::{Clock, SystemClock};

use crate::items::Item;

pub(crate) const FAILOVER: Duration = Duration::from_secs(10);

/// A server and an application name that no other test uses.
pub(crate) struct Backend {
    endpoint: String,
    pub(crate) application: String,
}

impl Backend {
    pub(crate) async fn new() -> Self {
        Backend::at(match std::env::var("KCL_TEST_DYNAMODB_ENDPOINT") {
            Ok(endpoint) => endpoint,
            Err(_) => embedded().await,
        })
    }

    pub(crate) fn at(endpoint: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let application = format!("app-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Backend { endpoint, application }
    }

    /// A client as other libraries would have it.
    pub(crate) fn raw(&self) -> Client {
        self.client(aws_smithy_http_client::Builder::new().build_http())
    }

    /// A client as the builder makes them for the store: with time-outs, without retries.
    pub(crate) fn client(&self, http: impl HttpClient + 'static) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(30)).build())
            .http_client(http);
        Client::from_conf(config.build())
    }

    pub(crate) fn settings(&self) -> TableSettings {
        TableSettings::new(&self.application.parse().unwrap(), FAILOVER)
    }

    /// A store with a client of its own, as another process would have it.
    pub(crate) fn store(&self) -> DynamoDbStore {
        self.store_over(self.raw())
    }

    pub(crate) fn store_over(&self, client: Client) -> DynamoDbStore {
        DynamoDbStore::new(client, self.settings(), Arc::new(SystemClock::new()))
    }

    pub(crate) fn store_with_clock(&self, clock: Arc<dyn Clock>) -> DynamoDbStore {
        DynamoDbStore::new(self.raw(), self.settings(), clock)
    }

    /// Creates a table as KCL 2.x does: one text key, no index.
    pub(crate) async fn create_table(&self, name: &str, key: &str) {
        let schema = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build().unwrap();
        let definition = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
        let call = self.raw().create_table().table_name(name).key_schema(schema);
        let call = call.attribute_definitions(definition.build().unwrap()).billing_mode(BillingMode::PayPerRequest);
        call.send().await.unwrap();
    }

    pub(crate) async fn table_exists(&self, name: &str) -> bool {
        self.raw().describe_table().table_name(name).send().await.is_ok()
    }

    /// Writes a whole row, as the Java library does when it creates one.
    pub(crate) async fn put(&self, item: &Item) {
        self.raw().put_item().table_name(&self.application).set_item(Some(item.clone())).send().await.unwrap();
    }

    /// A row as it really is.
    pub(crate) async fn item(&self, key: &str) -> Option<Item> {
        let key = AttributeValue::S(key.to_owned());
        let call = self.raw().get_item().table_name(&self.application).key("leaseKey", key).consistent_read(true);
        call.send().await.unwrap().item
    }
}

#[expect(clippy::disallowed_methods, reason = "the emulator's server ends with the runtime of its test")]
async fn embedded() -> String {
    let database = dynoxide::Database::memory().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(dynoxide::server::serve_on(listener, database)));
    endpoint
}
