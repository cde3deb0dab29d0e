//! The session as handlers have it. `request.rs` extracts it.

session_core::named_session!();
