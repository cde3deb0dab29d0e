//! The promises of stores that must be swept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    Fixture,
    answers::{absent, done, found, refused, stored},
    rounds,
    tasks::{Task, together},
    time::{HOUR, after, past, record, record_until, soon, tells, wait_until},
};
use crate::{
    key::StoreKey,
    record::Write,
    store::{ExpiredSweep, Swept},
};

/// Calls within which each sweep of these tests ends; a store that is slow needs several.
const CALLS: usize = 1000;

/// A sweep removes the records that are past their time, returns how many, and keeps all others.
pub async fn sweep_removes_what_is_past_its_time_and_nothing_else<S: ExpiredSweep + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let [short, shortened, extended, long] = [(); 4].map(|()| fixture.key());
    let (end, far) = (soon(), after(HOUR));
    let write = async |key, first, then: Option<SystemTime>| {
        let mut revision = stored(store.insert(key, &record_until(b"first", first)).await);
        if let Some(then) = then {
            let second = record_until(b"second", then);
            revision = stored(store.update(key, &second, &revision).await);
        }
        revision
    };
    let of_short = write(&short, end, None).await;
    write(&shortened, far, Some(end)).await;
    write(&extended, end, Some(far)).await;
    write(&long, far, None).await;
    let early = swept(store, 100).await;
    assert!(
        early == 0 || SystemTime::now() >= end,
        "a record was swept before its time"
    );

    wait_until(end).await;
    found(store.load(&extended).await, b"second");
    assert_eq!(early + swept(store, 100).await, 2);
    assert_eq!(swept(store, 100).await, 0);
    absent(store.load(&short).await);
    absent(store.load(&shortened).await);
    tells(fixture, &found(store.load(&extended).await, b"second"), far);
    tells(fixture, &found(store.load(&long).await, b"first"), far);

    refused(store.update(&short, &record(b"revived"), &of_short).await);
    stored(store.insert(&short, &record(b"new")).await);
    found(store.load(&short).await, b"new");
}

/// A call of a sweep removes at most as many records as its limit. With a limit of 0 it is never done.
pub async fn sweep_keeps_to_its_limit<S: ExpiredSweep + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let end = soon();
    for _ in 0..7 {
        stored(store.insert(&fixture.key(), &record_until(b"x", end)).await);
    }
    wait_until(end).await;
    let nothing = Swept {
        removed: 0,
        is_done: false,
    };
    assert_eq!(done(store.sweep(0).await), nothing);
    assert_eq!(swept(store, 3).await, 7);
    assert_eq!(swept(store, 3).await, 0);
}

/// Calls of a sweep in a row come to an end, and say so only when nothing is left to remove.
pub async fn sweep_is_done_when_nothing_is_left<S: ExpiredSweep + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let (end, far) = (soon(), after(HOUR));
    let keys: Vec<_> = (0..10).map(|_| fixture.key()).collect();
    let (live, expired) = keys.split_at(4);
    for (keys, until) in [(live, far), (expired, end)] {
        for key in keys {
            stored(store.insert(key, &record_until(b"x", until)).await);
        }
    }
    wait_until(end).await;
    assert_eq!(swept(store, 2).await, 6);
    for key in expired {
        absent(store.load(key).await);
    }
    for key in live {
        found(store.load(key).await, b"x");
    }
    assert_eq!(swept(store, 1).await, 0);
}

/// A sweep of a store in which no record is past its time removes none.
pub async fn sweep_before_any_time_has_passed_removes_none<S: ExpiredSweep + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    assert_eq!(swept(store, 10).await, 0);
    let revision = stored(store.insert(&key, &record(b"one")).await);
    assert_eq!(swept(store, 10).await, 0);
    stored(store.update(&key, &record(b"two"), &revision).await);
    assert_eq!(swept(store, 10).await, 0);
    found(store.load(&key).await, b"two");
}

/// A record that is written or updated during a sweep is kept.
pub async fn sweep_spares_what_is_written_beside_it<S: ExpiredSweep + ?Sized>(
    fixture: &Fixture<S>,
) {
    const WRITERS: usize = 3;
    let keys: Vec<Vec<_>> = (0..WRITERS)
        .map(|_| {
            (0..rounds().div_ceil(WRITERS))
                .map(|_| fixture.key())
                .collect()
        })
        .collect();
    let writing = Arc::new(AtomicBool::new(true));
    let mut tasks: Vec<Task<()>> = Vec::new();
    for handle in [fixture.store(), fixture.second()] {
        let (store, writing) = (Arc::clone(handle), Arc::clone(&writing));
        tasks.push(Box::pin(async move {
            while writing.load(Ordering::Relaxed) {
                let _swept = done(store.sweep(2).await);
                tokio::task::yield_now().await;
            }
        }));
    }
    let store = Arc::clone(fixture.store());
    let written = keys.clone();
    tasks.push(Box::pin(async move {
        let finished = StopOnDrop(writing);
        let writers = written
            .into_iter()
            .map(|keys| -> Task<()> {
                let store = Arc::clone(&store);
                Box::pin(async move {
                    for (pair, pause) in keys.chunks(2).zip([1, 2, 3].into_iter().cycle()) {
                        let pause = Duration::from_millis(pause);
                        write_on_old_keys(&*store, pair, pause).await;
                    }
                })
            })
            .collect();
        together(writers).await;
        drop(finished);
    }));
    together(tasks).await;
    for key in keys.concat() {
        found(fixture.store().load(&key).await, b"newer");
    }
}

/// Sweeps until a call is done, and returns how many records were removed. No call may remove more
/// than `limit`.
async fn swept<S: ExpiredSweep + ?Sized>(store: &Arc<S>, limit: usize) -> u64 {
    let mut removed = 0;
    for _ in 0..CALLS {
        let swept = done(store.sweep(limit).await);
        assert!(
            swept.removed <= limit as u64,
            "a call with a limit of {limit} removed {}",
            swept.removed
        );
        removed += swept.removed;
        if swept.is_done {
            return removed;
        }
    }
    panic!("after {CALLS} calls the sweep is not done");
}

/// Ends the sweeps also when a writer panics.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn write_on_old_keys<S: ExpiredSweep + ?Sized>(
    store: &S,
    keys: &[StoreKey],
    pause: Duration,
) {
    for key in keys {
        stored(store.insert(key, &record_until(b"old", past())).await);
    }
    // So a sweep finds some of the old records, and some just before they are replaced.
    tokio::time::sleep(pause).await;
    for key in keys {
        let mut write = Write::Refused;
        if let Some(old) = done(store.load(key).await) {
            write = done(store.update(key, &record(b"new"), &old.revision).await);
        }
        let revision = match write {
            Write::Stored(revision) => revision,
            Write::Refused => stored(store.insert(key, &record(b"new")).await),
        };
        stored(store.update(key, &record(b"newer"), &revision).await);
    }
}
