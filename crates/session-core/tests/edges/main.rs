//! What requests must not do to each other, and to themselves: cancelled, doubled and late work, told apart endings,
//! cookies and records that drift apart.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod after_head;
mod cancelled;
mod cookies;
mod cost;
mod cut_off;
mod ended_meanwhile;
mod expired;
mod flask;
mod lifetimes;
mod limits;
mod outage;
mod owners;
mod reentrant;
mod support;
mod unreadable;
mod which_cookie;
