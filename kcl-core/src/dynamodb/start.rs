//! Making the table ready, in an order that writes nothing to a table that must not be touched.

use std::time::Duration;

use aws_sdk_dynamodb::types::TableStatus;

use super::store::DynamoDbStore;
use super::table::{self, Lack};
use crate::ports::{Clock, StoreStartError};
use crate::types::{Moment, StoreError};

impl DynamoDbStore {
    /// Checks what is there, creates what is missing, and waits until table and index can be used.
    pub(super) async fn make_ready(&self) -> Result<(), StoreStartError> {
        let found = self.describe().await?;
        if let Some(found) = &found {
            table::check(found)?;
        }
        self.refuse_three_table_fleet().await?;
        match &found {
            None => self.create_table().await?,
            // A table that is still being made has no rows to look at.
            Some(found) if found.table_status() == Some(&TableStatus::Creating) => {}
            Some(_) => self.refuse_running_old_fleet().await?,
        }
        self.until_ready().await
    }

    async fn until_ready(&self) -> Result<(), StoreStartError> {
        let mut patience = Patience::new(self.clock.now());
        loop {
            let waiting_for = match self.lack().await {
                Ok(None) => return Ok(()),
                Ok(Some(lack)) => {
                    patience.failures = 0;
                    self.supply(lack, patience.is_young(self.clock.now())).await?
                }
                // A look that failed is no news. To give up here would throw away the minutes that an index takes.
                Err(error) if patience.bears(&error) => "the service to answer",
                Err(error) => return Err(error),
            };
            patience.wait(self.clock.as_ref(), self.table(), waiting_for).await;
        }
    }

    /// Supplies what can be supplied, and says what to wait for.
    async fn supply(&self, lack: Lack, young: bool) -> Result<&'static str, StoreStartError> {
        match lack {
            Lack::Time(what) => Ok(what),
            Lack::Index(found) => {
                self.create_index(&found).await?;
                Ok("the index to be created")
            }
            // Just after a table was created, a description may come from a server that has not heard of it.
            Lack::Table if young => Ok("the table to appear"),
            Lack::Table => {
                let message = format!("table {} was created but has disappeared", self.table());
                Err(StoreError::TableMissing(message).into())
            }
        }
    }
}

/// Waits between two looks at the table: briefly at first, because emulators are ready at once, then longer, because a
/// table takes seconds and an index over many rows takes minutes.
struct Patience {
    begun: Moment,
    told: Moment,
    next: Duration,
    failures: u32,
}

impl Patience {
    fn new(now: Moment) -> Self {
        Patience { begun: now, told: now, next: FIRST_LOOK, failures: 0 }
    }

    /// Whether to look again after this failure.
    fn bears(&mut self, error: &StoreStartError) -> bool {
        self.failures += 1;
        let passing = matches!(error, StoreStartError::Store(StoreError::Throttled(_) | StoreError::Unavailable(_)));
        passing && self.failures <= FAILURES_IN_A_ROW
    }

    fn is_young(&self, now: Moment) -> bool {
        now.since(self.begun) < APPEARS_WITHIN
    }

    async fn wait(&mut self, clock: &dyn Clock, table: &str, waiting_for: &str) {
        let now = clock.now();
        if now.since(self.told) >= TELL_EVERY {
            self.told = now;
            tracing::info!(
                table,
                waiting_for,
                waited_s = now.since(self.begun).as_secs(),
                "the lease table is not ready yet"
            );
        }
        clock.sleep_until(now + self.next).await;
        self.next = (self.next * 2).min(LAST_LOOK);
    }
}

const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(5);
const FAILURES_IN_A_ROW: u32 = 5;
const APPEARS_WITHIN: Duration = Duration::from_secs(60);
