//! What the README shows is what is there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_smallest_consumer_is_shown_word_for_word_and_is_small() {
    let smallest = read("kcl-examples/examples/smallest.rs");
    assert!(read("README.md").contains(&format!("```rust\n{smallest}```\n")), "the README shows another program");
    assert!(smallest.lines().count() <= 30, "{} lines", smallest.lines().count());
}

#[test]
fn every_file_that_a_document_links_to_is_there() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = read(document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
            assert!(root().join(link).exists(), "{document} links to {link}, which is not there");
        }
    }
}

#[test]
fn every_test_that_an_invariant_names_is_there() {
    let mut sources = String::new();
    for folder in ["kcl-core/src", "kcl-core/tests", "integration-tests/tests"] {
        collect(&root().join(folder), &mut sources);
    }
    let text = read("ARCHITECTURE.md");
    let invariants = text.split("## Invariants").nth(1).expect("a chapter on invariants");
    let named: Vec<&str> = invariants
        .lines()
        .take_while(|line| !line.starts_with("Absences"))
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter_map(|name| name.rsplit("::").next())
        .filter(|name| name.contains('_'))
        .collect();
    assert!(named.len() >= 12, "{named:?}");
    for name in named {
        let present = ["fn {}(", "fn {}<", "mod {};"].iter().any(|form| sources.contains(&form.replace("{}", name)));
        assert!(present, "ARCHITECTURE.md names the test {name}, which is not there");
    }
}

fn collect(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            collect(&entry, sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&entry).expect("a source file"));
        }
    }
}
