//! The times that the promises use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::Fixture;
use crate::{
    record::{Loaded, Record},
    store::SessionStore,
};

/// How much earlier than stored the returned expiry may be: some layouts keep whole seconds.
const GRANULARITY: Duration = Duration::from_secs(1);
/// Long enough for a slow store on a busy machine to find a record before its time.
const SHORT_LIFE: Duration = Duration::from_millis(900);

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn after(time: Duration) -> SystemTime {
    SystemTime::now() + time
}

/// A whole second, which no store rounds, 0.9 to 1.9 seconds from now.
pub(super) fn soon() -> SystemTime {
    let earliest = after(SHORT_LIFE)
        .duration_since(UNIX_EPOCH)
        .expect("a clock that shows at least 1970");
    UNIX_EPOCH + Duration::from_secs(earliest.as_secs() + 1)
}

pub(super) fn past() -> SystemTime {
    SystemTime::now() - Duration::from_secs(2)
}

/// A record whose time is late enough for every test.
pub(super) fn record(bytes: &[u8]) -> Record {
    record_until(bytes, after(HOUR))
}

pub(super) fn record_until(bytes: &[u8], expires_at: SystemTime) -> Record {
    Record {
        bytes: Bytes::copy_from_slice(bytes),
        expires_at,
        entry: None,
    }
}

/// Waits until `instant`, by the clock that stores use.
pub(super) async fn wait_until(instant: SystemTime) {
    while let Ok(left) = instant.duration_since(SystemTime::now()) {
        tokio::time::sleep(left.max(Duration::from_millis(1))).await;
    }
}

/// Checks the expiry of `loaded`: the stored one, at most rounded down, if the layout returns it;
/// otherwise none.
#[track_caller]
pub(super) fn tells<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
    loaded: &Loaded,
    given: SystemTime,
) {
    let Some(told) = loaded.expires_at else {
        assert!(!fixture.tells_expiry(), "no expiry was returned");
        return;
    };
    assert!(
        fixture.tells_expiry(),
        "an expiry was returned, but the fixture says that the layout keeps none outside of the bytes"
    );
    match given.duration_since(told) {
        Ok(early) => assert!(
            early < GRANULARITY,
            "the returned expiry is {early:?} early"
        ),
        Err(late) => panic!("the returned expiry is {:?} late", late.duration()),
    }
}
