//! The async shell: drives the pure parts, decides nothing.
