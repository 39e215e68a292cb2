//! Plans as TOML files.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::rule::{Fault, FaultPlan, FaultRule, FaultService};

/// A fault file that cannot be used: where, why, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FaultFileError {
    line: usize,
    problem: String,
}

impl FaultFileError {
    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Reads a plan as `local-aws --faults` does; the README shows the format.
///
/// # Errors
/// With the line and the member, if it is not TOML, has a member it should not have, or a value that makes no sense.
pub fn parse_faults(text: &str) -> Result<FaultPlan, FaultFileError> {
    let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let file: FileText = toml::from_str(text).map_err(|error| FaultFileError {
        line: line_of(error.span().map_or(0, |span| span.start)),
        problem: error.message().to_owned(),
    })?;
    let rule = |rule: RuleText| {
        rule.into_rule().map_err(|(offset, problem)| FaultFileError { line: line_of(offset), problem })
    };
    Ok(FaultPlan { seed: file.seed, rules: file.rule.into_iter().map(rule).collect::<Result<_, _>>()? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    fault: Spanned<String>,
    service: Option<Spanned<String>>,
    operation: Option<String>,
    stream: Option<Spanned<String>>,
    table: Option<Spanned<String>>,
    shard: Option<String>,
    calls: Option<Spanned<String>>,
    every: Option<Spanned<u64>>,
    probability: Option<Spanned<f64>>,
    code: Option<Spanned<String>>,
    status: Option<Spanned<u16>>,
    message: Option<Spanned<String>>,
    delay: Option<Spanned<String>>,
    bytes: Option<Spanned<u64>>,
    age: Option<Spanned<String>>,
}

/// Where in the file, and what.
type Problem = (usize, String);

impl RuleText {
    fn into_rule(self) -> Result<FaultRule, Problem> {
        self.refuse_members_of_other_faults()?;
        let mut rule = FaultRule::new(self.fault()?);
        if let Some(name) = &self.service {
            rule = rule.service(match name.get_ref().as_str() {
                "kinesis" => FaultService::Kinesis,
                "dynamodb" => FaultService::DynamoDb,
                other => {
                    return problem(name, format!("service '{other}' is unknown: write \"kinesis\" or \"dynamodb\""));
                }
            });
        }
        match (&self.stream, &self.table) {
            (Some(_), Some(table)) => {
                return problem(table, "a rule is for a stream or for a table: remove one of stream and table".into());
            }
            (Some(stream), None) => rule = rule.resource(stream.get_ref()).service(FaultService::Kinesis),
            (None, Some(table)) => rule = rule.resource(table.get_ref()).service(FaultService::DynamoDb),
            (None, None) => {}
        }
        if let Some(operation) = self.operation {
            rule = rule.operation(operation);
        }
        if let Some(shard) = self.shard {
            rule = rule.shard(shard).service(FaultService::Kinesis);
        }
        if let Some(calls) = &self.calls {
            let (first, last) = calls_of(calls.get_ref()).ok_or_else(|| {
                let form = "write \"3\", \"3-5\" or \"3-\", counted from 1";
                (calls.span().start, format!("calls '{}' is no range: {form}", calls.get_ref()))
            })?;
            rule = match last {
                Some(last) => rule.calls(first..=last),
                None => rule.calls(first..),
            };
        }
        if let Some(every) = &self.every {
            if *every.get_ref() == 0 {
                return problem(every, "every is 0: write 1 for each call, 2 for each second one".into());
            }
            rule = rule.every(*every.get_ref());
        }
        if let Some(probability) = &self.probability {
            if !(0.0..=1.0).contains(probability.get_ref()) {
                let value = probability.get_ref();
                return problem(probability, format!("probability is {value}: write a number from 0.0 to 1.0"));
            }
            rule = rule.probability(*probability.get_ref());
        }
        Ok(rule)
    }

    fn fault(&self) -> Result<Fault, Problem> {
        let bytes = self.bytes.as_ref().map_or(0, |bytes| *bytes.get_ref());
        Ok(match self.fault.get_ref().as_str() {
            "error" => self.error()?,
            "throttle" => Fault::Throttle,
            "connection-error" => Fault::ConnectionError,
            "lost-answer" => Fault::LostAnswer,
            "late-answer" => Fault::LateAnswer { delay: self.needed("delay", self.delay.as_ref())? },
            "truncated-body" => Fault::TruncatedBody { bytes },
            "stalled-stream" => Fault::StalledStream {
                bytes,
                pause: self.delay.as_ref().map(|delay| duration("delay", delay)).transpose()?,
            },
            "reset" => Fault::Reset { bytes },
            "go-away" => Fault::GoAway,
            "expired-iterator" => Fault::ExpiredIterator,
            "stale-list" => Fault::StaleList { age: self.needed("age", self.age.as_ref())? },
            other => {
                let known: Vec<_> = MEMBERS.iter().map(|(name, _)| *name).collect();
                return problem(&self.fault, format!("fault '{other}' is unknown: write one of {}", known.join(", ")));
            }
        })
    }

    fn error(&self) -> Result<Fault, Problem> {
        let code = self.code.as_ref().map_or("InternalFailure", |code| code.get_ref().as_str());
        let status = self.status.as_ref().map_or(500, |status| *status.get_ref());
        if let Some(wrong) = self.status.as_ref().filter(|_| !(400..600).contains(&status)) {
            return problem(wrong, format!("status is {status}: write 400 to 599, those of errors"));
        }
        let message = self.message.as_ref().map_or("An error by a fault rule.", |message| message.get_ref().as_str());
        Ok(Fault::Error { code: code.to_owned(), status, message: message.to_owned() })
    }

    fn needed(&self, member: &str, value: Option<&Spanned<String>>) -> Result<Duration, Problem> {
        match value {
            Some(value) => duration(member, value),
            None => {
                let fault = self.fault.get_ref();
                problem(&self.fault, format!("fault '{fault}' needs the member {member}, such as {member} = \"5s\""))
            }
        }
    }

    /// A member that does nothing is a mistake that nobody would find.
    fn refuse_members_of_other_faults(&self) -> Result<(), Problem> {
        let given = [
            ("code", self.code.as_ref().map(Spanned::span)),
            ("status", self.status.as_ref().map(Spanned::span)),
            ("message", self.message.as_ref().map(Spanned::span)),
            ("delay", self.delay.as_ref().map(Spanned::span)),
            ("bytes", self.bytes.as_ref().map(Spanned::span)),
            ("age", self.age.as_ref().map(Spanned::span)),
        ];
        let fault = self.fault.get_ref().as_str();
        let Some((_, allowed)) = MEMBERS.iter().find(|(name, _)| *name == fault) else { return Ok(()) };
        for (member, span) in given {
            if let Some(span) = span.filter(|_| !allowed.contains(&member)) {
                return Err((span.start, format!("fault '{fault}' has no member {member}: remove it")));
            }
        }
        Ok(())
    }
}

fn problem<T, V>(at: &Spanned<V>, problem: String) -> Result<T, Problem> {
    Err((at.span().start, problem))
}

fn calls_of(text: &str) -> Option<(u64, Option<u64>)> {
    let number = |text: &str| text.trim().parse().ok().filter(|number| *number > 0);
    match text.split_once('-') {
        None => number(text).map(|only| (only, Some(only))),
        Some((first, "")) => number(first).map(|first| (first, None)),
        Some((first, last)) => {
            Some((number(first)?, Some(number(last)?))).filter(|(first, last)| Some(*first) <= *last)
        }
    }
}

fn duration(member: &str, text: &Spanned<String>) -> Result<Duration, Problem> {
    let value = text.get_ref();
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let millis = match &value[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    match (digits.trim().parse::<u64>(), millis) {
        (Ok(number), Some(millis)) => Ok(Duration::from_millis(number.saturating_mul(millis))),
        _ => problem(text, format!("{member} '{value}' is no duration: write \"250ms\", \"5s\", \"2m\" or \"1h\"")),
    }
}

/// The faults by name, with the members that each takes.
const MEMBERS: [(&str, &[&str]); 11] = [
    ("error", &["code", "status", "message"]),
    ("throttle", &[]),
    ("connection-error", &[]),
    ("lost-answer", &[]),
    ("late-answer", &["delay"]),
    ("truncated-body", &["bytes"]),
    ("stalled-stream", &["bytes", "delay"]),
    ("reset", &["bytes"]),
    ("go-away", &[]),
    ("expired-iterator", &[]),
    ("stale-list", &["age"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_code_could_say() {
        let text = r#"
            seed = 7
            [[rule]]
            operation = "GetRecords"
            shard = "shardId-000000000001"
            calls = "3-5"
            fault = "error"
            code = "ServiceUnavailable"
            status = 503
            [[rule]]
            service = "dynamodb"
            table = "leases"
            probability = 0.5
            every = 2
            fault = "late-answer"
            delay = "250ms"
            [[rule]]
            fault = "stalled-stream"
            bytes = 100
        "#;
        let error = Fault::Error {
            code: "ServiceUnavailable".into(),
            status: 503,
            message: "An error by a fault rule.".into(),
        };
        let late = Fault::LateAnswer { delay: Duration::from_millis(250) };
        let rules = vec![
            FaultRule::new(error)
                .operation("GetRecords")
                .shard("shardId-000000000001")
                .calls(3..=5)
                .service(FaultService::Kinesis),
            FaultRule::new(late).service(FaultService::DynamoDb).resource("leases").probability(0.5).every(2),
            FaultRule::new(Fault::StalledStream { bytes: 100, pause: None }),
        ];
        assert_eq!(parse_faults(text), Ok(FaultPlan { seed: 7, rules }));
        assert_eq!(parse_faults(""), Ok(FaultPlan::default()));
    }

    #[test]
    fn mistakes_are_named_with_line_member_and_cure() {
        let check = |text: &str, expected: &[&str]| {
            let error = parse_faults(text).unwrap_err().to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{text:?}: {error}");
        };
        check("[[rule]]\nfault = \"explode\"", &["line 2", "'explode'", "lost-answer"]);
        check("[[rule]]\nfault = \"reset\"\n\nprobability = 2.0", &["line 4", "probability is 2", "0.0 to 1.0"]);
        check("[[rule]]\nfault = \"reset\"\ncalls = \"5-3\"", &["line 3", "calls '5-3'", "3-5"]);
        check("[[rule]]\nfault = \"late-answer\"", &["line 2", "delay", "5s"]);
        check("[[rule]]\nfault = \"late-answer\"\ndelay = \"5 parsecs\"", &["line 3", "delay", "250ms"]);
        check("[[rule]]\nfault = \"throttle\"\nbytes = 7", &["line 3", "no member bytes"]);
        check("[[rule]]\nfault = \"error\"\nstatus = 200", &["line 3", "status is 200"]);
        check("[[rule]]\nfault = \"reset\"\nservice = \"s3\"", &["line 3", "'s3'", "dynamodb"]);
        check("[[rule]]\nfault = \"reset\"\nevery = 0", &["line 3", "every is 0"]);
        check("[[rule]]\nfault = \"reset\"\nstream = \"a\"\ntable = \"b\"", &["line 4", "stream and table"]);
        check("seed = 1\nsped = 2", &["line 2", "sped"]);
        check("[[rule]]\noperation = \"x\"", &["fault"]);
        check("seed = ", &["line 1"]);
    }
}
