//! Identifiers: validated once, cheap to clone, never mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it was offered as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {problem}")]
pub struct InvalidId {
    kind: &'static str,
    value: String,
    problem: &'static str,
}

impl InvalidId {
    pub(super) fn new(kind: &'static str, value: &str, problem: &'static str) -> Self {
        // A hostile value must not flood a log line.
        let shown = if value.chars().count() > 200 { value.chars().take(200).collect() } else { value.to_owned() };
        InvalidId { kind, value: shown, problem }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and wraps it.
            ///
            /// # Errors
            /// [`InvalidId`] with the value and what is wrong with it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                match $check(text) {
                    Ok(()) => Ok($name(Arc::from(text))),
                    Err(problem) => Err(InvalidId::new($kind, text, problem)),
                }
            }

            /// The text as it is stored and sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// The name of the application: the lease table's name, and what all workers of one fleet share.
    ///
    /// 3 to 255 characters of `a-z A-Z 0-9 _ . -`, the rule for DynamoDB table names.
    ApplicationName,
    "application name",
    check_application
);
text_id!(
    /// The name of a stream: 1 to 128 characters of `a-z A-Z 0-9 _ . -`.
    StreamName,
    "stream name",
    check_stream_name
);
text_id!(
    /// The id of a shard within its stream, such as `shardId-000000000007`. Alone it identifies nothing: see [`ShardRef`].
    ShardId,
    "shard id",
    check_shard_id
);
text_id!(
    /// The key of a lease row. For one stream it is spelled like the shard id, for several it carries the stream too;
    /// it is never used as a shard id.
    LeaseKey,
    "lease key",
    check_key
);
text_id!(
    /// The id of a worker, unique in the fleet. It is a key of the lease table too, so the keys of the table's other
    /// rows (`Leader`, `Migration3.0`, `TableMigration3.5`) and anything spelled like a shard id are refused.
    WorkerId,
    "worker id",
    check_worker_id
);
text_id!(
    /// A number drawn at each start of a worker process; two processes with one worker id differ in it.
    Incarnation,
    "incarnation",
    check_key
);

fn only(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || allowed(c))
}

fn check_application(text: &str) -> Result<(), &'static str> {
    match text.len() {
        3..=255 if only(text, |c| matches!(c, '_' | '.' | '-')) => Ok(()),
        3..=255 => Err("only a-z, A-Z, 0-9, '_', '.' and '-' are allowed (it names the lease table)"),
        _ => Err("it must have 3 to 255 characters (it names the lease table)"),
    }
}

fn check_stream_name(text: &str) -> Result<(), &'static str> {
    match text.len() {
        1..=128 if only(text, |c| matches!(c, '_' | '.' | '-')) => Ok(()),
        1..=128 => Err("only a-z, A-Z, 0-9, '_', '.' and '-' are allowed"),
        _ => Err("it must have 1 to 128 characters"),
    }
}

fn check_shard_id(text: &str) -> Result<(), &'static str> {
    match text.len() {
        1..=128 if only(text, |c| matches!(c, '_' | '.' | '-')) => Ok(()),
        1..=128 => Err("only a-z, A-Z, 0-9, '_', '.' and '-' are allowed"),
        _ => Err("it must have 1 to 128 characters"),
    }
}

fn check_key(text: &str) -> Result<(), &'static str> {
    match text.len() {
        1..=2048 => Ok(()),
        _ => Err("it must have 1 to 2048 bytes (the limit of a DynamoDB partition key)"),
    }
}

fn check_worker_id(text: &str) -> Result<(), &'static str> {
    check_key(text)?;
    if matches!(text, "Leader" | "Migration3.0" | "TableMigration3.5") {
        return Err("it is the key of another row of the lease table; choose another");
    }
    if text.starts_with("shardId-") || text.contains(":shardId-") {
        return Err("it is spelled like a lease key and would overwrite a lease; choose another");
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed");
    }
    Ok(())
}

/// A stream, by name or by ARN.
///
/// Two ids are equal when they name the same stream in the same way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    name: StreamName,
    arn: Option<Arc<str>>,
}

impl StreamId {
    /// A stream of the account and region that the client is configured for.
    pub fn by_name(name: StreamName) -> Self {
        StreamId { name, arn: None }
    }

    /// A stream by its ARN, `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`; it may belong to another account.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is no ARN of a Kinesis stream.
    pub fn by_arn(arn: &str) -> Result<Self, InvalidId> {
        let invalid = |problem| InvalidId::new("stream ARN", arn, problem);
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let &["arn", partition, "kinesis", region, account, resource] = parts.as_slice() else {
            return Err(invalid("it must read arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME"));
        };
        if partition.is_empty() || region.is_empty() {
            return Err(invalid("partition and region must not be empty"));
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid("the account must have 12 digits"));
        }
        let Some(name) = resource.strip_prefix("stream/") else {
            return Err(invalid("it must end with stream/NAME"));
        };
        Ok(StreamId { name: StreamName::new(name)?, arn: Some(Arc::from(arn)) })
    }

    /// The stream's name, also if it was given by ARN.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The account that owns the stream, if it was given by ARN.
    pub fn account(&self) -> Option<&str> {
        self.arn.as_deref()?.split(':').nth(4)
    }

    /// The ARN, if the stream was given by it.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn.as_deref().unwrap_or(self.name.as_str()))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl std::str::FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("arn:") { StreamId::by_arn(text) } else { StreamName::new(text).map(StreamId::by_name) }
    }
}

impl TryFrom<String> for StreamId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> String {
        id.to_string()
    }
}

/// The identity of a shard: its stream and its id. Shards of different streams carry the same ids.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardRef {
    stream: StreamId,
    id: ShardId,
}

impl ShardRef {
    /// Puts a stream and one of its shard ids together.
    pub fn new(stream: StreamId, id: ShardId) -> Self {
        ShardRef { stream, id }
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The id within the stream.
    pub fn id(&self) -> &ShardId {
        &self.id
    }

    /// The key of this shard's lease in a table that serves one stream.
    pub fn lease_key(&self) -> LeaseKey {
        LeaseKey::of_shard(None, &self.id)
    }
}

impl LeaseKey {
    /// The key of a shard's lease: the shard id alone in a table that serves one stream, after the serialised stream in
    /// one that serves several.
    pub fn of_shard(stream: Option<&str>, shard: &ShardId) -> LeaseKey {
        match stream {
            None => LeaseKey(shard.0.clone()),
            Some(stream) => LeaseKey(format!("{stream}:{shard}").into()),
        }
    }
}

impl fmt::Display for ShardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream.name(), self.id)
    }
}

impl fmt::Debug for ShardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The fencing epoch of a lease: raised by one in every write that begins a tenure or takes the lease from its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One holder's hold on one lease: the lease and the epoch under which it was begun.
///
/// Everything that happens later for the sake of a tenure carries it, so that late answers are recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// The lease that is held.
    pub lease: LeaseKey,
    /// The epoch that the beginning write produced.
    pub epoch: Epoch,
}

impl fmt::Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.lease, self.epoch)
    }
}

/// A number that grows from tenure to tenure of one shard, whoever wrote in between: the lease counter that the write
/// produced which began the tenure. Store it with your side effects and refuse smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_name_or_by_arn() {
        let by_name: StreamId = "orders".parse().unwrap();
        assert_eq!((by_name.name().as_str(), by_name.arn(), by_name.account()), ("orders", None, None));
        let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
        let by_arn: StreamId = arn.parse().unwrap();
        assert_eq!((by_arn.name().as_str(), by_arn.arn()), ("orders", Some(arn)));
        assert_eq!(by_arn.account(), Some("123456789012"));
    }

    #[test]
    fn refused_identifiers_name_the_value_and_the_problem() {
        for (result, part) in [
            (StreamId::by_arn("arn:aws:s3:::x").map(|_| ()), "arn:aws:s3:::x"),
            (StreamId::by_arn("arn:aws:kinesis:eu-west-1:12:stream/x").map(|_| ()), "12 digits"),
            ("or ders".parse::<StreamId>().map(|_| ()), "or ders"),
            ("".parse::<StreamId>().map(|_| ()), "1 to 128"),
            (WorkerId::new("Leader").map(|_| ()), "another row"),
            (WorkerId::new("shardId-000000000001").map(|_| ()), "lease key"),
            (WorkerId::new("").map(|_| ()), "1 to 2048"),
            (ApplicationName::new("ab").map(|_| ()), "3 to 255"),
            (ApplicationName::new("a b c").map(|_| ()), "only a-z"),
        ] {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(part), "{message:?} should contain {part:?}");
        }
    }
}
