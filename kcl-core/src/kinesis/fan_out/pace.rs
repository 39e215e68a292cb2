//! How the openings of many shards are spread, so that neither the service nor one connection gets them all at once.

use std::time::Duration;

use crate::types::Moment;

/// Gives every opening a place in time. No clock in here: moments are arguments.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Moment,
}

impl Pace {
    /// When the opening that could begin `now` may begin. Every call takes a place, each some milliseconds after the one
    /// before; the first of a burst waits for nothing.
    pub(super) fn place(&mut self, now: Moment, random: u64) -> Moment {
        let place = self.next.max(now);
        self.next = place + DISTANCE / 2 + Duration::from_micros(random % (DISTANCE.as_micros() as u64 + 1));
        place
    }
}

/// 200 openings a second on average: a thousand shards within five seconds, the first hundred within half of one.
const DISTANCE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_opening_waits_for_nothing() {
        let mut pace = Pace::default();
        for second in [0, 1, 60] {
            let now = Moment::from_origin(Duration::from_secs(second));
            assert_eq!(pace.place(now, u64::MAX), now);
        }
    }

    proptest! {
        #[test]
        fn a_burst_is_spread_and_keeps_its_order(randoms in prop::collection::vec(any::<u64>(), 2..200)) {
            let now = Moment::from_origin(Duration::from_secs(9));
            let mut pace = Pace::default();
            let places: Vec<_> = randoms.iter().map(|random| pace.place(now, *random)).collect();
            for pair in places.windows(2) {
                let distance = pair[1].since(pair[0]);
                prop_assert!(distance >= DISTANCE / 2 && distance <= DISTANCE * 3 / 2, "{:?}", distance);
            }
        }
    }
}
