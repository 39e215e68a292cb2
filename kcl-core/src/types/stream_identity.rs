//! What tells a stream from all others, also from one of the same name that was deleted.

use std::fmt;
use std::sync::Arc;

use super::{InvalidId, StreamName, Timestamp};

/// A stream as it stands in the keys of a table that serves several: `ACCOUNT:NAME:CREATED`, the form of the KCL. `CREATED`
/// is when it was created, in seconds since 1970: a stream that was deleted and created again is another one.
///
/// Regions are not told apart: a stream of the same name, made in the same second in another region of the account, has the
/// same identity, and needs a table of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamIdentity {
    text: Arc<str>,
    name: StreamName,
}

impl StreamIdentity {
    /// Of a stream of this account, created in this second.
    ///
    /// # Errors
    /// [`InvalidId`] if the account is no number, or if the creation lies before 1970.
    pub fn new(account: &str, name: &StreamName, created: Timestamp) -> Result<Self, InvalidId> {
        format!("{account}:{name}:{}", created.as_seconds()).parse()
    }

    /// The text as it stands in the table.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The stream's name.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The account that owns the stream.
    pub fn account(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }
}

impl std::str::FromStr for StreamIdentity {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = |problem| InvalidId::new("stream identity", text, problem);
        let parts: Vec<&str> = text.split(':').collect();
        let &[account, name, created] = parts.as_slice() else {
            return Err(invalid("it must read ACCOUNT:NAME:CREATED"));
        };
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(account) {
            return Err(invalid("the account must be a number"));
        }
        if !is_number(created) || created.bytes().all(|byte| byte == b'0') {
            return Err(invalid("it must end with the creation time in seconds, above 0"));
        }
        Ok(StreamIdentity { name: StreamName::new(name)?, text: Arc::from(text) })
    }
}

impl fmt::Display for StreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_spelled_as_the_kcl_spells_it() {
        let name = StreamName::new("orders").unwrap();
        let identity = StreamIdentity::new("123456789012", &name, Timestamp::from_millis(1_700_000_000_750)).unwrap();
        assert_eq!(identity.as_str(), "123456789012:orders:1700000000");
        assert_eq!((identity.account(), identity.name()), ("123456789012", &name));
        assert_eq!("123456789012:orders:1700000000".parse(), Ok(identity));
    }

    #[test]
    fn what_is_no_identity_is_refused_with_the_reason() {
        for (text, part) in [
            ("orders", "ACCOUNT:NAME:CREATED"),
            ("1:orders:2:shardId-0", "ACCOUNT:NAME:CREATED"),
            ("me:orders:2", "account"),
            (":orders:2", "account"),
            ("1:or ders:2", "stream name"),
            ("1:orders:0", "creation time"),
            ("1:orders:-2", "creation time"),
            ("1:orders:", "creation time"),
        ] {
            let error = text.parse::<StreamIdentity>().unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} should contain {part:?}");
        }
    }
}
