//! Pure decisions: snapshots in, plans with reasons out.
