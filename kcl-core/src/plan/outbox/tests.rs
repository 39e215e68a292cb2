//! An outbox against a table with a capacity.

use super::*;

fn millis(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

fn key(index: usize) -> LeaseKey {
    LeaseKey::new(format!("shardId-{index:04}")).unwrap()
}

fn outbox() -> Outbox {
    Outbox::new(4, Duration::from_millis(200))
}

fn all(outbox: &mut Outbox, now: Moment) -> Vec<String> {
    std::iter::from_fn(|| outbox.next(now)).map(|key| key.to_string()).collect()
}

#[test]
fn renewals_go_before_changes_of_hands_and_those_before_checkpoints() {
    let mut outbox = outbox();
    outbox.put(&key(1), Urgency::Checkpoint, millis(1));
    outbox.put(&key(2), Urgency::Change, millis(2));
    outbox.put(&key(3), Urgency::Renewal, millis(9));
    outbox.put(&key(4), Urgency::Renewal, millis(8));
    assert_eq!(all(&mut outbox, millis(0)), ["shardId-0004", "shardId-0003", "shardId-0002", "shardId-0001"]);
}

#[test]
fn only_so_many_are_under_way() {
    let mut outbox = outbox();
    (0..6).for_each(|index| outbox.put(&key(index), Urgency::Renewal, millis(1)));
    assert_eq!(all(&mut outbox, millis(0)).len(), 4);
    assert_eq!(outbox.wake_at(), None, "an answer must come first");
    outbox.answered(millis(0), false, millis(1));
    outbox.unsent();
    assert_eq!(all(&mut outbox, millis(1)).len(), 2);
}

#[test]
fn what_was_said_of_a_lease_before_is_forgotten() {
    let mut outbox = outbox();
    outbox.put(&key(1), Urgency::Checkpoint, millis(1));
    outbox.put(&key(1), Urgency::Renewal, millis(1));
    outbox.put(&key(2), Urgency::Renewal, millis(2));
    outbox.remove(&key(2));
    assert_eq!(all(&mut outbox, millis(0)), ["shardId-0001"]);
    assert_eq!(outbox.wake_at(), None);
}

/// A table that takes so many writes a second, and answers at once.
struct Narrow {
    per_second: f64,
    tokens: f64,
}

impl Narrow {
    fn takes(&mut self) -> bool {
        let takes = self.tokens >= 1.0;
        self.tokens -= if takes { 1.0 } else { 0.0 };
        takes
    }
}

/// Offers more than the table takes from one time to another, in milliseconds; what was taken and what was refused.
fn offer(outbox: &mut Outbox, table: &mut Narrow, from: u64, to: u64) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for now in from..to {
        table.tokens = (table.tokens + table.per_second / 1000.0).min(2.0);
        (0..8).for_each(|index| outbox.put(&key(index), Urgency::Renewal, millis(to)));
        let now = millis(now);
        while let Some(_sent) = outbox.next(now) {
            let takes = table.takes();
            *(if takes { &mut taken } else { &mut refused }) += 1;
            outbox.answered(now, !takes, now);
            (0..8).for_each(|index| outbox.put(&key(index), Urgency::Renewal, millis(to)));
            if taken + refused > 1_000_000 {
                return (taken, refused);
            }
        }
    }
    (taken, refused)
}

#[test]
fn a_table_that_throttles_is_used_and_not_pestered() {
    for per_second in [20.0, 100.0, 500.0] {
        let (mut outbox, mut table) = (outbox(), Narrow { per_second, tokens: 0.0 });
        let (taken, refused) = offer(&mut outbox, &mut table, 0, 20_000);
        let most = per_second * 20.0;
        assert!(taken as f64 > 0.75 * most, "{per_second}/s: {taken} of {most} were taken, {refused} refused");
        assert!(refused < taken / 4, "{per_second}/s: {refused} refused, {taken} taken");
    }
}

#[test]
fn after_an_outage_the_old_pace_is_back_within_a_second() {
    let (mut outbox, mut table) = (outbox(), Narrow { per_second: 100.0, tokens: 0.0 });
    offer(&mut outbox, &mut table, 0, 5_000);
    table.per_second = 0.0;
    let (taken, refused) = offer(&mut outbox, &mut table, 5_000, 10_000);
    assert!(taken <= 2 && refused < 60, "an outage is probed, not stormed: {taken} taken, {refused} refused");
    table.per_second = 100.0;
    offer(&mut outbox, &mut table, 10_000, 11_000);
    let (taken, _) = offer(&mut outbox, &mut table, 11_000, 12_000);
    assert!(taken > 70, "{taken} a second, where it takes 100");
}
