//! What only one file may do: start tasks, read a clock, draw a seed, spell a name.

use crate::Violation;
use crate::paths::{NamedPath, paths};
use crate::source::{Kind, Source};

/// Something that is done in few places only.
struct Place {
    /// Files and folders where it is done.
    only: &'static [&'static str],
    rule: &'static str,
    what: What,
}

enum What {
    /// A path that begins so, `::` included, or is exactly this.
    Path(fn(&[&str]) -> bool),
    /// A single word, as in a method call or a type that was imported.
    Word(fn(&str) -> bool),
    /// A text literal.
    Text(fn(&str) -> bool),
}

const PLACES: &[Place] = &[
    Place {
        only: &["ports/spawner.rs"],
        rule: "only one file starts tasks, so that a simulation decides their order",
        what: What::Path(|path| {
            let starts = |name: &&str| name.starts_with("spawn") || *name == "JoinSet" || *name == "LocalSet";
            path[0].starts_with("tokio") && path.iter().any(starts)
                || matches!(path, ["task", name, ..] if starts(name))
        }),
    },
    Place {
        // HTTP connections live by their own tasks, and end with the last who holds one.
        only: &["runtime/tasks.rs", "runtime/context.rs", "worker", "ports", "kinesis/connections"],
        rule: "tasks are started through `runtime/tasks.rs`, where panics are caught and the end is awaited",
        what: What::Word(|word| matches!(word, "Spawner" | "spawner")),
    },
    Place {
        only: &["testing/manual_clock.rs", "sqlite/thread.rs"],
        rule: "threads and runtimes are started in one file each, which says why",
        what: What::Path(|path| {
            matches!(path, ["std", "thread", ..] | ["thread", "spawn" | "Builder" | "scope"] | ["tokio", "runtime", ..])
        }),
    },
    Place {
        only: &["ports/clock.rs"],
        rule: "time comes from the `Clock`; otherwise a simulation cannot move it",
        what: What::Path(|path| {
            matches!(
                path,
                ["tokio", "time", ..]
                    | ["std", "time", "Instant", ..]
                    | ["rustix", "time", ..]
                    | ["jiff", "Timestamp", "now"]
                    | [.., "SystemTime" | "Instant", "now"]
                    | ["jiff", "Zoned", ..]
            )
        }),
    },
    Place {
        only: &["worker/builder.rs"],
        rule: "chance comes from the worker's seed; otherwise a run cannot be replayed",
        what: What::Path(|path| {
            matches!(path, [.., "Rng", "new"] | ["rand" | "getrandom", ..] | [.., "Uuid", _])
                || matches!(path, ["fastrand", name] if name.starts_with(char::is_lowercase))
        }),
    },
    Place {
        only: &["metric_definitions.rs"],
        rule: "names of metrics stand in one file",
        what: What::Text(|text| text.starts_with("kcl_")),
    },
    Place {
        only: &["metric_definitions.rs", "runtime/budget.rs"],
        rule: "metrics are made in one file and handed on",
        what: What::Path(|path| path[0] == "metrics"),
    },
    Place {
        // The suites for stores of others say which attribute is broken. The others here name one where they report a row.
        only: &["row_names.rs", "testing"],
        rule: "names of the table's attributes stand in one file",
        what: What::Text(is_row_name),
    },
    Place {
        // A worker id is a key of the table, too, and refuses what the table needs for itself.
        only: &["row_names.rs", "types/ids.rs", "testing"],
        rule: "the keys of rows that are no leases stand in one file",
        what: What::Text(|text| matches!(text, "Leader" | "Migration3.0" | "TableMigration3.5")),
    },
    Place {
        // What the SDK takes and gives is a `HashMap`; nothing goes through one in its order. The set of shards already
        // listed is only asked whether it has one.
        only: &["dynamodb/fields.rs", "dynamodb/expression.rs", "dynamodb/store.rs"],
        rule: "no order may come from a `HashMap`: use the `BTree` of the same kind",
        what: What::Word(|word| matches!(word, "HashMap" | "HashSet" | "hash_map" | "hash_set" | "RandomState")),
    },
    Place {
        only: &["worker/signal.rs"],
        rule: "signal handlers are installed in one file, and only when it is called",
        what: What::Path(|path| matches!(path, ["tokio", "signal", ..] | ["signal", "unix", ..])),
    },
    Place {
        only: &["settings/options.rs"],
        rule: "the environment is read in one file, and only when asked to",
        what: What::Path(|path| matches!(path, ["std", "env", ..] | ["env", "var" | "var_os" | "vars"])),
    },
];

/// Attributes, their values and the index, as far as they are no ordinary words.
fn is_row_name(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "leaseKey",
        "entityType",
        "leaseOwner",
        "checkpointOwner",
        "leaseCounter",
        "ownerSwitchesSinceCheckpoint",
        "checkpointSubSequenceNumber",
        "pendingCheckpoint",
        "pendingCheckpointSubSequenceNumber",
        "pendingCheckpointState",
        "parentShardId",
        "childShardIds",
        "startingHashKey",
        "endingHashKey",
        "throughputKBps",
        "streamName",
        "ownerName",
        "leaseDuration",
        "recordVersionNumber",
        "isReleased",
        "LEASE",
        "LEADER",
        "WORKER_METRIC_STATS",
        "LeaseOwnerToLeaseKeyIndex",
    ];
    let ours = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    NAMES.contains(&text) || text.strip_prefix("k_").is_some_and(ours)
}

/// Every file and folder that a rule names.
pub(crate) fn exceptions() -> impl Iterator<Item = &'static str> {
    PLACES.iter().flat_map(|place| place.only).copied()
}

pub(crate) fn violations(source: &Source) -> Vec<Violation> {
    let paths = paths(source);
    let elsewhere = PLACES.iter().filter(|place| !place.only.iter().any(|only| source.is_under(only)));
    elsewhere.flat_map(|place| found(source, &paths, place)).collect()
}

fn found(source: &Source, paths: &[NamedPath], place: &Place) -> Vec<Violation> {
    let named = |line, what: &str| Violation::new(source, line, what, place.rule);
    match place.what {
        What::Path(is) => {
            let is = |path: &&NamedPath| is(&path.segments.iter().map(String::as_str).collect::<Vec<_>>());
            paths.iter().filter(is).map(|path| named(path.line, &path.text())).collect()
        }
        What::Word(is) | What::Text(is) => {
            let texts = matches!(place.what, What::Text(_));
            let content = source.tokens.iter().filter_map(|token| match &token.kind {
                Kind::Word(word) if !texts => Some((token.line, word)),
                Kind::Text(text) if texts => Some((token.line, text)),
                _ => None,
            });
            content.filter(|(_, text)| is(text)).map(|(line, text)| named(line, text)).collect()
        }
    }
}
