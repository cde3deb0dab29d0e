//! The promises about records near and after their time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    Fixture,
    answers::{absent, done, found, found_or_absent, stored},
    time::{DAY, HOUR, after, past, record, record_until, soon, tells, wait_until},
};
use crate::{key::StoreKey, record::Write, store::SessionStore};

const YEAR: Duration = Duration::from_secs(8766 * 3600);
const SECONDS_OF_31_BITS: Duration = Duration::from_secs(0x8000_0000);
/// How many records are tested after their time, because a backend may remove one between two
/// calls.
const OUTLIVED: usize = 8;

/// A record is found, with its bytes, until its time, even if the backend counts in whole seconds.
pub async fn a_record_is_found_until_its_time<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let whole = soon();
    let mut kept = Vec::new();
    for millis in [0, 450, 990] {
        let end = whole + Duration::from_millis(millis);
        let (inserted, updated) = (fixture.key(), fixture.key());
        let revision = stored(store.insert(&updated, &record(b"first")).await);
        stored(store.insert(&inserted, &record_until(b"bytes", end)).await);
        stored(
            store
                .update(&updated, &record_until(b"bytes", end), &revision)
                .await,
        );
        // A layout that returns the time may keep whole seconds.
        let kept_until = if fixture.tells_expiry() { whole } else { end };
        kept.extend([(inserted, kept_until), (updated, kept_until)]);
    }
    for (key, end) in kept {
        loop {
            let answer = store.load(&key).await;
            if SystemTime::now() >= end {
                found_or_absent(answer, b"bytes");
                break;
            }
            found(answer, b"bytes");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// A record that was written with little time left is updated and deleted like any other while it
/// is found.
pub async fn a_record_with_little_time_left_can_be_changed_and_ended<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    for millis in [1, 60, 900, 1900] {
        let key = fixture.key();
        let little = || after(Duration::from_millis(millis));
        let mut revision = stored(store.insert(&key, &record_until(b"one", little())).await);
        for bytes in [b"two", b"six"] {
            let answer = done(
                store
                    .update(&key, &record_until(bytes, little()), &revision)
                    .await,
            );
            match answer {
                Write::Stored(next) => revision = next,
                Write::Refused => absent(store.load(&key).await),
            }
        }
        done(store.delete(&key).await);
        absent(store.load(&key).await);
    }
}

/// While a record is found, its key is in use, whatever the time. If it is absent, the key can be
/// used.
pub async fn insert_goes_by_what_is_found_and_by_no_clock<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let mut replaced = 0;
    for key in outlived(fixture).await {
        let before = found_or_absent(store.load(&key).await, b"old");
        match (done(store.insert(&key, &record(b"new")).await), before) {
            (Write::Refused, None) => panic!("the key of an absent record is in use"),
            (Write::Refused, Some(_)) => drop(found_or_absent(store.load(&key).await, b"old")),
            (Write::Stored(_), before) => {
                replaced += usize::from(before.is_some());
                found(store.load(&key).await, b"new");
            }
        }
    }
    assert!(
        replaced < 2,
        "{replaced} records that were found have been replaced by an insert"
    );
}

/// A record that is found after its time can be updated at its revision.
pub async fn update_goes_by_what_is_found_and_by_no_clock<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let end = after(HOUR);
    for key in outlived(fixture).await {
        let Some(loaded) = found_or_absent(store.load(&key).await, b"old") else {
            continue;
        };
        let new = record_until(b"new", end);
        match done(store.update(&key, &new, &loaded.revision).await) {
            Write::Refused => absent(store.load(&key).await),
            Write::Stored(_) => tells(fixture, &found(store.load(&key).await, b"new"), end),
        }
    }
}

/// A record that is found after its time can be deleted, and then its key can be used.
pub async fn delete_goes_by_what_is_found_and_by_no_clock<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    for key in outlived(fixture).await {
        done(store.delete(&key).await);
        absent(store.load(&key).await);
        stored(store.insert(&key, &record(b"new")).await);
        found(store.load(&key).await, b"new");
    }
}

/// If a record is written when its time has passed, it is found or it is absent; no other record is
/// found.
pub async fn a_record_written_after_its_time_is_that_or_absent<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    for end in [past(), UNIX_EPOCH + Duration::from_secs(1)] {
        let (inserted, updated) = (fixture.key(), fixture.key());
        stored(store.insert(&inserted, &record_until(b"bytes", end)).await);
        found_or_absent(store.load(&inserted).await, b"bytes");

        let revision = stored(store.insert(&updated, &record(b"first")).await);
        stored(
            store
                .update(&updated, &record_until(b"second", end), &revision)
                .await,
        );
        found_or_absent(store.load(&updated).await, b"second");
    }
}

/// An update moves a record's time: the record is kept beyond its first time.
pub async fn update_keeps_a_record_beyond_its_first_time<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let (first, end) = (soon(), after(HOUR));
    let revision = stored(store.insert(&key, &record_until(b"bytes", first)).await);
    stored(
        store
            .update(&key, &record_until(b"bytes", end), &revision)
            .await,
    );
    // One second more, because some backends remove records late.
    wait_until(first + Duration::from_secs(1)).await;
    tells(fixture, &found(store.load(&key).await, b"bytes"), end);
}

/// A time between two whole seconds, whether the layout returns it or not.
pub async fn an_expiry_is_told_as_it_was_given<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    for extra in [0, 1, 333, 500, 999] {
        survives(fixture, after(HOUR + Duration::from_millis(extra))).await;
    }
}

/// Memcached treats more than 30 days as a time since 1970.
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
    let (inserted, updated) = (fixture.key(), fixture.key());
    stored(store.insert(&inserted, &record_until(b"bytes", end)).await);
    tells(fixture, &found(store.load(&inserted).await, b"bytes"), end);

    let revision = stored(store.insert(&updated, &record(b"first")).await);
    stored(
        store
            .update(&updated, &record_until(b"second", end), &revision)
            .await,
    );
    tells(fixture, &found(store.load(&updated).await, b"second"), end);
}

/// The keys of records whose time has passed.
async fn outlived<S: SessionStore + ?Sized>(fixture: &Fixture<S>) -> Vec<StoreKey> {
    let end = soon();
    let keys: Vec<_> = (0..OUTLIVED).map(|_| fixture.key()).collect();
    for key in &keys {
        let old = record_until(b"old", end);
        stored(fixture.store().insert(key, &old).await);
    }
    wait_until(end).await;
    keys
}
