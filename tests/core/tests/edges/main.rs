//! Edge cases of requests: cancelled, concurrent and late work, sessions that ended meanwhile, and
//! the ends of cookies and records.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod after_head;
mod back_channel;
mod cancelled;
mod cookies;
mod cost;
mod cut_off;
mod devices;
mod encryption;
mod ended_meanwhile;
mod expired;
mod flask;
mod flask_cookie;
mod flask_cookie_attacks;
mod in_turn;
mod increments;
mod lifetimes;
mod limits;
mod metrics;
mod outage;
mod owners;
mod reauthentication;
mod reentrant;
mod renewal_chains;
mod rotated;
mod security_events;
mod sessions_per_user;
mod spawned;
mod support;
mod taken;
mod unreadable;
mod which_cookie;
