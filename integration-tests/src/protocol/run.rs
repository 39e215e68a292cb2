//! All that is explored, whatever the model: the protocol as it is, and without its rules.

use super::check::{Found, Told, explore, shortest};
use super::rule::{Broken, Rule};
use super::{inbox, lease, lineage, lock};

/// One exploration and what it must bring.
pub struct Run {
    /// The model and its world.
    pub name: String,
    /// How far it goes.
    pub bounds: String,
    /// What is taken out of the protocol.
    pub without: &'static [Rule],
    /// What must be found to be broken.
    pub breaks: Option<Broken>,
    /// What happens then, or why nothing does.
    pub why: &'static str,
    /// Whether it is small enough for every test run.
    pub quick: bool,
    go: Box<dyn Fn(usize) -> Found>,
}

impl Run {
    /// The protocol as it is.
    pub(super) fn whole(name: &str, bounds: String, quick: bool, go: impl Fn(usize) -> Found + 'static) -> Run {
        let (name, go) = (name.to_owned(), Box::new(go));
        Run { name, bounds, without: &[], breaks: None, why: "", quick, go }
    }

    /// The protocol without some rules.
    pub(super) fn without(
        (name, bounds): (&str, String),
        without: &'static [Rule],
        breaks: Option<Broken>,
        why: &'static str,
        go: impl Fn(usize) -> Found + 'static,
    ) -> Run {
        Run { name: name.to_owned(), bounds, without, breaks, why, quick: true, go: Box::new(go) }
    }

    /// Explores with so many threads.
    pub fn explore(&self, threads: usize) -> Found {
        (self.go)(threads)
    }

    /// Whether it brought what it must.
    pub fn is_as_expected(&self, found: &Found) -> bool {
        match (self.breaks, &found.broken[..]) {
            (None, []) => true,
            (Some(breaks), [trace]) => trace.promise == breaks.promise(),
            _ => false,
        }
    }
}

/// Everything, the small models first.
pub fn all() -> Vec<Run> {
    let mut runs = inbox::runs();
    runs.extend(lineage::runs());
    runs.extend(lock::runs());
    runs.extend(lease::runs());
    runs
}

/// Explores a model wholly.
pub(super) fn wholly<M>(model: M) -> impl Fn(usize) -> Found + 'static
where
    M: Told + Clone + Send + Sync + 'static,
    M::State: std::hash::Hash + std::fmt::Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    move |threads| explore(model.clone(), threads)
}

/// Looks for the shortest way to a broken promise.
pub(super) fn to_the_break<M>(model: M) -> impl Fn(usize) -> Found + 'static
where
    M: Told + Clone + Send + Sync + 'static,
    M::State: std::hash::Hash + std::fmt::Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    move |_one_is_needed_for_the_shortest| shortest(model.clone())
}
