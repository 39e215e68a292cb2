//! A clock that passes when somebody waits, and lets a fleet of KCL 2.x work meanwhile.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::ports::Clock;
use kcl_core::types::{Moment, Timestamp};

/// Who works on a row while time passes.
pub(crate) struct Renewer {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) key: String,
}

/// Stands still until somebody waits, then jumps to the deadline.
#[derive(Default)]
pub(crate) struct DrivenClock {
    now: Mutex<Duration>,
    renewer: Option<Renewer>,
}

impl DrivenClock {
    pub(crate) fn with_renewer(renewer: Renewer) -> Self {
        DrivenClock { renewer: Some(renewer), ..DrivenClock::default() }
    }
}

impl fmt::Debug for DrivenClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrivenClock({:?})", self.now())
    }
}

#[async_trait]
impl Clock for DrivenClock {
    fn now(&self) -> Moment {
        Moment::from_origin(*self.now.lock().unwrap())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    async fn sleep_until(&self, deadline: Moment) {
        if let Some(Renewer { client, table, key }) = &self.renewer {
            let call = client.update_item().table_name(table).key("leaseKey", AttributeValue::S(key.clone()));
            let call = call.update_expression("ADD leaseCounter :one");
            call.expression_attribute_values(":one", AttributeValue::N("1".to_owned())).send().await.unwrap();
        }
        let mut now = self.now.lock().unwrap();
        *now = deadline.since_origin().max(*now);
    }
}
