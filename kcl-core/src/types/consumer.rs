//! Registered consumers of a stream: who enhanced fan-out pushes to.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ApplicationName, InvalidId, StreamId};

/// A registered consumer, by its name in the stream or by its ARN.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsumerId {
    text: Arc<str>,
    /// Of an ARN, the stream that it names.
    stream: Option<StreamId>,
}

impl ConsumerId {
    /// A consumer by its name: 1 to 128 characters of `a-z A-Z 0-9 _ . -`. It is registered if it is not there.
    ///
    /// # Errors
    /// [`InvalidId`] with the text and what is wrong with it.
    pub fn by_name(name: &str) -> Result<Self, InvalidId> {
        let problem = match name.len() {
            1..=128 if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) => None,
            1..=128 => Some("only a-z, A-Z, 0-9, '_', '.' and '-' are allowed"),
            _ => Some("it must have 1 to 128 characters"),
        };
        match problem {
            None => Ok(ConsumerId { text: name.into(), stream: None }),
            Some(problem) => Err(InvalidId::new("consumer name", name, problem)),
        }
    }

    /// A consumer that somebody registered, by its ARN:
    /// `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/STREAM/consumer/NAME:SECOND`.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is no ARN of a consumer.
    pub fn by_arn(arn: &str) -> Result<Self, InvalidId> {
        let invalid = |problem| InvalidId::new("consumer ARN", arn, problem);
        let form = "it must read arn:PARTITION:kinesis:REGION:ACCOUNT:stream/STREAM/consumer/NAME:SECOND";
        let (stream, consumer) = arn.split_once("/consumer/").ok_or_else(|| invalid(form))?;
        let stream = StreamId::by_arn(stream).map_err(|_| invalid(form))?;
        let (name, second) = consumer.split_once(':').ok_or_else(|| invalid(form))?;
        ConsumerId::by_name(name).map_err(|_| invalid(form))?;
        if second.is_empty() || !second.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid("it must end with the second in which the consumer was registered"));
        }
        Ok(ConsumerId { text: arn.into(), stream: Some(stream) })
    }

    /// The consumer of an application that names none: of the application's name, as with the KCL. A name too long for a
    /// consumer is cut, and ends with a hash of all of it.
    pub fn of_application(application: &ApplicationName) -> Self {
        let name = application.as_str();
        let text = match name.get(..LONGEST_NAME - HASH_DIGITS - 1) {
            Some(start) if name.len() > LONGEST_NAME => format!("{start}-{:016x}", fnv(name)).into(),
            _ => Arc::from(name),
        };
        ConsumerId { text, stream: None }
    }

    /// The name or the ARN, as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The ARN, if the consumer was given by it.
    pub fn arn(&self) -> Option<&str> {
        self.stream.is_some().then_some(&*self.text)
    }

    /// The stream that the ARN names.
    pub fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }
}

/// FNV-1a, which is the same in every version of this library.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

impl std::str::FromStr for ConsumerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("arn:") { ConsumerId::by_arn(text) } else { ConsumerId::by_name(text) }
    }
}

impl TryFrom<String> for ConsumerId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ConsumerId> for String {
    fn from(id: ConsumerId) -> String {
        id.text.as_ref().to_owned()
    }
}

const LONGEST_NAME: usize = 128;
const HASH_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/audit:1790000000";

    #[test]
    fn a_consumer_is_known_by_name_or_by_arn() {
        let by_name: ConsumerId = "audit".parse().unwrap();
        assert_eq!((by_name.as_str(), by_name.arn(), by_name.stream()), ("audit", None, None));
        let by_arn: ConsumerId = ARN.parse().unwrap();
        assert_eq!((by_arn.as_str(), by_arn.arn()), (ARN, Some(ARN)));
        assert_eq!(by_arn.stream().unwrap().name().as_str(), "orders");
    }

    #[test]
    fn what_is_no_consumer_is_refused_with_its_text() {
        for (text, part) in [
            ("", "1 to 128"),
            ("au dit", "only a-z"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "consumer/NAME"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/audit", "consumer/NAME"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/audit:soon", "second"),
            ("arn:aws:kinesis:eu-west-1:12:stream/orders/consumer/audit:1790000000", "consumer/NAME"),
        ] {
            let error = text.parse::<ConsumerId>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn an_application_has_a_consumer_of_its_name_however_long_that_is() {
        let of = |name: &str| ConsumerId::of_application(&ApplicationName::new(name).unwrap());
        assert_eq!(of("orders-app").as_str(), "orders-app");
        let (long, other) = ("a".repeat(200), format!("{}b", "a".repeat(199)));
        for name in ["x".repeat(128), long.clone(), other.clone(), "y".repeat(255)] {
            assert!(ConsumerId::by_name(of(&name).as_str()).is_ok(), "{name}");
        }
        assert_ne!(of(&long), of(&other));
    }
}
