//! What the tests of this folder share: nothing but the worker program in `bin/`.
