//! The partition key of a line.

use std::hash::{DefaultHasher, Hash, Hasher};

use regex::bytes::Regex;

/// Picks the partition key of a line.
///
/// With an expression it is the first group that took part in the match, or the whole match if the expression has no
/// group; bytes that are not text are replaced, and what is longer than a key may be is cut off. A line that does not match,
/// or matches with nothing, and every line if there is no expression, has a hash of itself as key: equal lines have equal
/// keys, and different ones spread over the shards.
#[derive(Debug, Clone, Default)]
pub struct KeyRule {
    expression: Option<Regex>,
}

impl KeyRule {
    /// Keys by this expression.
    pub fn new(expression: Option<Regex>) -> Self {
        KeyRule { expression }
    }

    /// The key of a line.
    pub fn key(&self, line: &[u8]) -> String {
        let matched = self.expression.as_ref().and_then(|expression| expression.captures(line));
        let picked = matched.and_then(|groups| match groups.len() {
            1 => groups.get(0).map(|whole| whole.as_bytes()),
            _ => groups.iter().skip(1).flatten().next().map(|group| group.as_bytes()),
        });
        match picked {
            Some(bytes) if !bytes.is_empty() => String::from_utf8_lossy(bytes).chars().take(MOST_CHARACTERS).collect(),
            _ => {
                let mut hash = DefaultHasher::new();
                line.hash(&mut hash);
                format!("{:016x}", hash.finish())
            }
        }
    }
}

/// What the service takes as a partition key.
const MOST_CHARACTERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expression: &str, line: &[u8]) -> String {
        KeyRule::new(Some(Regex::new(expression).unwrap())).key(line)
    }

    #[test]
    fn a_key_is_the_first_group_or_the_whole_match() {
        assert_eq!(key("user=([a-z]+)", b"user=ann did"), "ann");
        assert_eq!(key("user=[a-z]+", b"user=ann did"), "user=ann");
        assert_eq!(key("a(x)|b(y)", b"by"), "y");
        assert_eq!(key("k=((?s-u:.*))", b"k=a\xffb"), "a\u{fffd}b");
        assert_eq!(key("k=(.*)", format!("k={}", "ü".repeat(300)).as_bytes()), "ü".repeat(256));
    }

    #[test]
    fn a_line_without_a_match_has_a_key_of_its_own() {
        let hashed = KeyRule::default().key(b"one");
        assert_eq!(key("user=([a-z]+)", b"one"), hashed);
        assert_eq!(key("user=([a-z]*)", b"user="), KeyRule::default().key(b"user="));
        assert_ne!(KeyRule::default().key(b"two"), hashed);
        assert!(!KeyRule::default().key(b"").is_empty());
    }
}
