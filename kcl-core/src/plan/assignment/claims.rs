//! What a worker may do by itself when nobody plans for the fleet.

use super::reason;
use super::share::Members;
use super::snapshot::{LeaseState, Snapshot};
use super::steps::{Plan, Step};
use super::tie::tie;
use crate::types::WorkerId;

/// What the worker `me` may take by itself when no leader plans: leases that nobody holds, or whose holder is silent, up to
/// its share of all that can be read.
///
/// The order is one in which workers that do this at the same time rarely meet: first what it had last, then what it wants
/// more than the other workers do. All compute the same figures. Nothing is moved, and nothing that has a live holder is
/// touched. A row that names `me` is not among it: that is adopted, not taken.
pub fn claims(snapshot: &Snapshot<'_>, me: &WorkerId) -> Plan {
    let members = Members::with(snapshot, me);
    let Some(index) = members.index(me) else { return Plan::default() };
    let member = &members.list[index];
    let most = members.shares()[index].saturating_sub(member.has).min(member.room);
    let mut candidates: Vec<(bool, usize, u64, &LeaseState<'_>)> = snapshot
        .leases()
        .iter()
        .filter(|lease| lease.needs_worker() && lease.row.holder() != Some(me))
        .map(|lease| {
            let key = lease.key().as_str();
            let mine = tie(snapshot.seed(), me, key);
            let before_me = members.list.iter().filter(|rival| tie(snapshot.seed(), rival.id, key) > mine).count();
            let had_it = lease.row.last_owner.as_ref() == Some(me) && lease.shunned() != Some(me);
            (!had_it, before_me, u64::MAX - mine, lease)
        })
        .collect();
    candidates.sort_by_key(|(foreign, before_me, reversed, _)| (*foreign, *before_me, *reversed));
    let steps = candidates.into_iter().take(most);
    Plan::from(Vec::from_iter(steps.map(|(.., lease)| Step::assign(lease.key(), me, reason::needs_worker(lease)))))
}
