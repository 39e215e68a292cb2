//! How long coordination takes and what it costs, in virtual time: fleets of real workers over a table in memory that
//! answers after about 20 ms, with a failover time of 10 s, whose machines do as they are told.
//!
//! | file | what |
//! |---|---|
//! | `table`, `traffic` | the table, what was asked of it, and what DynamoDB bills for that |
//! | `stream` | a stream that always has a record |
//! | `journal` | who had which shard when |
//! | `fleet` | workers that join, stop and crash |
//! | `events` | what is waited for: the samples of one seed |
//! | `steady` | what a fleet at rest asks of the table |
//! | `figures` | samples and budgets, and whether they hold |
//!
//! Tasks run in an order, and calls take times, that come from the seed: a seed gives the same samples each time.

mod events;
mod figures;
mod fleet;
mod journal;
mod steady;
mod stream;
mod table;
mod traffic;

pub use figures::{Budget, Figures, Limit, Unit};
pub use fleet::Stuck;
pub use steady::{Cost, cost};

/// Everything that is promised, in the order of the promises.
pub const BUDGETS: &[Budget] = &[
    Budget {
        name: "crash",
        event: "crash of a worker to first record at the new owner",
        limits: &[Limit::Mean(13.0), Limit::P99(16.0)],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::crash_of_a_worker,
    },
    Budget {
        name: "leader",
        event: "the same when it was the leader",
        limits: &[Limit::P99(19.0)],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::crash_of_the_leader,
    },
    Budget {
        name: "leader-and-standby",
        event: "leader and standby together",
        limits: &[Limit::P99(30.0)],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::crash_of_leader_and_standby,
    },
    Budget {
        name: "move",
        event: "planned move: A has drained to first record at B",
        limits: &[Limit::P99(1.0)],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::planned_move,
    },
    Budget {
        name: "stop",
        event: "stop of a worker: it has drained to all its leases in use elsewhere",
        limits: &[Limit::Max(2.0)],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::stop_of_a_worker,
    },
    Budget {
        name: "join",
        event: "new worker reaches its fair share of 1,000 leases",
        limits: &[Limit::Max(15.0)],
        unit: Unit::Seconds,
        effort: 20,
        sample: events::join,
    },
    Budget {
        name: "cold-start",
        event: "cold start, table exists, 1,000 shards, to first record",
        limits: &[Limit::Max(2.0)],
        unit: Unit::Seconds,
        effort: 10,
        sample: events::cold_start,
    },
    Budget {
        name: "writes",
        event: "writes per lease and minute, checkpoints at any rate up to one per period included",
        limits: &[Limit::Max(18.2)],
        unit: Unit::Count,
        effort: 5,
        sample: steady::writes,
    },
    Budget {
        name: "writes-on-demand",
        event: "the same, handlers ask for a checkpoint themselves, every 4 s to 60 s",
        limits: &[Limit::Max(18.2)],
        unit: Unit::Count,
        effort: 5,
        sample: steady::writes_on_demand,
    },
    Budget {
        name: "failed-writes",
        event: "failed conditional writes in steady state, beyond the rate of unanswered calls",
        limits: &[Limit::Max(0.1)],
        unit: Unit::Percent,
        effort: 5,
        sample: steady::failed_writes,
    },
];

/// What nothing is promised about, and what is good to know.
pub const BESIDES: &[Budget] = &[
    Budget {
        name: "move-records",
        event: "planned move: last record at A to first record at B",
        limits: &[],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::planned_move_between_records,
    },
    Budget {
        name: "cold-start-all",
        event: "cold start, table exists, 1,000 shards, to a record of each shard",
        limits: &[],
        unit: Unit::Seconds,
        effort: 10,
        sample: events::cold_start_of_all,
    },
    Budget {
        name: "even",
        event: "workers that start together on a table without leases, to an even spread that stays",
        limits: &[],
        unit: Unit::Seconds,
        effort: 1,
        sample: events::even_spread,
    },
];
