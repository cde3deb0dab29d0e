//! A switch from Flask: its sessions move one by one, and new ones are native.

use serde_json::json;

use crate::{
    neighbours::{Neighbours, Side},
    store::Store,
};

const STRONG: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

async fn sessions_move(store: Store, signer: &str) {
    let both = Neighbours::differing(
        store,
        &[
            ("SECRET_KEY", STRONG),
            ("USE_SIGNER", signer),
            ("REFRESH", "0"),
        ],
        &[],
        &[("FLASK_SESSIONS", "move")],
    )
    .await;
    let mut visitor = both.visitor();
    visitor.json(Side::Flask, "/login?user=ann").await;
    let mut old = visitor.clone();
    assert_eq!(visitor.value(Side::Actix, "user").await, Some(json!("ann")));
    assert_eq!(visitor.sid(), old.sid(), "read, it stays");

    visitor.json(Side::Actix, "/set?k=a&v=x").await;
    assert_ne!(visitor.sid(), old.sid());
    assert_eq!(visitor.value(Side::Actix, "user").await, Some(json!("ann")));
    assert_eq!(visitor.value(Side::Actix, "a").await, Some(json!("x")));
    for side in Side::BOTH {
        assert_eq!(old.value(side, "user").await, None, "{side:?}");
    }
    assert_eq!(
        both.record(visitor.sid()).await,
        None,
        "its key is a digest"
    );

    let mut thief = visitor.clone();
    visitor.json(Side::Actix, "/clear").await;
    assert_eq!(thief.value(Side::Actix, "user").await, None);
}

async fn signed_or_not(store: Store) {
    sessions_move(store, "0").await;
    sessions_move(store, "1").await;
}

#[tokio::test]
async fn on_redis() {
    signed_or_not(Store::Redis).await;
}

#[tokio::test]
async fn on_memcached() {
    signed_or_not(Store::Memcached).await;
}

#[tokio::test]
async fn in_files() {
    signed_or_not(Store::Cachelib).await;
}

#[tokio::test]
async fn on_sqlite() {
    signed_or_not(Store::Sqlite).await;
}

#[tokio::test]
async fn on_mariadb() {
    signed_or_not(Store::MariaDb).await;
}

#[tokio::test]
async fn on_mongodb() {
    signed_or_not(Store::Mongo).await;
}
