//! Lease and fleet store in a SQLite file, for several processes on one machine.
