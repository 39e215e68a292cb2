//! How much to ask for: what answers were like so far says what the next one may be.

/// What the answers of one shard weigh.
///
/// An answer that was as large as was asked for doubles the next request, up to what the service gives at most; smaller
/// ones let it fall by half at a time. So a reader far behind asks for 10 MB and one at the tip for little.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// Bytes that a record occupies, averaged with more weight on the latest answers.
    record: f64,
    expected: usize,
}

impl Sizes {
    pub(super) fn new() -> Self {
        Sizes { record: FIRST_RECORD, expected: FIRST_ANSWER }
    }

    /// The bytes that the next answer is expected to occupy.
    pub(super) fn demand(&self) -> usize {
        self.expected
    }

    /// How many records to ask for, so that they fit into `bytes`: 1 to 10,000.
    pub(super) fn limit(&self, bytes: usize) -> u16 {
        // A float converts by saturating, so no size is too large.
        ((bytes as f64 / self.record) as u16).clamp(1, MOST_RECORDS)
    }

    /// So many records came and occupy so many bytes.
    pub(super) fn answered(&mut self, records: usize, bytes: usize) {
        if records > 0 {
            let mean = bytes as f64 / records as f64;
            // A larger record counts at once: too small a limit costs a call, too large a one overdraws the budget.
            self.record = if mean > self.record { mean } else { (3.0 * self.record + mean) / 4.0 };
        }
        self.expect(bytes.saturating_mul(2).max(self.expected / 2));
    }

    /// No answer came. It may have been too large for the line and the time-out, so the next one is smaller.
    pub(super) fn failed(&mut self) {
        self.expect(self.expected / 2);
    }

    fn expect(&mut self, bytes: usize) {
        self.expected = bytes.clamp(LEAST_ANSWER, MOST_ANSWER);
    }
}

/// What a record is taken for before the first one is seen.
const FIRST_RECORD: f64 = 1_024.0;
const FIRST_ANSWER: usize = 1 << 20;
/// One large record or a few hundred small ones.
const LEAST_ANSWER: usize = 64 << 10;
/// What the service gives at most in one answer.
const MOST_ANSWER: usize = 10 << 20;
const MOST_RECORDS: u16 = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_answers_double_the_demand_and_small_ones_let_it_fall() {
        let mut sizes = Sizes::new();
        let mut demands = Vec::new();
        for held in [1 << 20, 2 << 20, 4 << 20, 8 << 20, 10 << 20, 0, 0, 0, 0, 0, 0, 0, 0, 200_000] {
            demands.push(sizes.demand() >> 10);
            sizes.answered(held / 1_000, held);
        }
        assert_eq!(demands, [1024, 2048, 4096, 8192, 10240, 10240, 5120, 2560, 1280, 640, 320, 160, 80, 64]);
        assert_eq!(sizes.demand(), 400_000);
    }

    #[test]
    fn the_limit_follows_the_size_of_records() {
        let mut sizes = Sizes::new();
        assert_eq!(sizes.limit(1 << 20), 1_024);
        assert_eq!(sizes.limit(usize::MAX), 10_000);
        assert_eq!(sizes.limit(0), 1);
        sizes.answered(4, 400_000);
        assert_eq!(sizes.limit(1_000_000), 10, "larger records count at once");
        for _ in 0..40 {
            sizes.answered(1_000, 200_000);
        }
        assert!((4_900..=5_000).contains(&sizes.limit(1_000_000)), "{}", sizes.limit(1_000_000));
    }

    #[test]
    fn failures_ask_for_less() {
        let mut sizes = Sizes::new();
        for _ in 0..10 {
            sizes.failed();
        }
        assert_eq!(sizes.demand(), LEAST_ANSWER);
    }

    proptest! {
        #[test]
        fn demand_and_limit_stay_in_their_bounds(answers in prop::collection::vec((0_usize..20_000, any::<usize>()), 0..40), permit: usize) {
            let mut sizes = Sizes::new();
            for (records, bytes) in answers {
                sizes.answered(records, bytes);
                prop_assert!((LEAST_ANSWER..=MOST_ANSWER).contains(&sizes.demand()));
                prop_assert!((1..=MOST_RECORDS).contains(&sizes.limit(permit)));
            }
        }
    }
}
