//! A source file as tokens with lines: no comments, no test modules.

use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A source file of the library, without its tests.
pub(crate) struct Source {
    /// Its path below `src`.
    pub(crate) file: String,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word of the language, or a name.
    Word(String),
    /// One character of an operator, or a bracket.
    Mark(char),
    /// The content of a text literal.
    Text(String),
}

impl Source {
    pub(crate) fn new(file: impl Into<String>, text: &str) -> Self {
        let file = file.into();
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file} is no Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Source { file, tokens }
    }

    /// The top-level module that the file belongs to; `lib` for the root.
    pub(crate) fn module(&self) -> &str {
        let first = self.file.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the file is this one, or lies in this folder.
    pub(crate) fn is_under(&self, place: &str) -> bool {
        self.file == place || self.file.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The file's own module, as segments after `crate`.
    pub(crate) fn path(&self) -> Vec<String> {
        let stem = self.file.strip_suffix(".rs").unwrap_or(&self.file);
        let mut segments: Vec<String> = stem.split('/').map(str::to_owned).collect();
        segments.pop_if(|last| last == "mod" || last == "lib");
        segments
    }
}

/// All files below `root` but those of tests, by path.
pub(crate) fn read_all(root: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((file, path));
            }
        }
    }
    files.sort();
    let product = files.into_iter().filter(|(file, _)| !is_test(file));
    product.map(|(file, path)| Source::new(file, &std::fs::read_to_string(path).unwrap())).collect()
}

/// Files that only tests are made of are named so.
fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.split('/').any(|folder| folder == "tests")
}

/// Appends tokens in order, brackets as marks, leaving out comments on items and what is only built for tests.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                let inner = trees.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                let Some(TokenTree::Group(attribute)) = trees.next() else { continue };
                match first_word(&attribute).as_str() {
                    "doc" => {}
                    "cfg" if is_for_tests(&attribute) && inner.is_none() => skip_item(&mut trees),
                    _ => flatten(attribute.stream(), tokens),
                }
            }
            TokenTree::Punct(mark) => tokens.push(Token { line, kind: Kind::Mark(mark.as_char()) }),
            TokenTree::Ident(word) => tokens.push(Token { line, kind: Kind::Word(word.to_string()) }),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if let Some((_, content)) = text.split_once('"').filter(|_| text.ends_with(['"', '#'])) {
                    let content = content.trim_end_matches('#').trim_end_matches('"');
                    tokens.push(Token { line, kind: Kind::Text(content.to_owned()) });
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = brackets(&group);
                tokens.push(Token { line, kind: Kind::Mark(open) });
                flatten(group.stream(), tokens);
                tokens.push(Token { line: group.span_close().start().line, kind: Kind::Mark(close) });
            }
        }
    }
}

fn brackets(group: &Group) -> (char, char) {
    match group.delimiter() {
        Delimiter::Parenthesis => ('(', ')'),
        Delimiter::Bracket => ('[', ']'),
        Delimiter::Brace => ('{', '}'),
        Delimiter::None => (' ', ' '),
    }
}

fn first_word(attribute: &Group) -> String {
    attribute.stream().into_iter().next().map(|tree| tree.to_string()).unwrap_or_default()
}

fn is_for_tests(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Drops the item after an attribute: to its braces, or to the semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(mark) if mark.as_char() == ';' => return,
            _ => {}
        }
    }
}
