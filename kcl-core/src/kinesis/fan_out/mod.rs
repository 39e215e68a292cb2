//! Enhanced fan-out: the service pushes the records of a shard to a registered consumer.
//!
//! | file | knows |
//! |---|---|
//! | `subscription` | when a subscription is opened, how long silence may last, what an ending means; pure |
//! | `events` | what an event brings, and the position behind it; pure |
//! | `pace` | how the openings of many shards are spread; pure |
//! | `registration`, `consumers` | finding or registering the consumer, once for all shards |
//! | `reader` | one shard's subscription over the SDK, driven by `subscription` |
//! | `told` | what logs and metrics are told of it |

mod consumers;
mod events;
mod pace;
mod reader;
mod registration;
mod subscription;
mod told;

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;

use self::consumers::Consumers;
use self::pace::Pace;
pub(crate) use self::reader::FanOutReader;
use self::told::Told;
use super::allowance::{TooLarge, Turns};
use super::{KinesisClients, reading};
use crate::ports::Clock;
use crate::types::{ConsumerId, Moment};

/// What the subscriptions of all shards share.
#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) consumers: Consumers,
    pub(crate) told: Told,
    client: Client,
    turns: Turns,
    too_large: TooLarge,
    pace: Mutex<Pace>,
}

impl FanOut {
    /// Subscriptions of this consumer. Metrics carry these labels.
    pub(crate) fn new(
        clients: &KinesisClients,
        consumer: ConsumerId,
        clock: Arc<dyn Clock>,
        labels: &[(&'static str, String)],
    ) -> Self {
        FanOut {
            consumers: Consumers::new(clients.control.clone(), Arc::clone(&clock), consumer),
            clock,
            told: Told::new(labels),
            client: reading(&clients.subscriptions, &clients.codec),
            turns: Turns::new(1),
            // On a connection with all other calls an event that waits for its turn would hold up the one that has it.
            too_large: if clients.apart { TooLarge::InTurn } else { TooLarge::Receive },
            pace: Mutex::default(),
        }
    }

    /// When an opening that could begin `now` may begin.
    fn place(&self, now: Moment, random: u64) -> Moment {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).place(now, random)
    }
}
