//! The store contract, on a real server.

use session_core::conformance::Fixture;
use session_mongo::MongoStore;
use session_tests::Mongo;

use crate::setup::{SERVER, with_long_timeouts};

async fn open() -> Fixture<MongoStore> {
    let server = SERVER.get_or_start(Mongo::start).await;
    let connect = async || {
        MongoStore::connect(&with_long_timeouts(&server))
            .await
            .unwrap()
    };
    let (store, second) = (connect().await, connect().await);
    store.ensure_indexes().await.unwrap();
    Fixture::new(store)
        .with_second(second.into())
        .keeping(server)
}

session_core::conformance_tests!(open());
session_core::owner_index_tests!(open());
session_core::scan_tests!(open());
