//! The lease store.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::errors::{Failure, failure};
use super::expression::Expression;
use super::fields::Item;
use super::outcome::{Reader, applied, conflicting};
use super::{lease_expression, read, write};
use crate::ports::{Clock, LeaseStore, StoreStartError};
use crate::row_names as a;
use crate::types::{
    ApplicationName, Condition, CreateOutcome, KeyPage, Lease, LeaseChange, LeaseKey, PageToken, Projection, RowPage,
    RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};

/// Which tables a [`DynamoDbStore`] works with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableSettings {
    /// The lease table; the application's name by default. All workers of one fleet must agree on it.
    pub table: String,
    /// The coordinator table of KCL 3.0 to 3.4, `APPLICATION-CoordinatorState` by default. It is only read, once at
    /// start, to refuse a fleet that keeps its leader and its workers there. Set it if the Java fleet was configured with
    /// another name.
    pub coordinator_table: String,
    /// The fleet's fail-over time. A table that holds only rows of KCL 1.x or 2.x is watched for 1.1 of it at start.
    pub failover_time: Duration,
}

impl TableSettings {
    /// The tables of an application under the KCL's default names.
    pub fn new(application: &ApplicationName, failover_time: Duration) -> Self {
        TableSettings {
            table: application.as_str().to_owned(),
            coordinator_table: format!("{application}{}", a::COORDINATOR_SUFFIX),
            failover_time,
        }
    }
}

/// Leases and worker rows in a DynamoDB table, in the format of KCL 3.5.
///
/// Cheap to clone: clones share the client.
#[derive(Clone)]
pub struct DynamoDbStore {
    pub(super) client: Client,
    pub(super) settings: TableSettings,
    pub(super) clock: Arc<dyn Clock>,
}

impl DynamoDbStore {
    /// A store over a client that brings its time-outs and does not retry: whoever calls decides whether time is left.
    pub fn new(client: Client, settings: TableSettings, clock: Arc<dyn Clock>) -> Self {
        DynamoDbStore { client, settings, clock }
    }

    pub(super) fn table(&self) -> &str {
        &self.settings.table
    }

    /// One item of the table as it is now.
    pub(super) async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let call = self.client.get_item().table_name(self.table()).key(a::KEY, write::text(key)).consistent_read(true);
        let answer = call.send().await.map_err(|error| failure(&error).into_error())?;
        Ok(answer.item)
    }

    /// Sends an update that answers with the row after it, or with the row on which its condition failed.
    pub(super) async fn send_update<R>(&self, key: &str, what: Expression, read: Reader<R>) -> WriteOutcome<R> {
        let answer = self
            .client
            .update_item()
            .table_name(self.table())
            .key(a::KEY, write::text(key))
            .set_condition_expression(what.condition())
            .set_update_expression(what.update())
            .set_expression_attribute_names(what.names())
            .set_expression_attribute_values(what.values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => applied(answer.attributes(), read),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(check)) => {
                    self.failed_condition(key, check.item(), read).await
                }
                _ => failure(&error).into(),
            },
        }
    }

    /// The row on which a condition failed. Servers that do not return it (it is a younger part of the API) are asked for
    /// it: without, every conflict would look like a row that is gone.
    async fn failed_condition<R>(&self, key: &str, item: Option<&Item>, read: Reader<R>) -> WriteOutcome<R> {
        if item.is_some_and(|item| !item.is_empty()) {
            return conflicting(item, read);
        }
        match self.item(key).await {
            Ok(item) => conflicting(item.as_ref(), read),
            // Whatever the row is now, the write certainly did not happen.
            Err(error) => WriteOutcome::Refused(error),
        }
    }

    /// Removes a row and answers with it, or with the row on which the condition failed.
    pub(super) async fn send_delete<R>(&self, key: &str, condition: Expression, read: Reader<R>) -> WriteOutcome<R> {
        let answer = self
            .client
            .delete_item()
            .table_name(self.table())
            .key(a::KEY, write::text(key))
            .set_condition_expression(condition.condition())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => applied(answer.attributes(), read),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(check)) => {
                    self.failed_condition(key, check.item(), read).await
                }
                _ => failure(&error).into(),
            },
        }
    }
}

impl fmt::Debug for DynamoDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbStore").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[async_trait]
impl LeaseStore for DynamoDbStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.make_ready().await
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        let (expression, names) = match projection {
            Projection::All => (None, None),
            Projection::Planning => {
                let (expression, names) = projected(a::PLANNING);
                (Some(expression), Some(names))
            }
        };
        let call = self
            .client
            .scan()
            .table_name(self.table())
            .set_projection_expression(expression)
            .set_expression_attribute_names(names)
            .set_exclusive_start_key(page.map(|PageToken(key)| Item::from([(a::KEY.to_owned(), write::text(key))])));
        let answer = call.send().await.map_err(|error| failure(&error).into_error())?;
        let mut found = RowPage::new(Vec::new(), Vec::new(), next_page(answer.last_evaluated_key())?);
        for item in answer.items() {
            match read::row(item) {
                Ok(row) => found.rows.push(row),
                Err(problem) => found.unreadable.push(problem),
            }
        }
        Ok(found)
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        let owner = write::text(owner.as_str());
        let mut wanted = Expression::default();
        wanted.require_equal(a::OWNER, owner.clone());
        let call = self
            .client
            .query()
            .table_name(self.table())
            .index_name(a::OWNER_INDEX)
            .set_key_condition_expression(wanted.condition())
            .set_expression_attribute_names(wanted.names())
            .set_expression_attribute_values(wanted.values())
            .set_exclusive_start_key(page.map(|PageToken(key)| {
                Item::from([(a::OWNER.to_owned(), owner), (a::KEY.to_owned(), write::text(key))])
            }));
        let answer = call.send().await.map_err(|error| failure(&error).into_error())?;
        let keys: Result<Vec<LeaseKey>, StoreError> = answer.items().iter().map(key_of).collect();
        Ok(KeyPage::new(keys?, next_page(answer.last_evaluated_key())?))
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        Ok(self.item(key.as_str()).await?.map(|item| read::lease(&item)))
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        if let Err(error) = may_be_a_lease(&lease.key) {
            return CreateOutcome::Refused(error);
        }
        let condition = lease_expression::missing();
        let answer = self
            .client
            .put_item()
            .table_name(self.table())
            .set_item(Some(write::lease(lease)))
            .set_condition_expression(condition.condition())
            .set_expression_attribute_names(condition.names())
            .send()
            .await;
        match answer {
            Ok(_) => CreateOutcome::Created,
            Err(error) => match (error.as_service_error(), failure(&error)) {
                (Some(PutItemError::ConditionalCheckFailedException(_)), _) => CreateOutcome::Exists,
                (_, Failure::Refused(error)) => CreateOutcome::Refused(error),
                (_, Failure::Unknown(error)) => CreateOutcome::Unknown(error),
            },
        }
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        self.send_update(key.as_str(), lease_expression::update(condition, change), read::lease).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.send_delete(key.as_str(), lease_expression::on_condition(condition), read::lease).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        self.send_transaction(steps).await
    }
}

/// Refuses keys under which the KCL keeps rows that are no leases.
pub(super) fn may_be_a_lease(key: &LeaseKey) -> Result<(), StoreError> {
    match key.as_str() {
        reserved @ (a::KEY_LEADER | a::KEY_CLIENT_VERSION | a::KEY_TABLE_MIGRATION) => Err(StoreError::Invalid(
            format!("{reserved:?} is the key of another row of the table and cannot name a lease"),
        )),
        _ => Ok(()),
    }
}

/// A projection expression over attributes, with the placeholders it uses.
pub(super) fn projected(attributes: &[&str]) -> (String, HashMap<String, String>) {
    let placeholders: Vec<String> = attributes.iter().map(|attribute| format!("#{attribute}")).collect();
    let names = placeholders.iter().cloned().zip(attributes.iter().map(|&attribute| attribute.to_owned()));
    (placeholders.join(", "), names.collect())
}

/// A page ends at a row; its key is enough to go on, because the owner of an index page is in the question.
fn next_page(last: Option<&Item>) -> Result<Option<PageToken>, StoreError> {
    match last {
        None => Ok(None),
        Some(last) => match last.get(a::KEY) {
            Some(AttributeValue::S(key)) => Ok(Some(PageToken(key.clone()))),
            _ => Err(StoreError::Unavailable(format!("a page ended at a row without {:?}", a::KEY))),
        },
    }
}

fn key_of(item: &Item) -> Result<LeaseKey, StoreError> {
    let key = match item.get(a::KEY) {
        Some(AttributeValue::S(key)) => LeaseKey::new(key).ok(),
        _ => None,
    };
    key.ok_or_else(|| StoreError::Unavailable(format!("the index yielded a row without {:?}", a::KEY)))
}
