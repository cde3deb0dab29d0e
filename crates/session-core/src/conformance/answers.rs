//! Checks of a store's results. Each panics at the line of the promise that called it.

use crate::{
    error::Result,
    record::{Loaded, Revision, Write},
};

#[track_caller]
pub(super) fn done<T>(answer: Result<T>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store failed: {error} ({error:?})"),
    }
}

#[track_caller]
pub(super) fn stored(answer: Result<Write>) -> Revision {
    match done(answer) {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("the write was refused, but should have been done"),
    }
}

#[track_caller]
pub(super) fn refused(answer: Result<Write>) {
    assert_eq!(
        done(answer),
        Write::Refused,
        "the write was done, but should have been refused"
    );
}

#[track_caller]
pub(super) fn found(answer: Result<Option<Loaded>>, bytes: &[u8]) -> Loaded {
    found_or_absent(answer, bytes).expect("the record is absent, but should exist")
}

/// For a record that the store may have removed.
#[track_caller]
pub(super) fn found_or_absent(answer: Result<Option<Loaded>>, bytes: &[u8]) -> Option<Loaded> {
    let loaded = done(answer)?;
    // Not `assert_eq`: a megabyte of bytes says nothing.
    assert!(
        loaded.bytes == bytes,
        "the bytes are not those that were stored: {}, should be {}",
        loaded.bytes.len(),
        bytes.len()
    );
    Some(loaded)
}

#[track_caller]
pub(super) fn absent(answer: Result<Option<Loaded>>) {
    let loaded = done(answer);
    assert!(
        loaded.is_none(),
        "a record exists, but should be absent: {loaded:?}"
    );
}
