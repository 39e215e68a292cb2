//! Why a lease needs a worker, in words.

use super::snapshot::LeaseState;
use super::standing::Standing;

pub(super) fn needs_worker(lease: &LeaseState<'_>) -> String {
    match (lease.standing, lease.shunned()) {
        (Standing::Expired { holder }, _) => {
            format!("expired, owner {holder} silent {:.1} s", lease.silent.as_secs_f64())
        }
        (Standing::Stranded { with }, _) => format!("it waits for {with}, which is gone"),
        (_, Some(worker)) => format!("free, {worker} gave it up"),
        (_, None) => "free".to_owned(),
    }
}
