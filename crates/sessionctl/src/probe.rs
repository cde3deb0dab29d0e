//! The key of what a command writes to find out whether a store works.

use session_stores::session_core::{KeyPrefix, SessionId, StoreKey};

/// A key that nobody has, and that is none of a record: whoever reads all records does not meet what is
/// there, also if the command is killed before it removes it.
pub(crate) fn key(prefix: &KeyPrefix) -> StoreKey {
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let key = prefix.hashed_key(&id);
    let (prefix, digest) = key.as_str().split_at(prefix.as_str().len());
    StoreKey::from_stored(format!("{prefix}probe:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_no_key_of_a_record() {
        let prefix = KeyPrefix::default();
        assert!(!prefix.is_of_record(key(&prefix).as_str()));
    }
}
