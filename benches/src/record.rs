//! The data of every session: ten keys, about 300 bytes.

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

/// What the read route answers.
pub(crate) fn read() -> &'static str {
    TEXTS[0].1
}
