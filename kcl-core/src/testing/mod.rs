//! Conformance suites and doubles for tests of your own stores, sources and processors.
