use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    Fixture,
    answers::{absent, done, found, moved, stored},
    time::{DAY, HOUR, after, ends_at, past, record, record_until, soon, wait_until},
};
use crate::store::SessionStore;

const YEAR: Duration = Duration::from_hours(8766);
const SECONDS_OF_31_BITS: Duration = Duration::from_secs(0x8000_0000);

/// A record is absent from the instant at which it ends, whatever the backend's clock or clean-up does.
pub async fn a_record_is_absent_from_the_instant_it_ends<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let whole = soon();
    for end in [whole - Duration::from_millis(450), whole] {
        let (inserted, updated) = (fixture.key(), fixture.key());
        let revision = stored(store.insert(&updated, &record(b"first")).await);
        let ending = record_until(b"payload", end);
        stored(store.insert(&inserted, &ending).await);
        stored(store.update(&updated, &ending, &revision).await);
        wait_until(end).await;
        absent(store.load(&inserted).await);
        absent(store.load(&updated).await);
    }
}

/// A record whose end has passed when it is written is never seen.
pub async fn a_record_written_after_its_end_is_absent<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, inserted, updated) = (fixture.store(), fixture.key(), fixture.key());
    for end in [past(), UNIX_EPOCH + Duration::from_secs(1)] {
        done(
            store
                .insert(&inserted, &record_until(b"payload", end))
                .await
                .map(drop),
        );
        absent(store.load(&inserted).await);

        let revision = stored(store.insert(&updated, &record(b"first")).await);
        done(
            store
                .update(&updated, &record_until(b"second", end), &revision)
                .await
                .map(drop),
        );
        absent(store.load(&updated).await);
    }
}

/// A record ends when it was told to or up to a second earlier, and never later.
pub async fn an_expiry_is_kept_to_the_second_and_never_later<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    for extra in [0, 1, 333, 500, 999] {
        survives(fixture, after(HOUR + Duration::from_millis(extra))).await;
    }
}

/// Memcached takes more than 30 days for an instant of the year 1970.
pub async fn an_expiry_beyond_30_days_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    for days in [29, 30, 31, 400] {
        survives(fixture, after(days * DAY)).await;
    }
}

/// Seconds in 31 bits end in January 2038.
pub async fn an_expiry_beyond_2038_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    survives(fixture, UNIX_EPOCH + SECONDS_OF_31_BITS).await;
    survives(fixture, UNIX_EPOCH + 70 * YEAR).await;
}

/// Seconds in 32 bits end in February 2106.
pub async fn an_expiry_in_the_year_2200_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    survives(fixture, UNIX_EPOCH + 230 * YEAR).await;
}

async fn survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>, end: SystemTime) {
    let store = fixture.store();
    let (inserted, updated, touched) = (fixture.key(), fixture.key(), fixture.key());
    stored(
        store
            .insert(&inserted, &record_until(b"payload", end))
            .await,
    );
    ends_at(&found(store.load(&inserted).await, b"payload"), end);

    let revision = stored(store.insert(&updated, &record(b"first")).await);
    stored(
        store
            .update(&updated, &record_until(b"second", end), &revision)
            .await,
    );
    ends_at(&found(store.load(&updated).await, b"second"), end);

    stored(store.insert(&touched, &record(b"payload")).await);
    moved(store.touch(&touched, end).await);
    ends_at(&found(store.load(&touched).await, b"payload"), end);
}
