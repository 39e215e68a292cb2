//! The lease row, packed, and the way to the library's own row and back.

use std::fmt;
use std::sync::LazyLock;

use kcl_core::types::{Checkpoint, Epoch, Lease, LeaseKey, RecordPosition, WorkerId};

/// A worker: the first three are ours, the last one is of the Java library.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who(pub u8);

/// The most workers of ours in one model.
pub(super) const MOST: usize = 3;
/// The worker of the Java library.
pub(super) const JAVA: Who = Who(MOST as u8);

static IDS: LazyLock<Vec<WorkerId>> = LazyLock::new(|| {
    let names = ["A", "B", "C", "J"];
    names.iter().map(|name| WorkerId::new(name).expect("a letter is a worker id")).collect()
});
static KEY: LazyLock<LeaseKey> = LazyLock::new(|| LeaseKey::new("shardId-0").expect("it is spelled like a shard id"));

impl Who {
    /// As the library knows it.
    pub fn id(self) -> &'static WorkerId {
        &IDS[self.index()]
    }

    /// Its place in arrays.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn of(id: &WorkerId) -> Who {
        let at = IDS.iter().position(|known| known == id);
        Who(at.expect("rows name workers of the model") as u8)
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id().as_str())
    }
}

/// How far: records up to and including this one, or the end of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mark(pub u8);

/// The end of the shard.
pub(super) const END: Mark = Mark(u8::MAX);

impl Mark {
    /// As the library writes it.
    pub fn checkpoint(self) -> Checkpoint {
        match self {
            Mark(0) => Checkpoint::TrimHorizon,
            END => Checkpoint::ShardEnd,
            Mark(count) => {
                let sequence = count.to_string().parse().expect("a number is a sequence number");
                Checkpoint::At(RecordPosition { sequence, sub: 0 })
            }
        }
    }

    fn of(checkpoint: &Checkpoint) -> Mark {
        match checkpoint {
            Checkpoint::ShardEnd => END,
            Checkpoint::At(position) => {
                Mark(position.sequence.as_str().parse().expect("the model writes small numbers"))
            }
            _ => Mark(0),
        }
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == END { f.write_str("END") } else { write!(f, "{}", self.0) }
    }
}

/// The part of a lease row that the protocol is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// `leaseOwner`.
    pub owner: Option<Who>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Option<Who>,
    /// `leaseCounter`.
    pub counter: u8,
    /// `k_c`.
    pub own_counter: u8,
    /// `k_epoch`.
    pub epoch: u8,
    /// `checkpoint`.
    pub checkpoint: Mark,
}

impl Row {
    /// Who reads now, by the row.
    pub fn holder(&self) -> Option<Who> {
        self.checkpoint_owner.or(self.owner)
    }

    /// Whether it names this worker as the one that may adopt it.
    pub fn names(&self, worker: Who) -> bool {
        self.owner == Some(worker) && self.checkpoint_owner.is_none()
    }

    /// Whether the shard has ended.
    pub fn ended(&self) -> bool {
        self.checkpoint == END
    }

    /// A row that nobody has written since it was made: of a shard of which nothing is read.
    pub fn made(owner: Option<Who>, counter: u8) -> Row {
        Row {
            owner,
            checkpoint_owner: None,
            counter,
            own_counter: counter,
            epoch: u8::from(owner.is_some()),
            checkpoint: Mark(0),
        }
    }

    /// As the library knows it.
    pub fn lease(&self) -> Lease {
        self.lease_of(&KEY)
    }

    /// The same, of a shard among others.
    pub fn lease_of(&self, key: &LeaseKey) -> Lease {
        let mut lease = Lease::unowned(key.clone(), self.checkpoint.checkpoint(), u64::from(self.counter));
        lease.owner = self.owner.map(|who| who.id().clone());
        lease.checkpoint_owner = self.checkpoint_owner.map(|who| who.id().clone());
        lease.own_counter = Some(u64::from(self.own_counter));
        lease.epoch = Some(Epoch(u64::from(self.epoch)));
        lease
    }

    /// What the model keeps of the library's row.
    pub fn of(lease: &Lease) -> Row {
        let small = |number: u64| u8::try_from(number).expect("bounds keep numbers small");
        Row {
            owner: lease.owner.as_ref().map(Who::of),
            checkpoint_owner: lease.checkpoint_owner.as_ref().map(Who::of),
            counter: small(lease.counter),
            own_counter: small(lease.own_counter.unwrap_or_default()),
            epoch: small(lease.epoch().0),
            checkpoint: Mark::of(&lease.checkpoint),
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { owner, checkpoint_owner, counter, own_counter, epoch, checkpoint } = self;
        let name = |who: &Option<Who>| who.map_or("-", |who| who.id().as_str());
        write!(f, "({}, {}, {counter}, {epoch}, {checkpoint:?})", name(owner), name(checkpoint_owner))?;
        if own_counter != counter { write!(f, " k_c={own_counter}") } else { Ok(()) }
    }
}
