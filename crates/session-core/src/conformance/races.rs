//! The promises about concurrent writes.

use std::sync::Arc;

use super::{
    Fixture,
    answers::{absent, done, found, stored},
    rounds,
    tasks::{Task, together},
    time::record,
};
use crate::{record::Write, store::SessionStore};

/// If an update and a delete of one record race, the record is absent when both have returned.
pub async fn update_racing_delete_never_leaves_a_record<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    for round in 0..rounds() {
        let key = fixture.key();
        let revision = stored(fixture.store().insert(&key, &record(b"one")).await);
        let (updating, deleting) = in_turn(fixture, round);
        let (updated, deleted) = (key.clone(), key.clone());
        let mut tasks: Vec<Task<()>> = vec![
            Box::pin(async move {
                done(
                    updating
                        .update(&updated, &record(b"two"), &revision)
                        .await
                        .map(drop),
                );
            }),
            Box::pin(async move { done(deleting.delete(&deleted).await) }),
        ];
        // On a busy machine the task that was started last often runs first.
        if round % 4 < 2 {
            tasks.reverse();
        }
        together(tasks).await;
        absent(fixture.store().load(&key).await);
    }
}

/// Of several updates at one revision exactly one is done, and its record is stored.
pub async fn of_many_updates_at_one_revision_exactly_one_wins<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    for _ in 0..rounds() {
        let key = fixture.key();
        let revision = stored(fixture.store().insert(&key, &record(b"first")).await);
        let tasks = (0..4_u8)
            .map(|number| -> Task<Write> {
                let (store, _) = in_turn(fixture, usize::from(number));
                let (key, revision) = (key.clone(), revision.clone());
                Box::pin(
                    async move { done(store.update(&key, &record(&[number]), &revision).await) },
                )
            })
            .collect();
        let answers = together(tasks).await;
        let winners: Vec<_> = (0..4_u8)
            .filter(|number| answers[usize::from(*number)].is_stored())
            .collect();
        assert_eq!(winners.len(), 1, "updates that won: {winners:?}");
        found(fixture.store().load(&key).await, &winners);
    }
}

/// If many tasks increment a counter by compare-and-set, no increment is lost and no number occurs
/// twice.
pub async fn concurrent_updates_account_exactly<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    const TASKS: usize = 8;
    const STEPS: usize = 25;
    let key = fixture.key();
    stored(fixture.store().insert(&key, &record(b"0")).await);
    let tasks = (0..TASKS)
        .map(|number| -> Task<Vec<usize>> {
            let (store, _) = in_turn(fixture, number);
            let key = key.clone();
            Box::pin(async move {
                let mut seen = Vec::with_capacity(STEPS);
                while seen.len() < STEPS {
                    let loaded = done(store.load(&key).await).expect("nobody ends the record");
                    let next = count(&loaded.bytes) + 1;
                    let changed = record(next.to_string().as_bytes());
                    if done(store.update(&key, &changed, &loaded.revision).await).is_stored() {
                        seen.push(next);
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen = together(tasks).await.concat();
    seen.sort_unstable();
    assert!(
        seen.into_iter().eq(1..=TASKS * STEPS),
        "some numbers occurred twice or never"
    );
    found(
        fixture.store().load(&key).await,
        (TASKS * STEPS).to_string().as_bytes(),
    );
}

fn count(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("the record is not a number: {} bytes", bytes.len()))
}

/// The two handles, swapped in every second round.
fn in_turn<S: SessionStore + ?Sized>(fixture: &Fixture<S>, round: usize) -> (Arc<S>, Arc<S>) {
    let (one, other) = (Arc::clone(fixture.store()), Arc::clone(fixture.second()));
    if round.is_multiple_of(2) {
        (one, other)
    } else {
        (other, one)
    }
}
