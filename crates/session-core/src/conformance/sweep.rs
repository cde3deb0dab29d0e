use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Fixture,
    answers::{absent, done, found, moved, stored},
    rounds,
    tasks::{Task, together},
    time::{HOUR, after, ends_at, past, record, record_until, soon, wait_until},
};
use crate::{key::StoreKey, store::ExpiredSweep};

/// A sweep removes what has expired, says how many that were, and keeps what lives.
pub async fn sweep_removes_the_expired_and_keeps_the_live<S: ExpiredSweep + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let [short, shortened, extended, long] = [(); 4].map(|()| fixture.key());
    let (end, far) = (soon(), after(HOUR));
    stored(store.insert(&short, &record_until(b"short", end)).await);
    stored(store.insert(&shortened, &record(b"shortened")).await);
    moved(store.touch(&shortened, end).await);
    stored(
        store
            .insert(&extended, &record_until(b"extended", end))
            .await,
    );
    moved(store.touch(&extended, far).await);
    stored(store.insert(&long, &record_until(b"long", far)).await);
    wait_until(end).await;
    assert_eq!(done(store.sweep(100).await), 2);
    assert_eq!(done(store.sweep(100).await), 0);
    absent(store.load(&short).await);
    absent(store.load(&shortened).await);
    ends_at(&found(store.load(&extended).await, b"extended"), far);
    ends_at(&found(store.load(&long).await, b"long"), far);
}

/// A sweep removes at most as many as it is told, and less only if none is left.
pub async fn sweep_keeps_to_its_limit<S: ExpiredSweep + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let end = soon();
    for _ in 0..7 {
        stored(store.insert(&fixture.key(), &record_until(b"x", end)).await);
    }
    wait_until(end).await;
    assert_eq!(done(store.sweep(0).await), 0);
    for expected in [3, 3, 1, 0] {
        assert_eq!(done(store.sweep(3).await), expected);
    }
}

/// A sweep of a store in which nothing has expired removes nothing.
pub async fn sweep_of_live_records_removes_none<S: ExpiredSweep + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    assert_eq!(done(store.sweep(10).await), 0);
    let revision = stored(store.insert(&key, &record(b"one")).await);
    assert_eq!(done(store.sweep(10).await), 0);
    stored(store.update(&key, &record(b"two"), &revision).await);
    assert_eq!(done(store.sweep(10).await), 0);
    found(store.load(&key).await, b"two");
}

/// A record written, changed or touched while sweeps run is as safe as without them.
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
                done(store.sweep(2).await);
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
                        write_on_expired_keys(&*store, pair, pause).await;
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

/// Ends the sweeps also when a writer panics.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn write_on_expired_keys<S: ExpiredSweep + ?Sized>(
    store: &S,
    keys: &[StoreKey],
    pause: Duration,
) {
    for key in keys {
        stored(store.insert(key, &record(b"old")).await);
        done(store.touch(key, past()).await.map(|_| ()));
    }
    // So that a sweep finds the expired records, and some only just before they are replaced.
    tokio::time::sleep(pause).await;
    for key in keys {
        let revision = stored(store.insert(key, &record(b"new")).await);
        moved(store.touch(key, after(2 * HOUR)).await);
        stored(store.update(key, &record(b"newer"), &revision).await);
    }
}
