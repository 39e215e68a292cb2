//! A shard with numbered records, and a script of what happens to each GetRecords call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_types::base64;
use serde_json::{Value, json};

use super::{Call, Fake, Reply};

/// What one GetRecords call meets. The calls after the script are answered with all there is.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// At most so many records.
    Answer(usize),
    /// The iterator is older than five minutes.
    Expired,
    /// Anything else.
    Reply(Reply),
}

#[derive(Debug)]
pub(super) struct Shard {
    records: Vec<Value>,
    closed: bool,
    children: Option<Value>,
    turns: Mutex<VecDeque<Turn>>,
    iterator_turns: Mutex<VecDeque<Reply>>,
    /// What the answers say of the lag; the truth if absent.
    lag: Option<Value>,
}

/// A number as long as real ones.
pub(super) fn sequence(n: usize) -> String {
    format!("4968042650581018504573278262428961227405679458{n:010}")
}

impl Shard {
    /// `count` records, numbered from 1, and the shard is closed behind them.
    pub(super) fn closed(count: usize) -> Self {
        Shard { closed: true, ..Shard::open(count) }
    }

    pub(super) fn open(count: usize) -> Self {
        let records = (1..=count).map(|n| {
            json!({
                "SequenceNumber": sequence(n),
                "Data": base64::encode(format!("record {n}")),
                "PartitionKey": format!("key-{n}"),
                "ApproximateArrivalTimestamp": 1_790_000_000.123,
                "EncryptionType": if n % 2 == 0 { "KMS" } else { "NONE" },
            })
        });
        Shard {
            records: records.collect(),
            closed: false,
            children: None,
            turns: Mutex::default(),
            iterator_turns: Mutex::default(),
            lag: None,
        }
    }

    pub(super) fn with_children(mut self, children: Value) -> Self {
        self.children = Some(children);
        self
    }

    pub(super) fn with_turns(self, turns: impl IntoIterator<Item = Turn>) -> Self {
        self.turns.lock().unwrap().extend(turns);
        self
    }

    /// What the next GetShardIterator calls meet.
    pub(super) fn with_iterator_turns(self, turns: impl IntoIterator<Item = Reply>) -> Self {
        self.iterator_turns.lock().unwrap().extend(turns);
        self
    }

    /// Every answer claims this lag.
    pub(super) fn with_lag(mut self, lag: Value) -> Self {
        self.lag = Some(lag);
        self
    }

    pub(super) fn serve(self) -> Fake {
        let shard = Arc::new(self);
        Fake::new(move |call| match call.operation.as_str() {
            "GetShardIterator" => shard.iterator(call),
            "GetRecords" => shard.answer(call),
            other => Reply::Error(400, "UnknownOperationException", Box::leak(other.to_owned().into_boxed_str())),
        })
    }

    /// An iterator is the number of records before it.
    fn iterator(&self, call: &Call) -> Reply {
        if let Some(reply) = self.iterator_turns.lock().unwrap().pop_front() {
            return reply;
        }
        let start = call.text("StartingSequenceNumber");
        let index = match call.text("ShardIteratorType") {
            Some("TRIM_HORIZON" | "AT_TIMESTAMP") => 0,
            Some("AT_SEQUENCE_NUMBER") => self.before(start, |record, start| record < start),
            Some("AFTER_SEQUENCE_NUMBER") => self.before(start, |record, start| record <= start),
            _ => return Reply::Error(400, "InvalidArgumentException", "no such iterator type"),
        };
        Reply::Json(json!({ "ShardIterator": index.to_string() }))
    }

    fn before(&self, start: Option<&str>, holds: impl Fn(&str, &str) -> bool) -> usize {
        let start = start.unwrap_or_default();
        self.records.partition_point(|record| holds(record["SequenceNumber"].as_str().unwrap_or_default(), start))
    }

    fn answer(&self, call: &Call) -> Reply {
        let turn = self.turns.lock().unwrap().pop_front();
        let most = match turn {
            Some(Turn::Expired) => {
                return Reply::Error(
                    400,
                    "ExpiredIteratorException",
                    "Iterator expired. The iterator was created long ago",
                );
            }
            Some(Turn::Reply(reply)) => return reply,
            Some(Turn::Answer(most)) => most,
            None => usize::MAX,
        };
        let Some(from) = call.text("ShardIterator").and_then(|text| text.parse::<usize>().ok()) else {
            return Reply::Error(400, "InvalidArgumentException", "Invalid ShardIterator.");
        };
        let limit = call.body["Limit"].as_u64().unwrap_or(10_000) as usize;
        let to = from.saturating_add(limit.min(most)).min(self.records.len());
        Reply::Json(self.page(from, to))
    }

    fn page(&self, from: usize, to: usize) -> Value {
        let left = self.records.len() - to;
        let mut answer = json!({
            "Records": self.records[from..to],
            "MillisBehindLatest": self.lag.clone().unwrap_or_else(|| json!(left * 1_000)),
        });
        if left == 0 && self.closed {
            answer["NextShardIterator"] = Value::Null;
            if let Some(children) = &self.children {
                answer["ChildShards"] = children.clone();
            }
        } else {
            answer["NextShardIterator"] = json!(to.to_string());
        }
        answer
    }
}
