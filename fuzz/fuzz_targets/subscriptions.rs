#![no_main]

use integration_tests::fuzzing::Target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| Target::Subscriptions.check(bytes));
