//! Whether every hash key is read by somebody, now or once its parents have ended.

use crate::types::HashRange;

/// What a set of ranges leaves out of the whole hash space, in order. Overlaps are fine: a parent and its children may both
/// stand in the table.
pub(crate) fn holes(ranges: impl IntoIterator<Item = HashRange>) -> Vec<Hole> {
    let mut ranges: Vec<HashRange> = ranges.into_iter().collect();
    ranges.sort_unstable();
    let mut holes = Vec::new();
    // The first key that is not covered yet; none if all are.
    let mut next = Some(0u128);
    for range in ranges {
        let Some(open) = next else { break };
        if range.start() > open {
            holes.push(Hole { first: open, last: range.start() - 1 });
        }
        if range.end() >= open {
            next = range.end().checked_add(1);
        }
    }
    holes.extend(next.map(|first| Hole { first, last: u128::MAX }));
    holes
}

/// Hash keys from one to another, both included, that nobody would ever read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ranges: &[(u128, u128)]) -> Vec<(u128, u128)> {
        let ranges = ranges.iter().map(|(start, end)| HashRange::new(*start, *end).unwrap());
        holes(ranges).into_iter().map(|hole| (hole.first, hole.last)).collect()
    }

    #[test]
    fn the_whole_space_and_overlaps_have_no_holes() {
        assert_eq!(found(&[(0, u128::MAX)]), []);
        assert_eq!(found(&[(50, u128::MAX), (0, 49), (10, 20)]), []);
    }

    #[test]
    fn holes_are_found_at_both_ends_and_between() {
        assert_eq!(found(&[]), [(0, u128::MAX)]);
        assert_eq!(found(&[(10, 20), (22, 30)]), [(0, 9), (21, 21), (31, u128::MAX)]);
    }
}
