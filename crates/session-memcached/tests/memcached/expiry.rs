//! When memcached removes a record.

use super::*;
use session_tests::assert_in_time;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how many more seconds the node keeps the item, or `None` if there is no item.
fn seconds_left(node: &Memcached, key: &StoreKey) -> Option<i64> {
    let reply = node.command(&format!("mg {} t", key.as_str()));
    let number = reply.strip_prefix("HD t")?;
    Some(number.trim().parse().unwrap())
}

#[tokio::test]
async fn no_item_expires_before_its_record() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    for lifetime in [
        HOUR,
        Duration::from_secs(30 * 86_400 - 1),
        30 * DAY,
        30 * DAY + Duration::from_secs(1),
        400 * DAY,
    ] {
        let lasting = || record_until(b"record", SystemTime::now() + lifetime);
        let key = key();
        let revision = stored(store.insert(&key, &lasting()).await);
        kept_for(&node, &key, lifetime);
        stored(store.update(&key, &lasting(), &revision).await);
        kept_for(&node, &key, lifetime);
    }
}

#[track_caller]
fn kept_for(node: &Memcached, key: &StoreKey, lifetime: Duration) {
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap();
    let left = seconds_left(node, key).expect("the item exists");
    // The node's clock ticks once a second. It is up to one second ahead or two behind.
    assert!(
        (lifetime..=lifetime + 4).contains(&left),
        "{left} of {lifetime}"
    );
}

#[tokio::test]
async fn a_lifetime_of_less_than_a_second_is_not_forever() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    for millis in [0, 1, 500, 999] {
        let key = key();
        let end = SystemTime::now() + Duration::from_millis(millis);
        stored(store.insert(&key, &record_until(b"record", end)).await);
        assert!(seconds_left(&node, &key).is_none_or(|left| (1..=4).contains(&left)));
    }
}

/// Also if the node's clock is ahead or behind.
#[tokio::test]
async fn a_record_is_kept_until_it_expires_and_not_much_longer() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let tasks: Vec<_> = (0..20)
        .map(|step| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = key();
                let end = SystemTime::now() + Duration::from_millis(200 + 50 * step);
                stored(store.insert(&key, &record_until(b"record", end)).await);
                while store.load(&key).await.unwrap().is_some() {
                    assert_in_time!(SystemTime::now() < end + Duration::from_secs(5));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                assert!(SystemTime::now() > end);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
