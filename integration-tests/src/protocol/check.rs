//! Explores a model and says in words what was found.

use std::fmt::{self, Debug};
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

use super::rule::Broken;

/// A model of the protocol.
pub trait Told: Model {
    /// How the world goes on from a state in which it is stuck, in words: nothing where the way there says it all.
    fn told_future(&self, _stuck: &Self::State) -> Vec<String> {
        Vec::new()
    }
}

/// What exploring a model brought.
#[derive(Debug, Clone)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Steps, those that led to states known before included.
    pub steps: usize,
    /// The longest way from the beginning to a new state.
    pub depth: usize,
    /// The promises that are broken.
    pub broken: Vec<Trace>,
}

/// A broken promise, and the steps that lead there.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What was promised.
    pub promise: &'static str,
    /// What happened, in words.
    pub steps: Vec<String>,
    /// How it goes on, where nothing goes on.
    pub future: Vec<String>,
}

impl Found {
    fn shortest(&self) -> Option<usize> {
        self.broken.iter().map(|trace| trace.steps.len()).min()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}", self.promise)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", at + 1)?;
        }
        if !self.future.is_empty() {
            writeln!(f, "   from here on, though whoever is left does what it can:")?;
        }
        self.future.iter().try_for_each(|step| writeln!(f, "      {step}"))
    }
}

/// Explores everything within the bounds of the model.
pub fn explore<M>(model: M, threads: usize) -> Found
where
    M: Told + Send + Sync + 'static,
    M::State: Hash + Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Clone + PartialEq,
{
    found(&model.checker().threads(threads).finish_when(HasDiscoveries::AllFailures).spawn_bfs().join())
}

/// The shortest way to a broken promise, if there is one.
pub fn shortest<M>(model: M) -> Found
where
    M: Told + Clone + Send + Sync + 'static,
    M::State: Hash + Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Clone + PartialEq,
{
    let mut best: Option<Found> = None;
    loop {
        let checker = model.clone().checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
        // A block of states is looked at before the checker stops, and the last way found in it is kept: ask again for a
        // shorter one until there is none.
        let shorter = best.as_ref().and_then(Found::shortest).map(|steps| steps.saturating_sub(1));
        let found = match shorter {
            Some(0) => break,
            Some(steps) => found(&checker.target_max_depth(steps + 2).spawn_bfs().join()),
            None => found(&checker.spawn_bfs().join()),
        };
        if found.broken.is_empty() {
            return best.unwrap_or(found);
        }
        best = Some(found);
    }
    best.expect("it was found before it was found to be the shortest")
}

/// So many steps of a future show how it is.
const FUTURE: usize = 24;

/// A future in words, of which the steps are known.
pub(super) fn told<M: Model>(
    model: &M,
    from: &M::State,
    steps: Vec<M::Action>,
    step: impl Fn(&mut M::State, M::Action),
) -> Vec<String>
where
    M::State: Clone + Debug,
    M::Action: Clone + Debug,
{
    let all = steps.len();
    let mut state = from.clone();
    let mut told: Vec<String> = Vec::new();
    for action in steps.into_iter().take(FUTURE) {
        told.push(told_step(model, &state, action.clone()));
        step(&mut state, action);
    }
    told.push(if all > FUTURE { "and so on" } else { "and there is nothing else to be done" }.to_owned());
    told
}

/// A step in words, with what it changes.
fn told_step<M: Model>(model: &M, state: &M::State, action: M::Action) -> String
where
    M::State: Debug,
    M::Action: Debug + Clone,
{
    let step = model.format_action(&action);
    model.format_step(state, action).map_or(step.clone(), |change| format!("{step}: {change}"))
}

fn found<M>(checker: &impl Checker<M>) -> Found
where
    M: Told,
    M::State: Hash + Debug + Clone + PartialEq,
    M::Action: Debug + Clone + PartialEq,
{
    let mut broken: Vec<_> = checker
        .discoveries()
        .into_iter()
        .map(|(promise, path)| {
            let model = checker.model();
            let path = path.into_vec();
            let future = path.last().filter(|_| promise == Broken::Stuck.promise());
            let future = future.map(|(state, _)| model.told_future(state)).unwrap_or_default();
            let steps =
                path.into_iter().filter_map(|(state, action)| Some(told_step(model, &state, action?))).collect();
            Trace { promise, steps, future }
        })
        .collect();
    broken.sort_by_key(|trace| trace.promise);
    Found { states: checker.unique_state_count(), steps: checker.state_count(), depth: checker.max_depth(), broken }
}
