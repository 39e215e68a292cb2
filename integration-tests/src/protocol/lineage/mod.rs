//! The lineage of shards: parents that end, children whose rows are made by the finisher's transaction or by a leader, rows
//! of ended shards that are removed, a leader that acts on an old look, and somebody who changes rows by hand.
//!
//! Which rows are missing, which may be removed, and what the transaction at the end of a shard consists of, the library's own
//! functions say (`kcl_core::testing::protocol::lineage`). What happens to one row alone is explored in [`super::lease`]:
//! here takes, renewals and checkpoints take effect at once, and only what one shard means for another is late or lost.

mod actions;
mod bounds;
mod end;
mod fair;
mod leader;
mod scenarios;
mod state;
mod step;
mod world;

use std::sync::Arc;

use stateright::{Model, Property};

pub use actions::Action;
pub use bounds::{Bounds, Start};
pub(super) use scenarios::runs;
pub use state::State;

use super::check::{Told, told};
use super::row::{END, MOST, Mark, Row, Who};
use super::rule::{Broken, Rules};
use state::{LATE, Parents, Past, Spent, Tenure, Worker};
use world::{Duties, SHARDS, World};

/// The model of a lineage.
#[derive(Clone)]
pub struct LineageModel {
    /// How far it goes.
    pub bounds: Bounds,
    /// Which rules hold.
    pub rules: Rules,
    /// The promise that is looked at; all of them if none is named.
    pub only: Option<Broken>,
    world: &'static World,
    duties: Arc<Duties>,
}

impl LineageModel {
    /// All promises.
    fn new(world: &'static World, bounds: Bounds, rules: Rules) -> Self {
        LineageModel { bounds, rules, only: None, world, duties: Arc::new(Duties::new(world, rules)) }
    }

    /// Notes a broken promise, if it is one that is looked at.
    fn broke(&self, state: &mut State, broken: Broken) {
        if self.only.is_none_or(|only| only == broken) {
            state.broken.get_or_insert(broken);
        }
    }

    fn workers(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.bounds.workers).map(Who)
    }

    /// The first shards are held, each by another worker, and nothing is read.
    fn fresh(&self, state: &mut State) {
        let first = self.world.shards().filter(|shard| self.world.parents[*shard] == 0);
        for (at, shard) in first.enumerate() {
            let holder = Who((at % usize::from(self.bounds.workers)) as u8);
            let row = Row::made(Some(holder), 1);
            state.rows[shard] = Some(row);
            state.past[shard].token = Some(1);
            state.worker_mut(holder).tenures[shard] =
                Some(Tenure { confirmed: row, parents: Parents::Over, done: false, end: None });
        }
    }

    /// The closed shards have ended, their children have begun, and nobody holds anything.
    fn begun(&self, state: &mut State) {
        for shard in self.world.shards() {
            let checkpoint = if self.world.is_leaf(shard) { Mark(1) } else { END };
            state.rows[shard] = Some(Row { checkpoint, ..Row::made(None, 1) });
            state.past[shard] = Past { token: Some(1), stored: checkpoint, delivered: true, ..Past::default() };
        }
    }
}

impl Told for LineageModel {
    fn told_future(&self, stuck: &State) -> Vec<String> {
        let future = self.future(stuck);
        future
            .map(|(from, steps)| told(self, &from, steps, |state, action| self.step(state, action)))
            .unwrap_or_default()
    }
}

impl Model for LineageModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            rows: [None; SHARDS],
            past: [Past::default(); SHARDS],
            workers: [Worker::default(); MOST],
            late: [None; LATE],
            missing: None,
            clock: 1,
            spent: Spent::default(),
            broken: None,
        };
        match self.bounds.start {
            Start::Empty => {}
            Start::Fresh => self.fresh(&mut state),
            Start::Begun => self.begun(&mut state),
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_none() {
            self.possible(state, actions);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        self.step(&mut state, action);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const CLASS: usize>(_: &LineageModel, state: &State) -> bool {
            state.broken != Some(Broken::ALL[CLASS])
        }
        fn moves_on(model: &LineageModel, state: &State) -> bool {
            state.broken.is_some() || model.future(state).is_none()
        }
        type Holds = fn(&LineageModel, &State) -> bool;
        let all: [(Broken, Holds); 5] = [
            (Broken::ALL[1], holds::<1>),
            (Broken::ALL[2], holds::<2>),
            (Broken::ALL[4], holds::<4>),
            (Broken::ALL[7], holds::<7>),
            (Broken::Stuck, moves_on),
        ];
        let asked = |broken: Broken| self.only.is_none_or(|only| only == broken);
        let looked_at = all.into_iter().filter(|(broken, _)| asked(*broken));
        looked_at.map(|(broken, condition)| Property::always(broken.promise(), condition)).collect()
    }

    fn format_action(&self, action: &Action) -> String {
        action.tell(&self.world.names)
    }

    /// The rows that it changes.
    fn format_step(&self, before: &State, action: Action) -> Option<String> {
        let after = self.next_state(before, action)?;
        let changed = self.world.shards().filter(|shard| before.rows[*shard] != after.rows[*shard]);
        let rows: Vec<String> = changed
            .map(|shard| match after.rows[shard] {
                Some(row) => format!("{} {row:?}", self.world.names[shard]),
                None => format!("{} has no row", self.world.names[shard]),
            })
            .collect();
        match action {
            Action::Land(_) | Action::LandLate(_) if rows.is_empty() => Some("it is refused".to_owned()),
            _ if rows.is_empty() => None,
            _ => Some(rows.join(", ")),
        }
    }
}
