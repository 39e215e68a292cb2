//! The end of a shard as one transaction: its row says `SHARD_END`, and the rows of its children are made.
//!
//! In one, because in two a worker that dies in between leaves children that nobody knows of, or children that are read
//! while their parent is not ended. The children belong to the finisher, so that none waits for a planner. A row that is
//! there already (shard sync made it, or the finisher of the other parent of a merge) is left alone. The child of a merge is
//! made only if the rows of all its other parents exist: otherwise a shard further up may still be read, and the finisher of
//! the last parent makes it.

use std::collections::BTreeSet;

use super::shard_sync::Children;
use super::transition::LeaseWrite;
use crate::types::{
    ChildShard, Epoch, Lease, LeaseKey, ShardId, StepResult, TRANSACTION_LIMIT, TransactionStep, WorkerId,
};

/// What the end of a shard brings into being.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShardEnding {
    /// The children that have rows once it is written. One that waits for another parent is not named by this one: so a row
    /// that an ended parent names and that is missing was deleted.
    pub(crate) children: BTreeSet<ShardId>,
    /// The rows that are made.
    rows: Vec<Lease>,
    /// Rows of children that were there already: perhaps they name this worker.
    existing: Vec<LeaseKey>,
}

impl ShardEnding {
    /// The end of a shard with these children. Also yields the rows that have no room in the transaction, which a split or
    /// a merge never has: they are to be made before it.
    pub(crate) fn new(parent: &Lease, children: &[ChildShard], of: Children) -> (Self, Vec<Lease>) {
        let Children { due: mut rows, there, waiting } = of;
        let fits = |rows: &[Lease]| 1 + rows.len() + others(parent, rows).len() <= TRANSACTION_LIMIT;
        let room = (0..=rows.len()).rev().find(|&count| fits(&rows[..count])).unwrap_or(0);
        let surplus = rows.split_off(room);
        let existing = surplus.iter().map(|row| row.key.clone()).chain(there).collect();
        let children = children.iter().map(|child| &child.id).filter(|id| !waiting.contains(id)).cloned().collect();
        (ShardEnding { children, rows, existing }, surplus)
    }

    /// Lets the finisher hold up to `most` of the children from their first moment on.
    pub(crate) fn own(&mut self, me: &WorkerId, most: usize) {
        for row in self.rows.iter_mut().take(most) {
            row.owner = Some(me.clone());
            row.last_owner = Some(me.clone());
            // The creation is the write that begins the tenure, and such a write raises the epoch.
            row.epoch = Some(Epoch(row.epoch().0.saturating_add(1)));
        }
    }

    /// Leaves the children to others.
    pub(crate) fn disown(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.owner.is_some()) {
            row.owner = None;
            row.epoch = Some(Epoch(row.epoch().0.saturating_sub(1)));
        }
    }

    /// Whether there are rows to make.
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The rows that this worker holds once they are made.
    pub(crate) fn begun<'a>(&'a self, me: &'a WorkerId) -> impl Iterator<Item = &'a Lease> {
        self.rows.iter().filter(move |row| row.owner.as_ref() == Some(me))
    }

    /// Children whose rows this end did not make, as far as is known.
    pub(crate) fn existing(&self) -> &[LeaseKey] {
        &self.existing
    }

    /// All children that have rows once the shard has ended.
    pub(crate) fn with_rows(&self) -> impl Iterator<Item = &LeaseKey> {
        self.rows.iter().map(|row| &row.key).chain(&self.existing)
    }

    /// The transaction; just one step if there are no rows to make.
    pub(crate) fn steps(&self, parent: &Lease, write: LeaseWrite) -> Vec<TransactionStep> {
        let LeaseWrite { condition, change } = write;
        let end = TransactionStep::Update { key: parent.key.clone(), condition, change };
        let rows = self.rows.iter().map(|row| TransactionStep::Create(Box::new(row.clone())));
        let others = others(parent, &self.rows).into_iter().map(TransactionStep::Exists);
        [end].into_iter().chain(rows).chain(others).collect()
    }

    /// Takes in which steps of a transaction were in the way, the end itself not among them: a row that exists is not made,
    /// and a child whose other parent has no row waits. False if nothing was in the way.
    pub(crate) fn give_way(&mut self, parent: &Lease, results: &[StepResult]) -> bool {
        let failed = |index: usize| results.get(index) == Some(&StepResult::Failed);
        let missing: BTreeSet<LeaseKey> = others(parent, &self.rows)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| failed(1 + self.rows.len() + index))
            .map(|(_, key)| key)
            .collect();
        let before = self.rows.len();
        let rows = std::mem::take(&mut self.rows);
        for (index, row) in rows.into_iter().enumerate() {
            if failed(1 + index) {
                self.existing.push(row.key);
            } else if row.parents.iter().any(|id| missing.contains(&row.sibling_key(id))) {
                self.children.retain(|child| row.sibling_key(child) != row.key);
            } else {
                self.rows.push(row);
            }
        }
        self.rows.len() < before
    }
}

/// The other parents of these children, whose rows must exist.
fn others(parent: &Lease, rows: &[Lease]) -> BTreeSet<LeaseKey> {
    let keys = rows.iter().flat_map(|row| row.parents.iter().map(|id| row.sibling_key(id)));
    keys.filter(|key| *key != parent.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::transition::{Role, shard_end};
    use crate::types::Checkpoint;

    fn id(index: usize) -> ShardId {
        ShardId::new(format!("shardId-{index}")).unwrap()
    }

    fn row(index: usize, parents: &[usize]) -> Lease {
        let mut row = Lease::unowned(LeaseKey::of_shard(None, &id(index)), Checkpoint::TrimHorizon, 7);
        row.parents = parents.iter().map(|&parent| id(parent)).collect();
        row
    }

    fn due(rows: Vec<Lease>) -> Children {
        Children { due: rows, ..Children::default() }
    }

    fn ending(parent: &Lease, rows: Vec<Lease>) -> ShardEnding {
        let named: Vec<ChildShard> = rows
            .iter()
            .map(|row| ChildShard::new(row.shard_id().unwrap(), row.parents.iter().cloned().collect(), None))
            .collect();
        let (ending, surplus) = ShardEnding::new(parent, &named, due(rows));
        assert_eq!(surplus, []);
        ending
    }

    fn text(ending: &ShardEnding, parent: &Lease) -> Vec<String> {
        let me = WorkerId::new("a").unwrap();
        let write = shard_end(parent, &me, Role::Owner, Epoch(1), &ending.children);
        let steps = ending.steps(parent, write).into_iter();
        steps
            .map(|step| match step {
                TransactionStep::Update { key, .. } => format!("end {key}"),
                TransactionStep::Create(row) => {
                    format!("create {} for {}", row.key, row.owner.map_or("-".into(), |owner| owner.to_string()))
                }
                TransactionStep::Exists(key) => format!("exists {key}"),
            })
            .collect()
    }

    #[test]
    fn a_split_and_a_merge_fit_into_one_transaction() {
        let me = WorkerId::new("a").unwrap();
        let parent = row(0, &[]);
        let mut split = ending(&parent, vec![row(1, &[0]), row(2, &[0])]);
        split.own(&me, 1);
        let expected = ["end shardId-0", "create shardId-1 for a", "create shardId-2 for -"];
        assert_eq!(text(&split, &parent), expected);
        assert_eq!(
            split.begun(&me).map(|row| (row.key.as_str(), row.epoch())).collect::<Vec<_>>(),
            [("shardId-1", Epoch(1))]
        );
        split.disown();
        assert_eq!(text(&split, &parent)[1], "create shardId-1 for -");
        assert_eq!(split.begun(&me).count(), 0);
        let merge = ending(&parent, vec![row(4, &[0, 3])]);
        assert_eq!(text(&merge, &parent), ["end shardId-0", "create shardId-4 for -", "exists shardId-3"]);
    }

    #[test]
    fn a_child_that_exists_is_left_alone_and_needs_no_other_parent() {
        let parent = row(0, &[]);
        let mut merge = ending(&parent, vec![row(4, &[0, 3])]);
        assert!(merge.give_way(&parent, &[StepResult::Held, StepResult::Failed, StepResult::Failed]));
        assert_eq!(text(&merge, &parent), ["end shardId-0"]);
        assert_eq!(merge.existing(), [LeaseKey::of_shard(None, &id(4))]);
    }

    #[test]
    fn the_child_of_a_merge_waits_while_another_parent_has_no_row() {
        let parent = row(0, &[]);
        let mut merge = ending(&parent, vec![row(4, &[0, 3])]);
        assert!(merge.give_way(&parent, &[StepResult::Held, StepResult::Held, StepResult::Failed]));
        assert_eq!((text(&merge, &parent), merge.existing().len()), (vec!["end shardId-0".to_owned()], 0));
        assert_eq!(merge.children.len(), 0, "it names only what has a row");
        assert!(!merge.give_way(&parent, &[StepResult::Held]), "nothing is in the way any more");
    }

    #[test]
    fn rows_beyond_the_limit_of_a_transaction_are_made_before_it() {
        let parent = row(0, &[]);
        let rows: Vec<Lease> = (1..=5).map(|index| row(index, &[0])).collect();
        let (ending, surplus) = ShardEnding::new(&parent, &[], due(rows));
        assert_eq!((text(&ending, &parent).len(), surplus.len()), (4, 2));
        assert_eq!(ending.with_rows().count(), 5);
    }
}
