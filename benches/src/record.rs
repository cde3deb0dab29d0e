//! The data of every session: ten keys, about 300 bytes, and a filler for longer ones.

use std::{
    env,
    iter::repeat_n,
    sync::atomic::{AtomicU32, Ordering},
};

/// How long the filler is, in bytes.
pub(crate) const FILLER_LENGTH: &str = "BENCH_FILLER";
/// How many users log in.
pub(crate) const OWNERS: &str = "BENCH_OWNERS";
/// The key of the filler.
pub(crate) const FILLER: &str = "filler";

/// The key that is read, and the one that is counted up.
pub(crate) const READ: &str = "user_name";
pub(crate) const CHANGED: &str = "visits";

pub(crate) const TEXTS: [(&str, &str); 9] = [
    (READ, "Grace Brewster Hopper"),
    ("user_id", "0193f1f2-7b1c-7c3e-9d55-5f3c2b7a9e10"),
    ("email", "grace@example.org"),
    ("role", "editor"),
    ("locale", "en-GB"),
    ("theme", "dark"),
    ("csrf", "9b64b13a2a47f04a813fd9bcbb44c0ee"),
    ("cart", "7781:1,4410:2,9023:1,1177:4"),
    ("came_from", "/shop/keyboards?sort=price&page=3"),
];

/// The text that makes the session as long as the row wants it.
pub(crate) fn filler() -> String {
    let length = env::var(FILLER_LENGTH).ok().and_then(|it| it.parse().ok());
    repeat_n('x', length.unwrap_or(0)).collect()
}

/// The user of the next session that is made, if users log in.
pub(crate) fn owner() -> Option<String> {
    static LOGINS: AtomicU32 = AtomicU32::new(0);
    let owners: u32 = env::var(OWNERS).ok()?.parse().ok()?;
    let login = LOGINS.fetch_add(1, Ordering::Relaxed);
    Some(format!("user-{}", login % owners.max(1)))
}

/// What the read route answers.
pub(crate) fn read() -> &'static str {
    TEXTS[0].1
}
