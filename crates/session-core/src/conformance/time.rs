use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Fixture, answers::stored};
use crate::{
    key::StoreKey,
    record::{Loaded, Record, Revision},
    store::SessionStore,
};

/// How much earlier than given a record may end: a second of rounding, and a little for reading the clock.
const GRANULARITY: Duration = Duration::from_millis(1100);
/// Long enough for a slow store on a busy machine to find a record that still lives.
const SHORT_LIFE: Duration = Duration::from_millis(900);

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

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

/// A record that lives long enough for every test.
pub(super) fn record(payload: &[u8]) -> Record {
    record_until(payload, after(HOUR))
}

pub(super) fn record_until(payload: &[u8], expires_at: SystemTime) -> Record {
    Record {
        payload: payload.to_vec(),
        expires_at,
        owner: None,
    }
}

/// Waits until `instant` has come, by the clock that stores use.
pub(super) async fn wait_until(instant: SystemTime) {
    while let Ok(left) = instant.duration_since(SystemTime::now()) {
        tokio::time::sleep(left.max(Duration::from_millis(1))).await;
    }
}

/// Puts a record under `key` and waits until it has expired; the answer is its revision.
pub(super) async fn insert_and_outlive<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
    key: &StoreKey,
    payload: &[u8],
) -> Revision {
    let end = soon();
    let revision = stored(
        fixture
            .store()
            .insert(key, &record_until(payload, end))
            .await,
    );
    wait_until(end).await;
    revision
}

/// That `loaded` ends when it was told to, or up to a second earlier.
#[track_caller]
pub(super) fn ends_at(loaded: &Loaded, given: SystemTime) {
    let early = match given.duration_since(loaded.expires_at) {
        Ok(early) => early,
        Err(late) => panic!(
            "the record ends {:?} later than it was told",
            late.duration()
        ),
    };
    assert!(
        early <= GRANULARITY,
        "the record ends {early:?} earlier than it was told"
    );
}
