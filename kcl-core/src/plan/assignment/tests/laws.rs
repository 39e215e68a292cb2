//! What holds for every fleet.

use proptest::prelude::*;

use super::model::{Event, Model, Variety};
use crate::plan::assignment::{AssignmentStrategy, Count, Load, StepAction};
use crate::types::{Throughput, WorkerId};

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Join),
        2 => Just(Event::Crash),
        2 => Just(Event::Stop),
        1 => Just(Event::Restart),
        2 => Just(Event::Split),
        6 => Just(Event::Quiet),
    ]
}

fn variety() -> impl Strategy<Value = Variety> {
    any::<[bool; 4]>().prop_map(|[capacities, zones, limits, loads]| Variety { capacities, zones, limits, loads })
}

/// Two workers at the start, then events with looks and plans between them, one plan in ten steps of which fail.
fn live(strategy: &dyn AssignmentStrategy, mut model: Model, events: &[Event]) -> Model {
    model.join();
    model.join();
    for event in events {
        model.happen(*event, strategy);
        model.pass();
        model.plan(strategy, 1);
    }
    if model.alive().is_empty() {
        model.join();
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, no plan does harm (see `Model::check`), plans come to an end, and then every lease that can be read
    /// is with a worker that lives, if one has room.
    #[test]
    fn plans_do_no_harm_and_come_to_rest(
        leases in 0usize..40,
        variety in variety(),
        by_load in any::<bool>(),
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 0..40),
    ) {
        let strategy: &dyn AssignmentStrategy = if by_load { &Load } else { &Count };
        let mut model = live(strategy, Model::new(leases, variety, seed), &events);
        let last = model.settle(strategy).pop().expect("at least one plan");
        let read: usize = model.counts().values().sum();
        prop_assert_eq!(read + last.unplaced, model.readable().len());
        let has_room = model.workers.values().any(|w| w.alive && w.row.max_leases.is_none());
        prop_assert!(last.unplaced == 0 || !has_room, "{} unplaced", last.unplaced);
    }

    #[test]
    fn any_start_ends_in_floor_and_ceil(
        leases in 0usize..60,
        zones in any::<bool>(),
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 0..40),
    ) {
        let mut model = live(&Count, Model::new(leases, Variety { zones, ..Variety::default() }, seed), &events);
        model.settle(&Count);
        let counts: Vec<usize> = model.counts().into_values().collect();
        let (least, most) = (counts.iter().min().expect("one lives"), counts.iter().max().expect("one lives"));
        prop_assert!(most - least <= 1, "{:?}", counts);
        prop_assert_eq!(counts.iter().sum::<usize>(), model.readable().len());
    }

    #[test]
    fn with_capacities_each_has_its_part_rounded_down_or_up(
        leases in 0usize..60,
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 0..30),
    ) {
        let mut model = live(&Count, Model::new(leases, Variety { capacities: true, ..Variety::default() }, seed), &events);
        model.settle(&Count);
        let capacity = |id: &WorkerId| model.workers[id].row.capacity.unwrap_or(1.0);
        let all: f64 = model.alive().iter().map(capacity).sum();
        for (id, has) in model.counts() {
            let part = model.readable().len() as f64 * capacity(&id) / all;
            prop_assert!((has as f64 - part).abs() < 1.0, "{} has {} of {}", id, has, part);
        }
    }

    /// Each move takes from a worker that has at least two more, until the number of moves is the least that evens out.
    #[test]
    fn nothing_is_moved_without_gain_and_no_more_than_needed(
        held in prop::collection::vec(0usize..12, 1..8),
        joining in 0usize..4,
        seed in any::<u64>(),
    ) {
        let mut model = Model::new(held.iter().sum(), Variety::default(), seed);
        (0..held.len() + joining).for_each(|_| model.join());
        let mut owners = model.alive().into_iter().zip(held).flat_map(|(id, count)| std::iter::repeat_n(id, count));
        model.leases.values_mut().for_each(|lease| lease.owner = owners.next());
        model.pass();
        model.pass();
        let mut counts = model.counts();
        let sum: usize = counts.values().sum();
        let least = sum / counts.len();
        let over: usize = counts.values().map(|count| count.saturating_sub(least + 1)).sum();
        let under: usize = counts.values().map(|count| least.saturating_sub(*count)).sum();
        let mut moves = 0;
        for planned in model.settle(&Count) {
            for step in planned.plan.steps {
                let StepAction::Move { from, to } = &step.action else { panic!("{step}") };
                prop_assert!(counts[from] >= counts[to] + 2, "{}", step);
                *counts.get_mut(from).expect("a worker") -= 1;
                *counts.get_mut(to).expect("a worker") += 1;
                moves += 1;
            }
        }
        prop_assert_eq!(moves, over.max(under));
    }

    /// The gap between two workers is at most 20 % of the mean, or one that the lightest lease would not fit into.
    #[test]
    fn loads_come_close_as_far_as_the_leases_allow(
        leases in 0usize..60,
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 0..30),
    ) {
        let mut model = live(&Load, Model::new(leases, Variety { loads: true, ..Variety::default() }, seed), &events);
        model.settle(&Load);
        let readable = model.readable();
        let measured = |key| model.leases[key].throughput.map_or(0.0, |Throughput(measured)| measured);
        let mean = readable.iter().map(measured).sum::<f64>() / readable.len().max(1) as f64;
        let base = (mean / 4.0).max(1.0);
        let weights = |id: &WorkerId| -> Vec<f64> {
            let held = readable.iter().filter(|key| model.leases[*key].owner.as_ref() == Some(id));
            held.map(|key| measured(key) + base).collect()
        };
        let alive = model.alive();
        let loads: Vec<f64> = alive.iter().map(|id| weights(id).iter().sum()).collect();
        let part = loads.iter().sum::<f64>() / loads.len() as f64;
        for (id, load) in alive.iter().zip(&loads) {
            let lightest = weights(id).into_iter().fold(f64::INFINITY, f64::min);
            let least = loads.iter().fold(f64::INFINITY, |a, b| a.min(*b));
            prop_assert!(load - least <= (0.2 * part).max(1.25 * lightest) + 1e-6, "{:?} {}", loads, lightest);
        }
    }

    /// What holders measure follows every burst within seconds: here the true figure is wrong by a quarter most of the time,
    /// for each lease in its own way. That moves next to nothing.
    #[test]
    fn noise_does_not_make_leases_wander(leases in 1usize..60, workers in 1usize..8, seed in any::<u64>()) {
        let mut model = Model::new(leases, Variety { loads: true, ..Variety::default() }, seed);
        (0..workers).for_each(|_| model.join());
        let steady: Vec<f64> = model.leases.values().filter_map(|lease| lease.throughput).map(|t| t.0).collect();
        let mut waves = vec![1.0; leases];
        let mut moves = 0;
        for round in 0..350 {
            for (lease, (steady, wave)) in steady.iter().zip(&mut waves).enumerate() {
                *wave = 0.66 * *wave + 0.34 * 2.0 * model.fraction();
                model.carries(lease, steady * *wave);
            }
            model.pass();
            let planned = model.plan(&Load, 0);
            moves += if round < 50 { 0 } else { planned.plan.steps.len() };
        }
        prop_assert!(moves <= 2 * workers + 4, "{} moves in ten minutes", moves);
    }
}
