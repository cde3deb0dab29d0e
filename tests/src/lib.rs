//! The server harness.
