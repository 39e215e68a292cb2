//! The table itself and its index: whether they are as they must be, and making them.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::update_table::UpdateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexDescription, GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection,
    ProjectionType, ProvisionedThroughput, ScalarAttributeType, TableDescription, TableStatus,
};

use super::errors::failure;
use super::store::DynamoDbStore;
use crate::ports::StoreStartError;
use crate::row_names as a;
use crate::types::StoreError;

/// What a table that cannot be used yet lacks.
pub(super) enum Lack {
    /// Everything: there is no table.
    Table,
    /// The index, as fleets of KCL 2.x leave it.
    Index(Box<TableDescription>),
    /// Time: what to wait for.
    Time(&'static str),
}

impl DynamoDbStore {
    pub(super) async fn describe(&self) -> Result<Option<TableDescription>, StoreError> {
        match self.client.describe_table().table_name(self.table()).send().await {
            Ok(answer) => match answer.table {
                Some(table) => Ok(Some(table)),
                None => Err(StoreError::Unavailable("DescribeTable answered without a table".to_owned())),
            },
            Err(error) => match error.as_service_error() {
                Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(failure(&error).into_error()),
            },
        }
    }

    /// What the table lacks; `None` if table and index can be used.
    pub(super) async fn lack(&self) -> Result<Option<Lack>, StoreStartError> {
        let Some(table) = self.describe().await? else { return Ok(Some(Lack::Table)) };
        check(&table)?;
        Ok(match (table.table_status(), owner_index(&table).map(|index| index.index_status())) {
            (Some(TableStatus::Active | TableStatus::Updating), Some(Some(IndexStatus::Active))) => None,
            (Some(TableStatus::Active), None) => Some(Lack::Index(Box::new(table))),
            (Some(TableStatus::Active | TableStatus::Updating), Some(_)) => Some(Lack::Time("the index to be ready")),
            _ => Some(Lack::Time("the table to be ready")),
        })
    }

    /// Creates the table together with its index, so that no worker ever sees one without the other.
    pub(super) async fn create_table(&self) -> Result<(), StoreStartError> {
        let index = GlobalSecondaryIndex::builder()
            .index_name(a::OWNER_INDEX)
            .key_schema(key(a::OWNER, KeyType::Hash)?)
            .key_schema(key(a::KEY, KeyType::Range)?)
            .projection(keys_only())
            .build()
            .map_err(incomplete)?;
        let call = self
            .client
            .create_table()
            .table_name(self.table())
            .attribute_definitions(text_attribute(a::KEY)?)
            .attribute_definitions(text_attribute(a::OWNER)?)
            .key_schema(key(a::KEY, KeyType::Hash)?)
            .billing_mode(BillingMode::PayPerRequest)
            .global_secondary_indexes(index);
        match call.send().await {
            Ok(_) => {
                tracing::info!(table = self.table(), "created the lease table");
                Ok(())
            }
            Err(error) => match error.as_service_error() {
                // Another worker was faster.
                Some(CreateTableError::ResourceInUseException(_)) => Ok(()),
                _ => Err(failure(&error).into_error().into()),
            },
        }
    }

    /// Adds the index to a table that lacks it. That another worker does the same at this moment is no error: whoever
    /// waits sees the index appear.
    pub(super) async fn create_index(&self, table: &TableDescription) -> Result<(), StoreStartError> {
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(a::OWNER_INDEX)
            .key_schema(key(a::OWNER, KeyType::Hash)?)
            .key_schema(key(a::KEY, KeyType::Range)?)
            .projection(keys_only())
            .set_provisioned_throughput(throughput_of(table)?)
            .build()
            .map_err(incomplete)?;
        let call = self
            .client
            .update_table()
            .table_name(self.table())
            .attribute_definitions(text_attribute(a::KEY)?)
            .attribute_definitions(text_attribute(a::OWNER)?)
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action).build());
        let error = match call.send().await {
            Ok(_) => {
                tracing::info!(table = self.table(), index = a::OWNER_INDEX, "adding the index to the lease table");
                return Ok(());
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            // The table or the index is being changed, or the account's limit of index creations is reached.
            Some(UpdateTableError::ResourceInUseException(_) | UpdateTableError::LimitExceededException(_)) => Ok(()),
            // The index is there by now: a racing worker's was finished between our look and our call.
            Some(refusal) if refusal.message().is_some_and(|text| text.contains("already exist")) => Ok(()),
            _ => Err(failure(&error).into_error().into()),
        }
    }
}

/// Whether the table, as far as it is, can be a lease table at all.
pub(super) fn check(table: &TableDescription) -> Result<(), StoreStartError> {
    let name = table.table_name().unwrap_or_default();
    match table.table_status() {
        None | Some(TableStatus::Active | TableStatus::Creating | TableStatus::Updating) => {}
        Some(status) => {
            return Err(StoreStartError::Unsuitable {
                reason: format!("table {name} has the status {}", status.as_str()),
                cure: "wait until it is gone or active again, then start the worker".to_owned(),
            });
        }
    }
    let wanted = format!("{} S HASH", a::KEY);
    let found = described_keys(table, table.key_schema());
    if found != wanted {
        return Err(StoreStartError::Unsuitable {
            reason: format!("table {name} has the key ({found}) and not ({wanted}), so it is no lease table"),
            cure: "choose another application name, or remove the table if nobody needs it".to_owned(),
        });
    }
    let wanted = format!("{} S HASH, {} S RANGE", a::OWNER, a::KEY);
    match owner_index(table).map(|index| described_keys(table, index.key_schema())) {
        Some(found) if found != wanted => Err(StoreStartError::Unsuitable {
            reason: format!("index {} of table {name} has the key ({found}) and not ({wanted})", a::OWNER_INDEX),
            cure: "delete the index; the next start of a worker creates it anew".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn described_keys(table: &TableDescription, schema: &[KeySchemaElement]) -> String {
    let elements = schema.iter().map(|element| {
        let name = element.attribute_name();
        let definition = table.attribute_definitions().iter().find(|definition| definition.attribute_name() == name);
        let letter = definition.map_or("?", |definition| definition.attribute_type().as_str());
        format!("{name} {letter} {}", element.key_type().as_str())
    });
    elements.collect::<Vec<_>>().join(", ")
}

fn owner_index(table: &TableDescription) -> Option<&GlobalSecondaryIndexDescription> {
    table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(a::OWNER_INDEX))
}

/// What an index of the table must have: nothing for an on-demand table, else what the table has. The service leaves the
/// billing mode out for tables that were provisioned from the start.
fn throughput_of(table: &TableDescription) -> Result<Option<ProvisionedThroughput>, StoreStartError> {
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let (Some(throughput), false) = (table.provisioned_throughput(), mode == Some(&BillingMode::PayPerRequest)) else {
        return Ok(None);
    };
    ProvisionedThroughput::builder()
        .set_read_capacity_units(throughput.read_capacity_units())
        .set_write_capacity_units(throughput.write_capacity_units())
        .build()
        .map(Some)
        .map_err(incomplete)
}

fn key(attribute: &str, kind: KeyType) -> Result<KeySchemaElement, StoreStartError> {
    KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().map_err(incomplete)
}

fn text_attribute(name: &str) -> Result<AttributeDefinition, StoreStartError> {
    let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
    definition.build().map_err(incomplete)
}

fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}

fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreStartError {
    StoreError::Invalid(error.to_string()).into()
}
