//! Several nodes: the distribution of the keys, and a node that is down.

use session_core::Write;

use super::*;

async fn three() -> ([Memcached; 3], MemcachedStore) {
    let nodes = [
        Memcached::start(&[]).await,
        Memcached::start(&[]).await,
        Memcached::start(&[]).await,
    ];
    let addresses = nodes.each_ref().map(Memcached::addr).join(",");
    (nodes, open(&addresses))
}

fn items(nodes: &[Memcached]) -> Vec<u64> {
    nodes.iter().map(|node| stat(node, "curr_items")).collect()
}

#[tokio::test]
async fn every_node_gets_a_share_and_every_process_finds_the_sessions() {
    let (nodes, store) = three().await;
    let keys: Vec<_> = (0..300).map(|_| key()).collect();
    for key in &keys {
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    let shares = items(&nodes);
    assert!(
        shares.iter().all(|share| (60..140).contains(share)),
        "{shares:?}"
    );
    let [a, b, c] = nodes.each_ref().map(Memcached::addr);
    let other = open(&[c, a, b].join(", "));
    for key in &keys {
        assert_eq!(bytes(&other, key).await.unwrap(), key.as_str().as_bytes());
    }
}

/// A node that is down fails only its own sessions. Nothing is stored on another node instead, so
/// no session that ended meanwhile is found when the node returns.
#[tokio::test]
async fn a_node_that_is_down_fails_only_its_own_keys_and_what_ended_stays_ended() {
    let (nodes, store) = three().await;
    let keys: Vec<_> = (0..90).map(|_| key()).collect();
    let mut on_first = Vec::new();
    for key in &keys {
        let before = stat(&nodes[0], "curr_items");
        stored(store.insert(key, &record(b"record")).await);
        on_first.push(stat(&nodes[0], "curr_items") > before);
    }
    let ended: Vec<_> = keys.iter().step_by(5).collect();
    for key in &ended {
        store.delete(key).await.unwrap();
    }

    nodes[0].freeze();
    let unanswered = store.clone().with_timeout(Duration::from_millis(100));
    let of = |first: bool| {
        let pairs = keys.iter().zip(&on_first);
        pairs
            .filter(move |(_, on)| **on == first)
            .map(|(key, _)| key)
    };
    let others = items(&nodes[1..]);
    for key in of(true).take(3) {
        let since = Watch::start();
        fails_soon(&unanswered.load(key).await, since);
        fails_soon(&unanswered.insert(key, &record(b"new")).await, since);
        fails_soon(&unanswered.delete(key).await, since);
    }
    for key in of(false).filter(|key| !ended.contains(key)) {
        assert_eq!(bytes(&store, key).await.unwrap(), "record");
    }
    assert_eq!(items(&nodes[1..]), others);

    nodes[0].thaw();
    recovered(&store, of(true).next().unwrap()).await;
    for key in ended
        .iter()
        .filter(|key| !of(true).take(3).any(|k| k == **key))
    {
        assert_eq!(bytes(&store, key).await, None);
    }

    nodes[0].restart().await;
    let first = of(true).next().unwrap();
    assert_eq!(recovered(&store, first).await, None);
    for key in &ended {
        assert_eq!(bytes(&store, key).await, None);
    }
    for key in of(false).filter(|key| !ended.contains(key)) {
        assert_eq!(bytes(&store, key).await.unwrap(), "record");
        assert_eq!(
            store.insert(key, &record(b"new")).await.unwrap(),
            Write::Refused
        );
    }
}
