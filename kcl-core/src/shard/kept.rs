//! Whether the stream certainly keeps everything that is still to be read.
//!
//! A tenure resumes at the record of its checkpoint. If another one comes first, that record was trimmed, and perhaps others
//! that came after it; or nothing had come for so long, and nothing is lost. The two look the same, but a shard that was at
//! its tip some hours ago has only records that are younger. So the rows of leases say when a shard had nothing beyond its
//! checkpoint, and no retention is shorter than a day.

use std::time::Duration;

use crate::types::{Moment, Timestamp};

/// What is certain of the records beyond those that a run has read: all that there ever were are kept until then.
///
/// That a shard is empty now proves nothing of before: it may have been read last before everything in it was trimmed. So an
/// answer without records only prolongs what was certain when it came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    until: Moment,
}

/// For so long a record is kept after it was written: the shortest retention, but for the hour by which clocks may differ.
const KEPT_FOR: Duration = Duration::from_secs(23 * 3_600);

/// Clocks that differ by more than this are not believed.
const CLOCKS: Duration = Duration::from_secs(3_600);

impl Kept {
    /// A run that begins now, at a checkpoint beyond which the shard had nothing when this tenure, or the row when the tenure
    /// began, noted it.
    pub(crate) fn resumed(noted: Option<Moment>, stored: Option<Timestamp>, wall: Timestamp, now: Moment) -> Self {
        let noted = noted.map(|tip| tip + KEPT_FOR);
        let stored = stored.filter(|tip| tip.since(wall) <= CLOCKS);
        let stored = stored.map(|tip| now + KEPT_FOR.saturating_sub(wall.since(tip)));
        Kept { until: noted.max(stored).unwrap_or_default() }
    }

    fn is_certain(&self, now: Moment) -> bool {
        now < self.until
    }

    /// Whether nothing is lost, although the record of the checkpoint is. `service` is the service's own time, as far as its
    /// records tell it: where that runs ahead of our clock, it may have trimmed more than we know of.
    pub(crate) fn has_lost_nothing(&self, service: Option<Timestamp>, wall: Timestamp, now: Moment) -> bool {
        self.is_certain(now) && service.is_none_or(|service| service.since(wall) <= CLOCKS)
    }

    /// An answer came to what was asked then. Whether it shows that the shard had nothing beyond what was read, ever.
    pub(crate) fn answered(&mut self, lag: Option<Duration>, empty: bool, asked: Moment, now: Moment) -> bool {
        // Whoever does not know its lag, or was throttled, says nothing of the tip.
        let Some(lag) = lag else { return false };
        if empty && !self.is_certain(now) {
            return false;
        }
        // What is to come was written within the lag. It is all there: what follows a record that is kept is kept.
        self.until = self.until.max(asked + KEPT_FOR.saturating_sub(lag));
        empty && lag.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3_600);
    const TIP: Option<Duration> = Some(Duration::ZERO);

    fn hour(hours: u32) -> Moment {
        Moment::from_origin(HOUR * hours)
    }

    /// A run that begins at hour 100 of its process, so many hours after its row noted the tip.
    fn resumed_after(hours: i64) -> Kept {
        let wall = Timestamp::from_seconds(1_795_257_281);
        let tip = Timestamp::from_seconds(1_795_257_281 - hours * 3_600);
        Kept::resumed(None, Some(tip), wall, hour(100))
    }

    #[test]
    fn what_was_at_its_tip_within_a_day_has_lost_nothing() {
        assert!(resumed_after(0).is_certain(hour(100)));
        assert!(resumed_after(22).is_certain(hour(100)));
        assert!(!resumed_after(22).is_certain(hour(101)), "it is counted on");
        assert!(!resumed_after(23).is_certain(hour(100)), "an hour is for clocks that differ");
        assert!(!resumed_after(24 * 365).is_certain(hour(100)));
    }

    #[test]
    fn a_row_that_says_nothing_or_comes_from_the_future_proves_nothing() {
        let wall = Timestamp::from_seconds(0);
        assert!(!Kept::resumed(None, None, wall, hour(100)).is_certain(hour(100)));
        assert!(resumed_after(-1).is_certain(hour(100)), "so much clocks may differ");
        assert!(!resumed_after(-2).is_certain(hour(100)));
        assert!(!Kept::resumed(None, None, wall, hour(0)).is_certain(hour(0)), "not even as the process begins");
    }

    #[test]
    fn a_service_whose_time_runs_ahead_may_have_trimmed_what_is_young_to_us() {
        let (kept, wall) = (resumed_after(1), Timestamp::from_seconds(1_795_257_281));
        let ahead = |hours: i64| Some(Timestamp::from_seconds(1_795_257_281 + hours * 3_600));
        assert!(kept.has_lost_nothing(None, wall, hour(100)), "records need not say when they came");
        assert!(kept.has_lost_nothing(ahead(-24), wall, hour(100)));
        assert!(kept.has_lost_nothing(ahead(1), wall, hour(100)), "so much clocks may differ");
        assert!(!kept.has_lost_nothing(ahead(25), wall, hour(100)));
        assert!(!kept.has_lost_nothing(None, wall, hour(123)));
    }

    #[test]
    fn a_process_that_began_a_moment_ago_counts_from_what_the_row_says() {
        let (wall, tip) = (Timestamp::from_seconds(22 * 3_600), Timestamp::from_seconds(0));
        let kept = Kept::resumed(None, Some(tip), wall, hour(0));
        assert!(kept.is_certain(hour(0)) && !kept.is_certain(hour(1)));
    }

    #[test]
    fn a_run_that_begins_anew_goes_on_with_what_its_tenure_noted() {
        let wall = Timestamp::from_seconds(1_795_257_281);
        let long_ago = Timestamp::from_seconds(0);
        let kept = Kept::resumed(Some(hour(90)), Some(long_ago), wall, hour(100));
        assert!(kept.is_certain(hour(112)) && !kept.is_certain(hour(113)));
    }

    #[test]
    fn a_shard_that_stays_at_its_tip_stays_certain_for_ever() {
        let mut kept = resumed_after(20);
        for minutes in (0..200_000).step_by(60) {
            let now = hour(100) + minutes * SECOND;
            assert!(kept.answered(TIP, true, now, now + SECOND), "{minutes}");
        }
        let silent = hour(100) + 200_000 * SECOND + 24 * HOUR;
        assert!(!kept.answered(TIP, true, silent, silent), "but not over a day without an answer");
    }

    #[test]
    fn an_empty_shard_proves_nothing_if_nobody_knows_what_was_there_before() {
        let mut kept = resumed_after(30);
        for second in 0..100 {
            let now = hour(100) + second * SECOND;
            assert!(!kept.answered(TIP, true, now, now));
            assert!(!kept.is_certain(now));
        }
        let now = hour(101);
        assert!(!kept.answered(TIP, false, now, now), "records are not the tip");
        assert!(kept.answered(TIP, true, now, now + SECOND), "but after them it is known again");
    }

    #[test]
    fn an_answer_of_unknown_lag_says_nothing() {
        let mut kept = resumed_after(22);
        assert!(!kept.answered(None, true, hour(100), hour(100)));
        assert!(!kept.answered(None, false, hour(100), hour(100)));
        assert!(!kept.is_certain(hour(101)));
    }

    #[test]
    fn what_lies_behind_is_certain_for_what_its_lag_leaves() {
        let mut kept = Kept::default();
        assert!(!kept.answered(Some(20 * HOUR), false, hour(100), hour(100)));
        assert!(kept.is_certain(hour(102)) && !kept.is_certain(hour(103)));
        assert!(!kept.answered(Some(24 * HOUR), false, hour(103), hour(103)));
        assert!(!kept.is_certain(hour(103)));
        assert!(!kept.answered(Some(HOUR), true, hour(103), hour(103)));
        assert!(!kept.is_certain(hour(103)));
    }
}
