//! One way to read every setting from text, whether it comes from the environment or from a file.

use std::time::Duration;

use crate::types::{ApplicationName, ConsumerId, StreamId, Timestamp, WorkerId};

use super::{AssignmentKind, CorruptAggregates, InitialPosition, ReadLimit, ReaderKind};

/// Reads a duration such as `10s`, `500ms` or `1m 30s`.
///
/// # Errors
/// A message that names the text and shows the form.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    static PARSER: jiff::fmt::friendly::SpanParser = jiff::fmt::friendly::SpanParser::new();
    PARSER
        .parse_unsigned_duration(text.trim())
        .map_err(|_| format!("{text:?} is no duration; write it like 10s, 500ms or 1m 30s"))
}

/// Reads a number of bytes such as `1048576`, `64KiB`, `256MiB` or `1GiB`.
///
/// # Errors
/// A message that names the text and shows the form.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let unit = match trimmed[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let problem = || format!("{text:?} is no number of bytes; write it like 1048576, 64KiB, 256MiB or 1GiB");
    let number: u64 = trimmed[..digits].parse().map_err(|_| problem())?;
    if unit == 0 { Err(problem()) } else { number.checked_mul(unit).ok_or_else(problem) }
}

/// A value that a setting can have, read from text.
pub(super) trait SettingValue: Sized {
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! by_from_str {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse::<$type>().map_err(|error| error.to_string())
            }
        }
    )*};
}

by_from_str!(ApplicationName, ConsumerId, StreamId, WorkerId, AssignmentKind, InitialPosition, ReaderKind);

impl SettingValue for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text)
    }
}

impl SettingValue for Bytes {
    fn parse(text: &str) -> Result<Self, String> {
        parse_bytes(text).map(Bytes)
    }
}

impl SettingValue for u64 {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("{text:?} is no whole number"))
    }
}

impl SettingValue for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("{text:?} is no number"))
    }
}

impl SettingValue for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl SettingValue for CorruptAggregates {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "stop" => Ok(CorruptAggregates::Stop),
            "deliver" => Ok(CorruptAggregates::Deliver),
            _ => Err(format!("{text:?} is no way to treat corrupt aggregates; choose stop or deliver")),
        }
    }
}

impl SettingValue for ReadLimit {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "service" => Ok(ReadLimit::Service),
            "none" => Ok(ReadLimit::None),
            _ => Err(format!("{text:?} is no read limit; choose service or none")),
        }
    }
}

/// A number of bytes; a type of its own so that text may carry a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl From<u64> for Bytes {
    fn from(bytes: u64) -> Self {
        Bytes(bytes)
    }
}

impl std::str::FromStr for InitialPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trim-horizon" | "TRIM_HORIZON" => Ok(InitialPosition::TrimHorizon),
            "latest" | "LATEST" => Ok(InitialPosition::Latest),
            instant => match instant.parse::<jiff::Timestamp>() {
                Ok(stamp) => Ok(InitialPosition::AtTimestamp(Timestamp::from_millis(stamp.as_millisecond()))),
                Err(_) => Err(format!(
                    "{text:?} is no start; choose trim-horizon, latest or an instant like 2026-01-31T12:00:00Z"
                )),
            },
        }
    }
}

impl std::str::FromStr for AssignmentKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "count" => Ok(AssignmentKind::Count),
            "load" => Ok(AssignmentKind::Load),
            _ => Err(format!("{text:?} is no way to assign leases; choose count or load")),
        }
    }
}

impl std::str::FromStr for ReaderKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "polling" => Ok(ReaderKind::Polling),
            "fanout" => Ok(ReaderKind::FanOut),
            "auto" => Ok(ReaderKind::Auto),
            _ => Err(format!("{text:?} is no reader; choose polling, fanout or auto")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse_duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(parse_duration(" 500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1m 30s").unwrap(), Duration::from_secs(90));
        for wrong in ["10", "", "-1s", "ten seconds", "10 parsecs"] {
            assert!(parse_duration(wrong).unwrap_err().contains("10s, 500ms"), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_may_carry_a_unit() {
        assert_eq!(parse_bytes("1048576").unwrap(), 1 << 20);
        assert_eq!(parse_bytes("256MiB").unwrap(), 256 << 20);
        assert_eq!(parse_bytes("1 GiB").unwrap(), 1 << 30);
        for wrong in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_start_is_a_name_or_an_instant() {
        assert_eq!("trim-horizon".parse(), Ok(InitialPosition::TrimHorizon));
        assert_eq!("latest".parse(), Ok(InitialPosition::Latest));
        let instant = InitialPosition::AtTimestamp(Timestamp::from_millis(1_500));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(instant));
        assert!("yesterday".parse::<InitialPosition>().unwrap_err().contains("yesterday"));
    }
}
