//! The directory goes while the store is used, and comes back with the next session.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use session_core::{ExpiredSweep as _, SessionStore as _};
use session_tests::rounds;

use crate::place::{Place, key, of_ada, put, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_removed_under_load_makes_errors_at_the_worst_and_comes_back() {
    let place = Place::own();
    let going = Arc::new(AtomicBool::new(true));
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let (store, going) = (place.store(), Arc::clone(&going));
            tokio::spawn(async move {
                let mut round = 0;
                while going.load(Ordering::Relaxed) {
                    let key = key(&format!("{number} {}", round % 50));
                    let _ = store.insert(&key, &of_ada("x")).await;
                    if let Ok(Some(found)) = store.load(&key).await {
                        assert_eq!(found.payload, b"x");
                        let _ = store.update(&key, &record("x"), &found.revision).await;
                    }
                    let _ = store.sweep(10).await;
                    round += 1;
                }
            })
        })
        .collect();
    let parent = place.directory().parent().unwrap().to_owned();
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let aside = parent.join("aside");
        if round % 2 == 0 {
            let _ = fs::remove_dir_all(place.directory());
        } else if fs::rename(place.directory(), &aside).is_ok() {
            // What was under way when it was moved may still write into it.
            while fs::remove_dir_all(&aside).is_err() && aside.exists() {}
        }
    }
    going.store(false, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let _ = fs::remove_dir_all(place.directory());
    assert!(
        place.store().load(&key("it")).await.unwrap().is_none(),
        "no directory, no session"
    );
    put(&place.store(), &key("it"), &record("x")).await;
    let beside = fs::read_dir(&parent).unwrap().count();
    assert_eq!(beside, 1, "something was written beside the directory");
}
