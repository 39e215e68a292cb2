//! Order among equals: the same for all workers, another for each seed.

use crate::types::WorkerId;

/// Rendezvous hashing: how much a worker wants a lease, or with an empty text how it ranks among workers. All workers compute
/// the same figures.
pub(super) fn tie(seed: u64, worker: &WorkerId, lease: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in worker.as_str().bytes().chain([0]).chain(lease.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The plain FNV hash of keys that differ in their last digit differs little; this spreads it.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
