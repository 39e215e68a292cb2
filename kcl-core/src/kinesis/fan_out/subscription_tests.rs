use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

/// A subscription that was opened at this moment.
fn live(millis: u64) -> Subscription {
    let mut subscription = Subscription::new();
    subscription.opening(at(millis));
    subscription.opened(at(millis));
    subscription
}

#[test]
fn a_new_one_may_be_opened_at_once_and_its_call_is_given_up_after_ten_seconds() {
    let mut subscription = Subscription::new();
    assert_eq!((subscription.state(), subscription.open_at()), (State::Starting, Moment::default()));
    assert_eq!(subscription.opening(at(7_000)), at(17_000));
    subscription.opened(at(7_100));
    assert_eq!(subscription.state(), State::Live);
}

#[test]
fn fifteen_seconds_without_any_event_are_too_long_and_empty_events_count() {
    let mut subscription = live(1_000);
    assert_eq!(subscription.listen(|| at(2_000)), at(16_000));
    subscription.heard(at(12_000));
    assert_eq!(subscription.listen(|| at(12_000)), at(27_000));
    assert_eq!(subscription.failed(Reason::Silent, at(27_000), 0), Telling::Quiet);
    assert_eq!(subscription.state(), State::Reopening(Reason::Silent));
    assert_eq!(subscription.open_at(), at(27_125), "events came before, so hardly any delay");
}

#[test]
fn silence_counts_only_while_somebody_listens() {
    let mut subscription = live(1_000);
    subscription.heard(at(2_000));
    assert_eq!(subscription.rest(at(3_000)), Some(at(5_000)));
    assert_eq!(subscription.rest(at(4_900)), Some(at(5_000)), "rest goes on");
    assert_eq!(subscription.listen(|| at(40_000)), at(55_000), "what came meanwhile lies there unread");
    assert_eq!(subscription.listen(|| at(50_000)), at(55_000), "but it does come at once");
}

#[test]
fn the_end_after_five_minutes_is_no_fault_and_is_followed_at_once() {
    for lived in [299_000, 300_000] {
        let mut subscription = live(1_000);
        subscription.heard(at(2_000));
        let end = at(1_000 + lived);
        assert_eq!(subscription.ended(end, u64::MAX), Ended::InTime);
        assert_eq!((subscription.state(), subscription.open_at(), subscription.faults), (State::Renewing, end, 0));
    }
}

#[test]
fn an_end_before_its_time_is_borne_once() {
    let mut subscription = live(1_000);
    subscription.heard(at(1_000));
    assert_eq!(subscription.ended(at(2_000), 0), Ended::Early(Telling::Quiet));
    assert_eq!(subscription.open_at(), at(6_000), "five seconds after the last one began");
    subscription.opening(at(6_000));
    subscription.opened(at(6_000));
    assert_eq!(subscription.ended(at(6_001), 0), Ended::Early(Telling::Loud), "and not a single event in between");
}

#[test]
fn no_fault_brings_the_next_call_within_five_seconds_of_an_answered_one() {
    for reason in Reason::ALL {
        let mut subscription = live(1_000);
        subscription.failed(reason, at(1_500), 0);
        assert!(subscription.open_at() >= at(6_000), "{reason:?}");
        assert_eq!(subscription.state(), State::Reopening(reason));
    }
    let mut suspended = live(1_000);
    suspended.suspended();
    assert_eq!((suspended.state(), suspended.open_at()), (State::Suspended, at(6_000)));
}

#[test]
fn whoever_has_the_shard_is_waited_for_longer_than_five_seconds_and_then_named() {
    let mut subscription = Subscription::new();
    let mut now = at(1_000);
    let mut calls = Vec::new();
    for _ in 0..8 {
        subscription.opening(now);
        calls.push((now, subscription.failed(Reason::InUse, now, 0)));
        now = subscription.open_at();
    }
    let tellings: Vec<_> = calls.iter().map(|(_, telling)| *telling).collect();
    assert_eq!(tellings[..7], [Telling::Quiet; 7]);
    assert_eq!(tellings[7], Telling::Loud);
    assert!(calls[6].0.since(calls[0].0) > TAKE_OVER, "{calls:?}");
    let waits = calls.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    assert!(waits.max() <= Some(Duration::from_secs(2)), "the five seconds may be over at any time: {calls:?}");
}

#[test]
fn refusals_and_outages_are_told_at_once_and_throttling_never() {
    for (reason, telling) in [
        (Reason::Unavailable, Telling::Loud),
        (Reason::Refused, Telling::Loud),
        (Reason::Doubted, Telling::Loud),
        (Reason::Throttled, Telling::Quiet),
    ] {
        let mut subscription = Subscription::new();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(subscription.failed(reason, at(0), 0), telling, "{reason:?}");
            waits.push(subscription.open_at().since(at(0)));
        }
        assert!(waits.is_sorted() && waits[11] >= Duration::from_secs(5), "{reason:?}: {waits:?}");
        assert!(waits[11] <= Duration::from_secs(30), "{reason:?}: {waits:?}");
    }
}

#[test]
fn one_that_nobody_wants_is_closed_after_a_while_and_costs_nothing_then() {
    let mut subscription = live(1_000);
    assert_eq!(subscription.rest(at(3_000)), Some(at(5_000)));
    subscription.listen(|| at(4_000));
    assert_eq!(subscription.rest(at(8_000)), Some(at(10_000)), "demand came in between");
    subscription.suspended();
    assert_eq!(subscription.rest(at(20_000)), None);
}

#[test]
fn reasons_are_listed_in_their_order() {
    for (place, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place, "{reason:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Open,
    Answer,
    Event,
    End,
    Fail(Reason),
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..20_000).prop_map(Step::Wait),
        4 => Just(Step::Open),
        4 => Just(Step::Answer),
        4 => Just(Step::Event),
        1 => Just(Step::End),
        2 => prop::sample::select(Reason::ALL.to_vec()).prop_map(Step::Fail),
        1 => Just(Step::Rest),
    ]
}

proptest! {
    /// Whatever happens: calls keep their distance, delays are bounded, an event forgives, and silence has an end.
    #[test]
    fn calls_keep_their_distance_and_waiting_has_an_end(steps in prop::collection::vec((step(), any::<u64>()), 0..80)) {
        let mut subscription = Subscription::new();
        let mut now = at(1_000);
        let mut begun: Option<Moment> = None;
        for (step, random) in steps {
            let open = matches!(subscription.state(), State::Live);
            let opening = matches!(subscription.state(), State::Opening { .. });
            match step {
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
                Step::Open if !open && !opening => {
                    now = now.max(subscription.open_at());
                    prop_assert!(begun.is_none_or(|begun| now.since(begun) >= Duration::from_secs(5)));
                    prop_assert_eq!(subscription.opening(now), now + Duration::from_secs(10));
                }
                Step::Answer if opening => {
                    subscription.opened(now);
                    begun = Some(now);
                }
                Step::Event if open => {
                    prop_assert!(subscription.listen(|| now) <= now + LIVENESS);
                    subscription.heard(now);
                    prop_assert_eq!(subscription.faults, 0);
                    prop_assert_eq!(subscription.listen(|| now), now + LIVENESS);
                }
                Step::End if open => drop(subscription.ended(now, random)),
                Step::Fail(reason) if open || opening => drop(subscription.failed(reason, now, random)),
                Step::Rest if open => {
                    prop_assert!(subscription.rest(now).is_some());
                    subscription.suspended();
                }
                _ => {}
            }
            prop_assert!(subscription.open_at() <= now + Duration::from_secs(30));
        }
    }
}
