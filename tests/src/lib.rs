//! The harness of the tests that boot machines.
