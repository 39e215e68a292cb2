//! Several rows together or not at all.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Put, TransactWriteItem, Update};

use super::errors::{Failure, failure, is_throttling};
use super::expression::Expression;
use super::store::{DynamoDbStore, may_be_a_lease};
use super::{lease_expression, write};
use crate::ports::transact_row_by_row;
use crate::row_names as a;
use crate::types::{LeaseKey, StepResult, StoreError, TRANSACTION_LIMIT, TransactionOutcome, TransactionStep};

impl DynamoDbStore {
    pub(super) async fn send_transaction(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        let items = match check(steps).and_then(|()| steps.iter().map(|step| self.action(step)).collect()) {
            Ok(items) => items,
            Err(error) => return TransactionOutcome::Refused(error),
        };
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => TransactionOutcome::Applied,
            Err(error) if lacks_transactions(&error) => {
                tracing::warn!("this server has no transactions; the end of a shard is written row by row");
                transact_row_by_row(self, steps).await
            }
            Err(error) => match (error.as_service_error(), failure(&error)) {
                (Some(TransactWriteItemsError::TransactionCanceledException(cancelled)), _) => {
                    outcome(cancelled.cancellation_reasons(), steps.len())
                }
                (_, Failure::Refused(error)) => TransactionOutcome::Refused(error),
                (_, Failure::Unknown(error)) => TransactionOutcome::Unknown(error),
            },
        }
    }

    fn action(&self, step: &TransactionStep) -> Result<TransactWriteItem, StoreError> {
        match step {
            TransactionStep::Update { key, condition, change } => {
                let what = lease_expression::update(condition, change);
                match what.update() {
                    Some(update) => self.update_action(key, what, update),
                    // A change of nothing: DynamoDB's transactions want it spelled as a check.
                    None => self.check_action(key, what),
                }
            }
            TransactionStep::Create(lease) => {
                may_be_a_lease(&lease.key)?;
                let condition = lease_expression::missing();
                let put = Put::builder()
                    .table_name(self.table())
                    .set_item(Some(write::lease(lease)))
                    .set_condition_expression(condition.condition())
                    .set_expression_attribute_names(condition.names());
                Ok(TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build())
            }
            TransactionStep::Exists(key) => self.check_action(key, lease_expression::exists()),
        }
    }

    fn update_action(&self, key: &LeaseKey, what: Expression, update: String) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(self.table())
            .key(a::KEY, write::text(key.as_str()))
            .set_condition_expression(what.condition())
            .update_expression(update)
            .set_expression_attribute_names(what.names())
            .set_expression_attribute_values(what.values());
        Ok(TransactWriteItem::builder().update(update.build().map_err(incomplete)?).build())
    }

    fn check_action(&self, key: &LeaseKey, what: Expression) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(self.table())
            .key(a::KEY, write::text(key.as_str()))
            .set_condition_expression(what.condition())
            .set_expression_attribute_names(what.names())
            .set_expression_attribute_values(what.values());
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(incomplete)?).build())
    }
}

fn check(steps: &[TransactionStep]) -> Result<(), StoreError> {
    if steps.is_empty() || steps.len() > TRANSACTION_LIMIT {
        let message = format!("a transaction has 1 to {TRANSACTION_LIMIT} steps, not {}", steps.len());
        return Err(StoreError::Invalid(message));
    }
    let mut seen = BTreeSet::new();
    match steps.iter().map(TransactionStep::key).find(|&key| !seen.insert(key)) {
        Some(twice) => Err(StoreError::Invalid(format!("a transaction names each row once, but {twice} twice"))),
        None => Ok(()),
    }
}

/// DynamoDB itself has them. Other servers with its API need not.
fn lacks_transactions<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("UnknownOperationException")
}

fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Invalid(error.to_string())
}

/// What the reasons of a cancelled transaction say, one for each step.
///
/// If any step was cancelled for another reason than its condition, nothing certain is known of that condition; the
/// whole is then reported as refused, and a repetition brings the answer.
pub(super) fn outcome(reasons: &[CancellationReason], steps: usize) -> TransactionOutcome {
    let mut results = Vec::with_capacity(reasons.len());
    for reason in reasons {
        match reason.code() {
            None | Some("None") => results.push(StepResult::Held),
            Some("ConditionalCheckFailed") => results.push(StepResult::Failed),
            Some(code) => {
                let message =
                    format!("the transaction was cancelled: {code}: {}", reason.message().unwrap_or("no message"));
                return TransactionOutcome::Refused(match code {
                    code if is_throttling(code) => StoreError::Throttled(message),
                    "AccessDenied" => StoreError::Denied(message),
                    _ => StoreError::Invalid(message),
                });
            }
        }
    }
    if results.len() == steps && results.contains(&StepResult::Failed) {
        return TransactionOutcome::Cancelled(results);
    }
    let message = format!("the transaction of {steps} steps was cancelled without a reason among {}", reasons.len());
    TransactionOutcome::Refused(StoreError::Unavailable(message))
}
