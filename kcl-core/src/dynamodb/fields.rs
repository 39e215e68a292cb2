//! Typed reading of one item's attributes. Every refusal names the row, the attribute and its value.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::row_names as a;
use crate::types::RowProblem;

/// A row as DynamoDB returns it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The attributes of one row. Absent attributes are `None` or empty; what is there must have the right type and must not
/// be empty, since nobody writes empty values into this table.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    key: &'a str,
    item: &'a Item,
}

impl<'a> Fields<'a> {
    pub(super) fn new(item: &'a Item) -> Result<Self, RowProblem> {
        let fields = Fields { key: "", item };
        let key = fields.required(a::KEY, fields.text(a::KEY)?)?;
        Ok(Fields { key, item })
    }

    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    pub(super) fn problem(&self, attribute: &str, problem: impl Into<String>) -> RowProblem {
        RowProblem::new(self.key, attribute, problem)
    }

    pub(super) fn required<T>(&self, attribute: &str, value: Option<T>) -> Result<T, RowProblem> {
        value.ok_or_else(|| self.problem(attribute, "it is missing, and no row of this kind is complete without it"))
    }

    /// A text.
    pub(super) fn text(&self, attribute: &str) -> Result<Option<&'a str>, RowProblem> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) if text.is_empty() => Err(self.problem(attribute, "it is an empty text")),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(attribute, "a text (S)", other)),
        }
    }

    /// A text that another type checks.
    pub(super) fn parsed<T, E: Display>(
        &self,
        attribute: &str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, RowProblem> {
        let Some(text) = self.text(attribute)? else { return Ok(None) };
        parse(text).map(Some).map_err(|error| self.problem(attribute, error.to_string()))
    }

    /// A set of texts that another type checks; absent is empty.
    pub(super) fn parsed_set<T: Ord, E: Display>(
        &self,
        attribute: &str,
        parse: impl Fn(&'a str) -> Result<T, E>,
    ) -> Result<std::collections::BTreeSet<T>, RowProblem> {
        let texts = match self.item.get(attribute) {
            None => return Ok(Default::default()),
            Some(AttributeValue::Ss(texts)) => texts,
            Some(other) => return Err(self.wrong_type(attribute, "a set of texts (SS)", other)),
        };
        texts.iter().map(|text| parse(text).map_err(|error| self.problem(attribute, error.to_string()))).collect()
    }

    /// A whole number that is not negative. Java reads 64 bits with a sign, so nothing larger is accepted; that also
    /// leaves room to count on.
    pub(super) fn count(&self, attribute: &str) -> Result<Option<u64>, RowProblem> {
        let Some(number) = self.whole(attribute)? else { return Ok(None) };
        u64::try_from(number).map(Some).map_err(|_| self.problem(attribute, format!("{number} is negative")))
    }

    /// A whole number.
    pub(super) fn whole(&self, attribute: &str) -> Result<Option<i64>, RowProblem> {
        let Some(text) = self.number(attribute)? else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| self.problem(attribute, format!("{} is not a whole number of 64 bits", shortened(text))))
    }

    /// A number that is not negative.
    pub(super) fn amount(&self, attribute: &str) -> Result<Option<f64>, RowProblem> {
        let Some(text) = self.number(attribute)? else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            _ => Err(self.problem(attribute, format!("{} is not a number from 0 on", shortened(text)))),
        }
    }

    fn number(&self, attribute: &str) -> Result<Option<&'a str>, RowProblem> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(attribute, "a number (N)", other)),
        }
    }

    pub(super) fn bytes(&self, attribute: &str) -> Result<Option<Bytes>, RowProblem> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::B(blob)) => Ok(Some(Bytes::copy_from_slice(blob.as_ref()))),
            Some(other) => Err(self.wrong_type(attribute, "bytes (B)", other)),
        }
    }

    fn wrong_type(&self, attribute: &str, expected: &str, found: &AttributeValue) -> RowProblem {
        self.problem(attribute, format!("it must be {expected} but is {}", described(found)))
    }
}

fn described(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("the text {:?}", shortened(text)),
        AttributeValue::N(text) => format!("the number {}", shortened(text)),
        AttributeValue::Bool(flag) => format!("the flag {flag}"),
        AttributeValue::Null(_) => "NULL".to_owned(),
        AttributeValue::B(blob) => format!("{} bytes", blob.as_ref().len()),
        AttributeValue::Ss(texts) => format!("the set {}", shortened(&format!("{texts:?}"))),
        AttributeValue::Ns(numbers) => format!("a set of {} numbers", numbers.len()),
        AttributeValue::Bs(blobs) => format!("a set of {} byte strings", blobs.len()),
        AttributeValue::L(list) => format!("a list of {}", list.len()),
        AttributeValue::M(map) => format!("a map of {}", map.len()),
        _ => "of an unknown type".to_owned(),
    }
}

/// Enough of a value to recognise it, however long a hostile row makes it.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}
