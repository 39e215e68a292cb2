//! The paths in a file: those that `use` names and those in the middle of code.

use crate::source::{Kind, Source, Token};

/// A path of at least two segments, or one that `use` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl NamedPath {
    /// As it was written, or as its `use` tree means it.
    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }

    /// The path from the root of the crate, if that is where it leads by name: `crate`, `self` or `super`.
    pub(crate) fn in_crate(&self, source: &Source) -> Option<Vec<String>> {
        let mut base = match self.segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => source.path(),
            _ => return None,
        };
        for segment in &self.segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                name => base.push(name.to_owned()),
            }
        }
        Some(base)
    }
}

/// All paths of a file, in order.
pub(crate) fn paths(source: &Source) -> Vec<NamedPath> {
    let mut reader = Reader { tokens: &source.tokens, at: 0, found: Vec::new() };
    while let Some(token) = reader.tokens.get(reader.at) {
        match &token.kind {
            Kind::Word(word) if word == "use" && !reader.is_capture() => {
                reader.at += 1;
                reader.tree(&[]);
            }
            Kind::Word(_) => reader.inline(),
            _ => reader.at += 1,
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<NamedPath>,
}

impl Reader<'_> {
    /// `use<..>` in a type lists lifetimes.
    fn is_capture(&self) -> bool {
        self.is_mark(self.at + 1, '<')
    }

    fn inline(&mut self) {
        let line = self.tokens[self.at].line;
        let segments = self.segments();
        if segments.len() > 1 {
            self.found.push(NamedPath { line, segments });
        }
    }

    /// One branch of a `use`, below `prefix`.
    fn tree(&mut self, prefix: &[String]) {
        self.at += if self.is_separator() { 2 } else { 0 };
        let Some(token) = self.tokens.get(self.at) else { return };
        let line = token.line;
        let mut segments = prefix.to_vec();
        segments.extend(self.segments());
        if self.is_separator() {
            self.at += 2;
        }
        if self.is_mark(self.at, '{') {
            self.at += 1;
            while self.at < self.tokens.len() && !self.is_mark(self.at, '}') {
                self.tree(&segments);
                self.at += usize::from(self.is_mark(self.at, ','));
            }
            self.at += 1;
            return;
        }
        if self.is_mark(self.at, '*') {
            segments.push("*".to_owned());
            self.at += 1;
        }
        segments.pop_if(|last| last == "self" && !prefix.is_empty());
        if matches!(self.word(self.at), Some("as")) {
            self.at += 2;
        }
        self.found.push(NamedPath { line, segments });
    }

    /// Words joined by `::`, from here.
    fn segments(&mut self) -> Vec<String> {
        let mut segments = Vec::new();
        while let Some(word) = self.word(self.at) {
            segments.push(word.to_owned());
            self.at += 1;
            let joined = self.is_separator() && self.word(self.at + 2).is_some();
            if !joined {
                break;
            }
            self.at += 2;
        }
        segments
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is_mark(&self, at: usize, mark: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Mark(mark))
    }

    fn is_separator(&self) -> bool {
        self.is_mark(self.at, ':') && self.is_mark(self.at + 1, ':')
    }
}
