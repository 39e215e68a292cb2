//! How much to ask for: what answers were like so far says what the next one may be, and what it takes to receive it.

/// What the answers of one shard weigh.
///
/// An answer that was as large as was asked for doubles the next request, up to what the service gives at most; smaller
/// ones let it fall by half at a time. So a reader far behind asks for 10 MB and one at the tip for little.
///
/// The next records may be larger than all before. So their number grows from answer to answer, too: a reader at the tip that
/// has seen three small records does not ask for ten thousand.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// Bytes that a record occupies, averaged with more weight on the latest answers.
    record: f64,
    /// Bytes that the next answer is expected to occupy.
    expected: usize,
    least: usize,
    /// Records of the last answer.
    records: usize,
    /// How many records to ask for at most.
    most_records: u16,
}

impl Sizes {
    /// Of a shard that is asked: bytes are set aside for as long as a call takes.
    pub(super) fn of_polling() -> Self {
        Sizes::with_least(LEAST_POLLED)
    }

    /// Of a shard to which is pushed: bytes are set aside also while nothing comes.
    pub(super) fn of_fan_out() -> Self {
        Sizes::with_least(LEAST_PUSHED)
    }

    fn with_least(least: usize) -> Self {
        Sizes { record: FIRST_RECORD, expected: FIRST_ANSWER, least, records: 0, most_records: FIRST_RECORDS }
    }

    /// The bytes that the next answer is expected to take while it is received.
    pub(super) fn demand(&self) -> usize {
        self.expected * PEAK
    }

    /// How many records may come: as many as the last time.
    pub(super) fn expected_records(&self) -> usize {
        self.records
    }

    /// How many records to ask for, so that receiving them fits into `bytes`: 1 to 10,000.
    pub(super) fn limit(&self, bytes: usize) -> u16 {
        // A float converts by saturating, so no size is too large.
        (((bytes / PEAK) as f64 / self.record) as u16).clamp(1, self.most_records)
    }

    /// So many records came and occupy so many bytes.
    pub(super) fn answered(&mut self, records: usize, bytes: usize) {
        self.records = records;
        if records > 0 {
            let mean = bytes as f64 / records as f64;
            // A larger record counts at once: too small a limit costs a call, too large a one overdraws the budget.
            self.record = if mean > self.record { mean } else { (3.0 * self.record + mean) / 4.0 };
        }
        self.expect(bytes.saturating_mul(2).max(self.expected / 2));
        let grown = u16::try_from(records.saturating_mul(8)).unwrap_or(MOST_RECORDS);
        self.most_records = grown.clamp(FIRST_RECORDS.max(self.most_records / 2), MOST_RECORDS);
    }

    /// An answer to a request for so many records was refused: on the wire it has this many bytes at least. The next request
    /// is for half of them at most, so that in the end one record is asked for, which is never refused.
    pub(super) fn too_large(&mut self, limit: u16, wire: usize) {
        self.record = self.record.max(wire as f64 / WIRE / f64::from(limit));
        self.most_records = (limit / 2).max(1);
    }

    /// No answer came. It may have been too large for the line and the time-out, so the next one is smaller.
    pub(super) fn failed(&mut self) {
        self.expect(self.expected / 2);
    }

    fn expect(&mut self, bytes: usize) {
        self.expected = bytes.clamp(self.least, MOST_ANSWER);
    }
}

/// What an answer takes while it is received, in bytes for each byte that is left of it: the body in the pieces in which it
/// came, the body in one piece, and the records.
const PEAK: usize = 4;
/// Bytes on the wire for each byte of a record: data is in base64.
const WIRE: f64 = 1.4;

/// What a record is taken for before the first one is seen.
const FIRST_RECORD: f64 = 1_024.0;
const FIRST_ANSWER: usize = 1 << 20;
/// Should they be of 100 KB each, they fit into what a first answer is taken for.
const FIRST_RECORDS: u16 = 10;
/// One large record or some dozens of small ones.
const LEAST_POLLED: usize = 64 << 10;
/// More than that is taken from the budget when it comes.
const LEAST_PUSHED: usize = 16 << 10;
/// What the service gives at most in one answer.
const MOST_ANSWER: usize = 10 << 20;
const MOST_RECORDS: u16 = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_answers_double_the_demand_and_small_ones_let_it_fall() {
        let mut sizes = Sizes::of_polling();
        let mut demands = Vec::new();
        for held in [1 << 20, 2 << 20, 4 << 20, 8 << 20, 10 << 20, 0, 0, 0, 0, 0, 0, 0, 0, 200_000] {
            demands.push((sizes.demand() / PEAK) >> 10);
            sizes.answered(held / 1_000, held);
        }
        assert_eq!(demands, [1024, 2048, 4096, 8192, 10240, 10240, 5120, 2560, 1280, 640, 320, 160, 80, 64]);
        assert_eq!(sizes.demand(), 400_000 * PEAK);
    }

    #[test]
    fn the_number_of_records_grows_from_answer_to_answer() {
        let mut sizes = Sizes::of_polling();
        let mut limits = Vec::new();
        for _ in 0..6 {
            let limit = sizes.limit(usize::MAX);
            limits.push(limit);
            sizes.answered(limit.into(), usize::from(limit) * 100);
        }
        assert_eq!(limits, [10, 80, 640, 5_120, 10_000, 10_000]);
        for _ in 0..20 {
            sizes.answered(0, 0);
        }
        assert_eq!(sizes.limit(usize::MAX), 10, "at the tip again");
    }

    #[test]
    fn a_refused_answer_is_asked_for_in_smaller_and_smaller_parts() {
        let mut sizes = Sizes::of_polling();
        sizes.answered(10_000, 1_000_000);
        let (permit, mut limits) = (4 << 20, Vec::new());
        // All records from here on have 400 KB.
        while limits.last() != Some(&2) {
            let limit = sizes.limit(permit);
            sizes.too_large(limit, usize::from(limit) * 560_000);
            limits.push(limit);
        }
        assert_eq!(limits, [1_322, 2], "what was seen of it says how large its records are");
        let mut sizes = Sizes::of_polling();
        let halves: Vec<u16> = (0..5)
            .map(|_| {
                let limit = sizes.limit(usize::MAX);
                sizes.too_large(limit, 0);
                limit
            })
            .collect();
        assert_eq!(halves, [10, 5, 2, 1, 1], "and if nothing was seen, each is half of the one before");
    }

    #[test]
    fn the_limit_follows_the_size_of_records() {
        let mut sizes = Sizes::of_polling();
        sizes.answered(10_000, 10_240_000);
        assert_eq!(sizes.limit(PEAK << 20), 1_024);
        assert_eq!(sizes.limit(usize::MAX), 10_000);
        assert_eq!(sizes.limit(0), 1);
        sizes.answered(4, 400_000);
        assert_eq!(sizes.limit(PEAK * 1_000_000), 10, "larger records count at once");
        for _ in 0..40 {
            sizes.answered(1_000, 200_000);
        }
        let limit = sizes.limit(PEAK * 1_000_000);
        assert!((4_900..=5_000).contains(&limit), "{limit}");
    }

    #[test]
    fn failures_ask_for_less() {
        let mut sizes = Sizes::of_polling();
        for _ in 0..10 {
            sizes.failed();
        }
        assert_eq!(sizes.demand(), LEAST_POLLED * PEAK);
    }

    proptest! {
        #[test]
        fn demand_and_limit_stay_in_their_bounds(answers in prop::collection::vec((0_usize..20_000, any::<usize>()), 0..40), permit: usize) {
            let mut sizes = Sizes::of_fan_out();
            for (records, bytes) in answers {
                sizes.answered(records, bytes);
                prop_assert!((LEAST_PUSHED..=MOST_ANSWER).contains(&(sizes.demand() / PEAK)));
                prop_assert!((1..=MOST_RECORDS).contains(&sizes.limit(permit)));
            }
        }
    }
}
