//! Rows of the Java library as items.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// One row for each state that the Java library was seen to write, with its name.
pub(crate) fn java_rows() -> Vec<(String, Item)> {
    let lines = include_str!("../../../kcl-core/tests/data/kcl-3.5.1/rows.jsonl").lines();
    lines.map(parsed).map(|line| (line["name"].as_str().unwrap().to_owned(), item(&line["item"]))).collect()
}

/// The last state of each row of a Java fleet: the table as it leaves it.
pub(crate) fn java_table() -> Vec<Item> {
    let lines = include_str!("../../../kcl-core/tests/data/kcl-3.5.1/history.jsonl").lines();
    let rows: HashMap<String, Item> =
        lines.map(parsed).map(|line| item(&line["item"])).map(|item| (key_of(&item), item)).collect();
    rows.into_values().collect()
}

/// An item written by hand in DynamoDB JSON.
pub(crate) fn item_of(json: &str) -> Item {
    item(&parsed(json))
}

pub(crate) fn key_of(item: &Item) -> String {
    item["leaseKey"].as_s().unwrap().clone()
}

/// Whether two attributes have the same value: numbers as numbers, sets in any order.
pub(crate) fn same(one: Option<&AttributeValue>, other: Option<&AttributeValue>) -> bool {
    match (one, other) {
        (Some(AttributeValue::N(one)), Some(AttributeValue::N(other))) => plain(one) == plain(other),
        (Some(AttributeValue::Ss(one)), Some(AttributeValue::Ss(other))) => {
            let (mut one, mut other) = (one.clone(), other.clone());
            one.sort();
            other.sort();
            one == other
        }
        (one, other) => one == other,
    }
}

fn plain(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn item(json: &Value) -> Item {
    json.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(json: &Value) -> AttributeValue {
    let (letter, value) = json.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    let list = || value.as_array().unwrap().iter();
    match letter.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "B" => AttributeValue::B(Blob::new(aws_smithy_types::base64::decode(text()).unwrap())),
        "SS" => AttributeValue::Ss(list().map(|value| value.as_str().unwrap().to_owned()).collect()),
        "L" => AttributeValue::L(list().map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        other => panic!("attribute type {other}"),
    }
}
