use session_core::Touch;

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// The seconds that the node will keep the item, `None` if it has none.
fn seconds_left(node: &Memcached, key: &StoreKey) -> Option<i64> {
    let reply = node.command(&format!("mg {} t", key.as_str()));
    let number = reply.strip_prefix("HD t")?;
    Some(number.trim().parse().unwrap())
}

#[tokio::test]
async fn the_node_is_always_given_an_end_that_is_not_later() {
    let node = Memcached::start(&[]).await;
    for store in [open(&node.addr()), open(&node.addr()).with_flask_layout()] {
        for lifetime in [
            HOUR,
            Duration::from_secs(30 * 86_400 - 1),
            30 * DAY,
            30 * DAY + Duration::from_secs(1),
            400 * DAY,
        ] {
            let lasting = || record_until(b"payload", SystemTime::now() + lifetime);
            let (key, touched) = (key(), key());
            let revision = stored(store.insert(&key, &lasting()).await);
            kept_for(&node, &key, lifetime);
            stored(store.update(&key, &lasting(), &revision).await);
            kept_for(&node, &key, lifetime);
            stored(store.insert(&touched, &record(b"payload")).await);
            let moved = store.touch(&touched, SystemTime::now() + lifetime).await;
            assert_eq!(moved.unwrap(), Touch::Moved);
            kept_for(&node, &touched, lifetime);
        }
    }
}

#[track_caller]
fn kept_for(node: &Memcached, key: &StoreKey, lifetime: Duration) {
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap();
    let left = seconds_left(node, key).expect("the item is there");
    // The node's clock ticks once a second and is up to one ahead or two behind.
    assert!(
        (lifetime - 2..=lifetime + 3).contains(&left),
        "{left} of {lifetime}"
    );
}

#[tokio::test]
async fn a_lifetime_of_nothing_or_less_than_a_second_is_not_forever() {
    let node = Memcached::start(&[]).await;
    for store in [open(&node.addr()), open(&node.addr()).with_flask_layout()] {
        for millis in [0, 1, 500, 999] {
            let key = key();
            let end = SystemTime::now() + Duration::from_millis(millis);
            stored(store.insert(&key, &record_until(b"payload", end)).await);
            assert!(seconds_left(&node, &key).is_none_or(|left| (1..=3).contains(&left)));
        }
    }
}

/// Whatever the node's clock shows, a record is not served from its end on.
#[tokio::test]
async fn no_record_is_read_after_its_end() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let tasks: Vec<_> = (0..20)
        .map(|step| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = key();
                let end = SystemTime::now() + Duration::from_millis(1200 + 50 * step);
                stored(store.insert(&key, &record_until(b"payload", end)).await);
                let mut reads = 0;
                loop {
                    let before = SystemTime::now();
                    if store.load(&key).await.unwrap().is_none() {
                        break;
                    }
                    assert!(
                        before < end,
                        "read {:?} after its end",
                        before.duration_since(end)
                    );
                    reads += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                // Rounded down, and a node's clock may be a second ahead: but not dead at birth.
                reads
            })
        })
        .collect();
    let mut reads = 0;
    for task in tasks {
        reads += task.await.unwrap();
    }
    assert!(reads > 100, "only {reads} reads");
}

#[tokio::test]
async fn an_item_in_flasks_layout_ends_by_the_nodes_clock_within_two_seconds() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_flask_layout();
    let key = key();
    let end = SystemTime::now() + Duration::from_millis(2500);
    stored(store.insert(&key, &record_until(b"payload", end)).await);
    let told = store.load(&key).await.unwrap().unwrap().expires_at;
    assert!(told < end + Duration::from_secs(2) && end < told + Duration::from_secs(3));
    while store.load(&key).await.unwrap().is_some() {
        assert!(SystemTime::now() < end + Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(SystemTime::now() + Duration::from_secs(2) > end);
}
