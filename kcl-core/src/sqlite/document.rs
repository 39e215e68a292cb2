//! A row's JSON document, read member by member. Strict, because a row that is misread loses records, and precise, because
//! somebody must repair it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::row_names as a;
use crate::types::{Projection, RowProblem};

pub(super) struct Document<'a> {
    key: &'a str,
    members: Map<String, Value>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(key: &'a str, document: &[u8]) -> Result<Self, RowProblem> {
        match serde_json::from_slice(document) {
            Ok(Value::Object(members)) => Ok(Document { key, members }),
            Ok(other) => Err(RowProblem::new(key, DOCUMENT, format!("{} is no JSON object", shown(&other)))),
            Err(error) => Err(RowProblem::new(key, DOCUMENT, format!("it is no JSON: {error}"))),
        }
    }

    /// Drops what the projection leaves out, so that nothing there can make a row unreadable.
    pub(super) fn project(&mut self, projection: Projection) {
        if projection == Projection::Planning {
            a::NOT_FOR_PLANNING.iter().for_each(|name| drop(self.members.remove(*name)));
        }
    }

    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    pub(super) fn problem(&self, name: &str, problem: impl Into<String>) -> RowProblem {
        RowProblem::new(self.key, name, problem)
    }

    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, RowProblem> {
        value.ok_or_else(|| self.problem(name, "it is missing"))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, RowProblem> {
        self.member(name, "a text", Value::as_str)
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, RowProblem> {
        self.member(name, "a whole number of 64 bits, 0 or above", Value::as_u64)
    }

    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, RowProblem> {
        self.member(name, "a whole number of 64 bits", Value::as_i64)
    }

    pub(super) fn amount(&self, name: &str) -> Result<Option<f64>, RowProblem> {
        self.member(name, "a number", Value::as_f64)
    }

    /// A text that must be a `T`.
    pub(super) fn parsed<'d, T, E: ToString>(
        &'d self,
        name: &str,
        parse: impl Fn(&'d str) -> Result<T, E>,
    ) -> Result<Option<T>, RowProblem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(text).map(Some).map_err(|error| self.problem(name, error.to_string()))
    }

    /// A list of texts each of which must be a `T`; an absent one is empty.
    pub(super) fn parsed_set<'d, T: Ord, E: ToString>(
        &'d self,
        name: &str,
        parse: impl Fn(&'d str) -> Result<T, E>,
    ) -> Result<BTreeSet<T>, RowProblem> {
        let list = self.member(name, "a list", Value::as_array)?;
        let element = |value: &'d Value| match value.as_str() {
            None => Err(self.problem(name, format!("{} in it is no text", shown(value)))),
            Some(text) => parse(text).map_err(|error| self.problem(name, error.to_string())),
        };
        list.into_iter().flatten().map(element).collect()
    }

    /// `null` counts as absent.
    fn member<'d, T>(
        &'d self,
        name: &str,
        expected: &str,
        read: impl Fn(&'d Value) -> Option<T>,
    ) -> Result<Option<T>, RowProblem> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.problem(name, format!("{} is not {expected}", shown(value)))),
            },
        }
    }
}

/// A value in a message, short enough for a log line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// What a problem names as attribute if the document as a whole is wrong.
const DOCUMENT: &str = "document";
