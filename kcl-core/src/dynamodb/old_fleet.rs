//! Fleets that this library cannot join: KCL 3.0 to 3.4, which keeps its coordination in three tables, and a fleet of KCL
//! 1.x or 2.x that is at work, whose workers fail at the first row that is no lease.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::errors::failure;
use super::fields::Item;
use super::store::{DynamoDbStore, projected};
use super::write;
use crate::ports::StoreStartError;
use crate::row_names as a;
use crate::types::StoreError;

impl DynamoDbStore {
    /// Looks into the coordinator table. That there is none is the normal case.
    pub(super) async fn refuse_three_table_fleet(&self) -> Result<(), StoreStartError> {
        let coordinator = &self.settings.coordinator_table;
        if coordinator.len() > LONGEST_TABLE_NAME {
            // With an application name this long no such table can exist, and the question would be refused.
            return Ok(());
        }
        let call = self
            .client
            .get_item()
            .table_name(coordinator)
            .key(a::COORDINATOR_KEY, write::text(a::KEY_TABLE_MIGRATION))
            .consistent_read(true);
        let item = match call.send().await {
            Ok(answer) => answer.item.unwrap_or_default(),
            Err(error) => match (error.as_service_error(), failure(&error).into_error()) {
                (Some(GetItemError::ResourceNotFoundException(_)), _) => return Ok(()),
                (_, StoreError::Denied(message)) => {
                    return Err(StoreError::Denied(format!(
                        "{message} (reading table {coordinator}, to see whether a fleet of KCL 3.0 to 3.4 works with it; allow dynamodb:GetItem on it)"
                    ))
                    .into());
                }
                (_, error) => return Err(error.into()),
            },
        };
        match item.get(a::MIGRATION_STATUS) {
            Some(AttributeValue::S(status)) if status == a::MIGRATION_COMPLETE => Ok(()),
            status => Err(three_table_fleet(coordinator, status)),
        }
    }

    /// Refuses a table whose rows are all of KCL 1.x or 2.x and still move. One row of KCL 3.5 or of this library is proof
    /// enough that no such fleet is at work: it would have failed at that row.
    pub(super) async fn refuse_running_old_fleet(&self) -> Result<(), StoreStartError> {
        if self.has_row(a::KEY_LEADER).await? || self.has_row(a::KEY_CLIENT_VERSION).await? {
            return Ok(());
        }
        let Sample::Old(before) = self.sample().await? else { return Ok(()) };
        if before.is_empty() {
            return Ok(());
        }
        let watched = self.settings.failover_time.mul_f64(WATCHED_FAILOVERS);
        tracing::info!(
            table = self.table(),
            leases = before.len(),
            watching_s = watched.as_secs_f64(),
            "the lease table holds only rows of KCL 1.x or 2.x: watching whether a fleet still renews them"
        );
        let begun = self.clock.now();
        for look in 1..=LOOKS {
            self.clock.sleep_until(begun + watched * look / LOOKS).await;
            let Sample::Old(now) = self.sample().await? else { return Ok(()) };
            if let Some((key, counter)) = now.iter().find(|&(key, counter)| before.get(key) != Some(counter)) {
                return Err(running_old_fleet(self.table(), key, before.get(key), counter));
            }
        }
        Ok(())
    }

    async fn has_row(&self, key: &str) -> Result<bool, StoreError> {
        let (projection, names) = projected(&[a::KEY]);
        let call = self
            .client
            .get_item()
            .table_name(self.table())
            .key(a::KEY, write::text(key))
            .projection_expression(projection)
            .set_expression_attribute_names(Some(names));
        Ok(call.send().await.map_err(|error| failure(&error).into_error())?.item.is_some())
    }

    /// Looks at the first pages of the table. A large table is not read to its end: what moves in a running fleet moves
    /// everywhere.
    async fn sample(&self) -> Result<Sample, StoreError> {
        let mut counters = BTreeMap::new();
        let mut start = None;
        for _ in 0..SAMPLED_PAGES {
            let (projection, names) = projected(&[a::KEY, a::ENTITY_TYPE, a::COUNTER, a::OWN_COUNTER]);
            let call = self
                .client
                .scan()
                .table_name(self.table())
                .projection_expression(projection)
                .set_expression_attribute_names(Some(names))
                .set_exclusive_start_key(start);
            let page = call.send().await.map_err(|error| failure(&error).into_error())?;
            for item in page.items() {
                if is_new(item) {
                    return Ok(Sample::New);
                }
                if let Some(AttributeValue::S(key)) = item.get(a::KEY) {
                    counters.insert(key.clone(), counter(item));
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(Sample::Old(counters))
    }
}

/// What the first pages of the table hold.
enum Sample {
    /// A row of KCL 3.5 or of this library.
    New,
    /// Only rows of KCL 1.x or 2.x: the counter of each.
    Old(BTreeMap<String, String>),
}

/// Rows that KCL 3.5 made carry a type. Rows that it or this library found there stay without one, but what this library
/// wrote to has a counter of its own.
fn is_new(item: &Item) -> bool {
    item.contains_key(a::ENTITY_TYPE) || item.contains_key(a::OWN_COUNTER)
}

fn counter(item: &Item) -> String {
    match item.get(a::COUNTER) {
        Some(AttributeValue::N(counter)) => counter.clone(),
        _ => String::new(),
    }
}

fn three_table_fleet(coordinator: &str, status: Option<&AttributeValue>) -> StoreStartError {
    let status = match status {
        Some(AttributeValue::S(status)) => format!("the status {status:?}"),
        Some(_) => "a status that is no text".to_owned(),
        None => "no status".to_owned(),
    };
    StoreStartError::Unsuitable {
        reason: format!(
            "table {coordinator} belongs to a fleet of KCL 3.0 to 3.4, or to a migration to 3.5 that is not complete: its row {:?} has {status}, not {:?}",
            a::KEY_TABLE_MIGRATION,
            a::MIGRATION_COMPLETE
        ),
        cure: "complete the table migration with KCL 3.5, or remove that table if the fleet is gone, or choose another application name"
            .to_owned(),
    }
}

fn running_old_fleet(table: &str, key: &str, before: Option<&String>, now: &str) -> StoreStartError {
    let moved = match before {
        Some(before) => format!("{} of row {key:?} moved from {before} to {now}", a::COUNTER),
        None => format!("row {key:?} appeared"),
    };
    StoreStartError::Unsuitable {
        reason: format!(
            "table {table} is in use by a fleet of KCL 1.x or 2.x: no row has {:?}, and {moved}",
            a::ENTITY_TYPE
        ),
        cure: "stop that fleet or upgrade it to KCL 3.5 first, or choose another application name".to_owned(),
    }
}

const LONGEST_TABLE_NAME: usize = 255;
/// An observer waits a little longer than a fleet may take to renew.
const WATCHED_FAILOVERS: f64 = 1.1;
/// Looks while watching, so that a running fleet is found soon.
const LOOKS: u32 = 5;
const SAMPLED_PAGES: usize = 3;
