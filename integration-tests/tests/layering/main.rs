//! The layers of `kcl-core`, kept by reading its sources: which file may name what.
//!
//! | file | knows |
//! |---|---|
//! | `source` | a source file as tokens with lines: no comments, no test modules |
//! | `paths` | the paths in it, `use` trees and inline ones, and what they mean |
//! | `layers` | who may name whom |
//! | `places` | what only one file may do: spawn, read a clock, spell a name |

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod layers;
mod paths;
mod places;
mod source;

mod planted;

use std::fmt;
use std::path::Path;

use source::Source;

/// A rule that a file breaks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    what: String,
    rule: &'static str,
}

impl Violation {
    fn new(source: &Source, line: usize, what: impl Into<String>, rule: &'static str) -> Self {
        Violation { file: source.file.clone(), line, what: what.into(), rule }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { file, line, what, rule } = self;
        write!(f, "kcl-core/src/{file}:{line}: `{what}`: {rule}")
    }
}

/// Everything that is wrong with a file.
fn violations(source: &Source) -> Vec<Violation> {
    let mut all = layers::violations(source);
    all.extend(places::violations(source));
    all.sort();
    all
}

#[test]
fn the_sources_of_the_library_keep_their_layers() {
    let sources = source::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../kcl-core/src"));
    assert!(sources.len() > 60, "only {} files were found: is this the right folder?", sources.len());
    let found: Vec<String> = sources.iter().flat_map(violations).map(|violation| violation.to_string()).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_place_that_a_rule_makes_an_exception_for_exists() {
    let sources = source::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../kcl-core/src"));
    for place in places::exceptions() {
        let exists = sources.iter().any(|source| source.is_under(place));
        assert!(exists, "kcl-core/src/{place} is gone: the rule that names it looks in vain");
    }
    for module in layers::modules() {
        assert!(sources.iter().any(|source| source.module() == module), "there is no module {module} any more");
    }
}
