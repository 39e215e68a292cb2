//! Who may name whom.

use crate::Violation;
use crate::paths::{NamedPath, paths};
use crate::source::{Kind, Source};

/// A top-level module of the library, and which others it may name besides itself.
struct Layer {
    name: &'static str,
    may_name: &'static [&'static str],
    rule: &'static str,
}

const fn layer(name: &'static str, may_name: &'static [&'static str], rule: &'static str) -> Layer {
    Layer { name, may_name, rule }
}

const ADAPTER: &[&str] = &["types", "ports", "settings", "row_names"];
const ADAPTER_RULE: &str = "adapters know values and traits, and neither decisions, nor the runtime, nor one another";

/// From the bottom to the top.
const LAYERS: &[Layer] = &[
    layer("types", &[], "values know nothing else of ours"),
    layer("settings", &["types"], "settings are values over `types`"),
    layer("ports", &["types"], "traits stand beside the decisions and know values only"),
    layer("plan", &["types", "settings"], "decisions know values and settings, and not the life of a shard"),
    layer("shard", &["types", "settings"], "decisions know values and settings, and not the planning"),
    layer("row_names", &[], "names of rows need nothing"),
    layer("metric_definitions", &[], "names of metrics need nothing"),
    layer("error", &["types", "ports", "settings"], "what a worker answers names no part of it"),
    layer("memory", ADAPTER, ADAPTER_RULE),
    layer("sqlite", ADAPTER, ADAPTER_RULE),
    layer("dynamodb", ADAPTER, ADAPTER_RULE),
    layer("kinesis", &["types", "ports", "settings", "metric_definitions"], ADAPTER_RULE),
    layer(
        "runtime",
        &["types", "settings", "ports", "plan", "shard", "error", "metric_definitions", "row_names"],
        "the runtime knows stores, streams and clocks as traits only, and never who builds it",
    ),
    layer(
        "testing",
        &["types", "ports", "settings", "memory", "plan"],
        "what users test their own parts with knows the seams, and the decisions that checkers explore",
    ),
    layer(
        "worker",
        &[
            "types",
            "settings",
            "ports",
            "error",
            "metric_definitions",
            "memory",
            "sqlite",
            "dynamodb",
            "kinesis",
            "runtime",
        ],
        "the builder puts parts together; it does not plan",
    ),
];

/// Modules without any waiting, time, chance or telling.
const PURE: &[&str] = &["types", "settings", "plan", "shard"];
const PURE_RULE: &str = "pure modules neither wait nor tell anybody; time and chance are arguments";
/// Crates that wait, tell or draw.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "tokio_util",
    "tokio_stream",
    "futures_util",
    "async_trait",
    "tracing",
    "metrics",
    "fastrand",
    "rustix",
    "rusqlite",
];

const AWS_CLIENTS: &[&str] = &["dynamodb", "kinesis", "worker"];
const AWS_RULE: &str = "only the adapters, and the builder that is given clients, know AWS clients";

/// The modules that have a place.
pub(crate) fn modules() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().map(|layer| layer.name)
}

pub(crate) fn violations(source: &Source) -> Vec<Violation> {
    if source.module() == "lib" {
        return Vec::new();
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == source.module()) else {
        return vec![Violation::new(source, 1, source.module(), "this module has no place among the layers yet")];
    };
    let paths = paths(source);
    let mut found: Vec<Violation> = paths.iter().filter_map(|path| own_module(source, layer, path)).collect();
    found.extend(paths.iter().filter_map(|path| other_crate(source, path)));
    if PURE.contains(&layer.name) {
        let waiting = source.tokens.iter().filter_map(|token| match &token.kind {
            Kind::Word(word) if word == "async" || word == "await" => Some((token.line, word)),
            _ => None,
        });
        found.extend(waiting.map(|(line, word)| Violation::new(source, line, word.as_str(), PURE_RULE)));
    }
    found
}

fn own_module(source: &Source, layer: &Layer, path: &NamedPath) -> Option<Violation> {
    let target = path.in_crate(source)?;
    let [module, ..] = target.as_slice() else { return None };
    if module == layer.name || layer.may_name.contains(&module.as_str()) {
        return None;
    }
    let known = LAYERS.iter().any(|layer| layer.name == module);
    let rule = if known { layer.rule } else { "a path from the root hides which layer it leads to: name the module" };
    Some(Violation::new(source, path.line, path.text(), rule))
}

fn other_crate(source: &Source, path: &NamedPath) -> Option<Violation> {
    let head = path.segments.first()?.as_str();
    let rule = if PURE.contains(&source.module()) && IMPURE_CRATES.contains(&head) {
        PURE_RULE
    } else if head.starts_with("aws_sdk_") && !AWS_CLIENTS.contains(&source.module()) {
        AWS_RULE
    } else {
        return None;
    };
    Some(Violation::new(source, path.line, path.text(), rule))
}
