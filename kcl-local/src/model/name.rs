//! Names and ARNs.

use super::error::ServiceError;

/// Whose streams these are: the account and region that appear in ARNs and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// A region such as `us-east-1`.
    pub region: String,
}

impl Default for Account {
    fn default() -> Self {
        Self { id: "000000000000".to_owned(), region: "us-east-1".to_owned() }
    }
}

impl Account {
    /// The ARN of the stream with this name.
    #[must_use]
    pub fn stream_arn(&self, name: &str) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{name}", self.region, self.id)
    }

    /// The name of the stream with this ARN.
    ///
    /// # Errors
    /// `ValidationException` if it is not the ARN of a stream, `ResourceNotFoundException` if it belongs to another
    /// account or region.
    pub fn stream_name_of<'a>(&self, arn: &'a str) -> Result<&'a str, ServiceError> {
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (scheme, partition, service, region, id, resource) = (part(), part(), part(), part(), part(), part());
        let name = resource.strip_prefix("stream/").filter(|name| is_stream_name(name));
        let Some(name) = name.filter(|_| scheme == "arn" && partition.starts_with("aws") && service == "kinesis")
        else {
            return Err(ServiceError::validation(format!(
                "1 validation error detected: Value '{arn}' at 'streamARN' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{{12}}:stream/\\S+"
            )));
        };
        if region != self.region || id != self.id {
            return Err(ServiceError::not_found(format!(
                "Stream {name} under account {id} not found: this is account {} in {}",
                self.id, self.region
            )));
        }
        Ok(name)
    }
}

/// Whether the service would take this as the name of a stream: 1 to 128 of `a-zA-Z0-9_.-`.
#[must_use]
pub fn is_stream_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_name_their_stream() {
        let account = Account::default();
        assert_eq!(account.stream_name_of(&account.stream_arn("a.b-c_d")), Ok("a.b-c_d"));
        let code = |arn: &str| account.stream_name_of(arn).unwrap_err().code().as_str();
        assert_eq!(code("orders"), "ValidationException");
        assert_eq!(code("arn:aws:kinesis:us-east-1:000000000000:stream/"), "ValidationException");
        assert_eq!(code("arn:aws:sqs:us-east-1:000000000000:stream/a"), "ValidationException");
        assert_eq!(code("arn:aws:kinesis:eu-west-1:000000000000:stream/a"), "ResourceNotFoundException");
    }
}
