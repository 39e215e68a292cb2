//! Lease and fleet store in memory: the reference of the semantics, with scripted faults.
