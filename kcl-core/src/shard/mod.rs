//! The life of one shard on one worker, as pure state.
