//! The promises about several handles, `Debug` output, and dropped calls.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use super::{
    Fixture,
    answers::{absent, done, found, stored},
    rounds,
    tasks::{Task, together},
    time::record,
};
use crate::{key::StoreKey, store::SessionStore};

/// A record that one handle writes can be loaded and changed by the other.
pub async fn a_second_handle_sees_the_same_records<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (one, other, key) = (fixture.store(), fixture.second(), fixture.key());
    stored(one.insert(&key, &record(b"one")).await);
    let loaded = found(other.load(&key).await, b"one");
    stored(other.update(&key, &record(b"two"), &loaded.revision).await);
    let loaded = found(one.load(&key).await, b"two");
    stored(
        other
            .update(&key, &record(b"three"), &loaded.revision)
            .await,
    );
    done(one.delete(&key).await);
    absent(other.load(&key).await);
}

/// The `Debug` output of a store, which is logged, shows no key and no data.
pub async fn debug_shows_no_key_and_no_bytes<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"nobodys-business")).await);
    found(store.load(&key).await, b"nobodys-business");
    let digest = key
        .as_str()
        .strip_prefix(fixture.prefix().as_str())
        .expect("a fixture's keys begin with its prefix");
    for text in [format!("{store:?}"), format!("{store:#?}")] {
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for secret in [
            digest,
            "nobodys-business",
            "110, 111, 98, 111, 100, 121, 115",
        ] {
            assert!(!one_line.contains(secret), "Debug shows {secret}");
        }
    }
}

/// A call that is dropped before it returns does no damage, and no other call receives its reply.
pub async fn a_dropped_future_disturbs_no_other_call<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let tasks = (0..4)
        .map(|_| -> Task<()> {
            let store = Arc::clone(fixture.store());
            let bystander = fixture.key();
            let keys: Vec<_> = (0..rounds().div_ceil(4)).map(|_| fixture.key()).collect();
            Box::pin(async move {
                stored(
                    store
                        .insert(&bystander, &record(bystander.as_str().as_bytes()))
                        .await,
                );
                for (round, key) in keys.iter().enumerate() {
                    drop_each_call(&*store, key, &bystander, round % 4 + 1).await;
                }
            })
        })
        .collect();
    together(tasks).await;
}

async fn drop_each_call<S: SessionStore + ?Sized>(
    store: &S,
    key: &StoreKey,
    bystander: &StoreKey,
    polls: usize,
) {
    let undisturbed = async || {
        found(store.load(bystander).await, bystander.as_str().as_bytes());
    };
    polled(store.insert(key, &record(b"dropped")), polls).await;
    undisturbed().await;
    done(store.delete(key).await);
    // The dropped insert may be carried out only now, like one whose reply was lost.
    done(store.insert(key, &record(b"one")).await.map(drop));
    let before = done(store.load(key).await).expect("one of the two inserts was done");

    polled(store.load(key), polls).await;
    undisturbed().await;
    polled(store.update(key, &record(b"two"), &before.revision), polls).await;
    undisturbed().await;
    let bytes = done(store.load(key).await)
        .expect("nobody ended the record")
        .bytes;
    assert!(
        bytes == before.bytes || bytes == b"two"[..],
        "a record holds what nobody wrote"
    );
    polled(store.delete(key), polls).await;
    undisturbed().await;
}

/// Polls `call` up to `polls` times, then drops it.
pub(super) async fn polled<T>(call: impl Future<Output = T>, polls: usize) {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|cx| {
        left -= 1;
        match call.as_mut().poll(cx) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}
