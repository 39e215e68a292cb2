//! One conditional request, put together piece by piece.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::fields::Item;

/// What must hold of a row and what becomes of it, in DynamoDB's expression language.
///
/// All attributes go through placeholders (`#leaseOwner` for `leaseOwner`), since some names are reserved words, and
/// every value gets a placeholder of its own.
#[derive(Debug, Default)]
pub(super) struct Expression {
    names: HashMap<String, String>,
    values: Item,
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    deletes: Vec<String>,
}

impl Expression {
    pub(super) fn require_present(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_exists({name})"));
    }

    pub(super) fn require_absent(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_not_exists({name})"));
    }

    pub(super) fn require_equal(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.conditions.push(format!("{name} = {value}"));
    }

    /// The attribute has this value, or is not there if it was not.
    pub(super) fn require_as_seen(&mut self, attribute: &str, seen: Option<AttributeValue>) {
        match seen {
            Some(value) => self.require_equal(attribute, value),
            None => self.require_absent(attribute),
        }
    }

    pub(super) fn require_different(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.conditions.push(format!("{name} <> {value}"));
    }

    /// The attribute is not there, or has this value.
    pub(super) fn require_absent_or_equal(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} = {value})"));
    }

    /// The attribute has this type, by DynamoDB's letter for it. An absent attribute has none.
    pub(super) fn require_type(&mut self, attribute: &str, letter: &str) {
        let (name, value) = (self.name(attribute), self.value(AttributeValue::S(letter.to_owned())));
        self.conditions.push(format!("attribute_type({name}, {value})"));
    }

    /// The row does not exist, or the attribute has one of these values.
    pub(super) fn require_no_row_or_one_of<const N: usize>(
        &mut self,
        key: &str,
        attribute: &str,
        values: [AttributeValue; N],
    ) {
        let (key, name) = (self.name(key), self.name(attribute));
        let values = values.map(|value| format!(" OR {name} = {}", self.value(value))).concat();
        self.conditions.push(format!("(attribute_not_exists({key}){values})"));
    }

    pub(super) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.sets.push(format!("{name} = {value}"));
    }

    pub(super) fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

    pub(super) fn set_or_remove(&mut self, attribute: &str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    /// Adds to a number, absent counting as 0, or to a set.
    pub(super) fn add(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.adds.push(format!("{name} {value}"));
    }

    /// Takes elements out of a set.
    pub(super) fn delete(&mut self, attribute: &str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.deletes.push(format!("{name} {value}"));
    }

    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(super) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    /// `None` if nothing changes.
    pub(super) fn update(&self) -> Option<String> {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds), ("DELETE", &self.deletes)];
        let clauses: Vec<String> = clauses
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(keyword, parts)| format!("{keyword} {}", parts.join(", ")))
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    pub(super) fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}
