//! Items from DynamoDB JSON, among them those of the Java library.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::dynamodb::fields::Item;

/// One row for each state that the Java library was seen to write, with its name.
pub(super) fn java_rows() -> Vec<(String, Item)> {
    let lines = include_str!("../../../tests/data/kcl-3.5.1/rows.jsonl").lines();
    lines.map(parsed).map(|line| (line["name"].as_str().unwrap().to_owned(), item(&line["item"]))).collect()
}

/// Every state of nine rows over the life of a Java fleet.
pub(super) fn java_history() -> Vec<Item> {
    include_str!("../../../tests/data/kcl-3.5.1/history.jsonl")
        .lines()
        .map(parsed)
        .map(|line| item(&line["item"]))
        .collect()
}

/// The Java row with this name.
pub(super) fn java_row(name: &str) -> Item {
    java_rows().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no row {name:?}")).1
}

/// An item written by hand in DynamoDB JSON.
pub(super) fn item_of(json: &str) -> Item {
    item(&parsed(json))
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
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "NULL" => AttributeValue::Null(true),
        other => panic!("attribute type {other}"),
    }
}

/// The item with numbers as numbers and sets in order, so that two spellings of the same values are equal.
pub(super) fn normal(item: &Item) -> Item {
    let normal = |value: &AttributeValue| match value {
        AttributeValue::N(text) if text.contains('.') => {
            AttributeValue::N(text.trim_end_matches('0').trim_end_matches('.').to_owned())
        }
        AttributeValue::Ss(texts) => {
            let mut texts = texts.clone();
            texts.sort();
            AttributeValue::Ss(texts)
        }
        other => other.clone(),
    };
    item.iter().map(|(name, value)| (name.clone(), normal(value))).collect()
}
