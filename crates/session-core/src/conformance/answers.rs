//! What a promise expects of an answer; each panics at the line of the promise that called it.

use crate::{
    error::{Error, Result},
    record::{Loaded, Revision, Touch, Write},
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
        Write::Refused => panic!("the write was refused, and should have been done"),
    }
}

#[track_caller]
pub(super) fn refused(answer: Result<Write>) {
    assert_eq!(
        done(answer),
        Write::Refused,
        "the write was done, and should have been refused"
    );
}

#[track_caller]
pub(super) fn moved(answer: Result<Touch>) {
    assert_eq!(done(answer), Touch::Moved, "a live record was not touched");
}

#[track_caller]
pub(super) fn not_moved(answer: Result<Touch>) {
    assert_eq!(
        done(answer),
        Touch::Refused,
        "a record that is not there was touched"
    );
}

#[track_caller]
pub(super) fn found(answer: Result<Option<Loaded>>, payload: &[u8]) -> Loaded {
    let Some(loaded) = done(answer) else {
        panic!("the record is absent, and should be there");
    };
    // Not `assert_eq`: a megabyte of bytes says nothing.
    assert!(
        loaded.payload == payload,
        "the payload is not the one stored: {} bytes, should be {}",
        loaded.payload.len(),
        payload.len()
    );
    loaded
}

#[track_caller]
pub(super) fn absent(answer: Result<Option<Loaded>>) {
    let loaded = done(answer);
    assert!(
        loaded.is_none(),
        "a record is there, and should be absent: {loaded:?}"
    );
}

#[track_caller]
pub(super) fn too_large(answer: Result<Write>, limit: usize) {
    match answer {
        Err(Error::TooLarge {
            size,
            limit: stated,
        }) => {
            assert_eq!(stated, limit, "the error states another limit");
            assert!(size > limit, "the error states a size within the limit");
        }
        other => panic!("a payload over the limit was answered by {other:?}"),
    }
}
