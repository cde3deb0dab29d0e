//! The conformance suite of `session-core`, on one server, on a cluster and behind Sentinels.

use session_core::conformance::{Fixture, Shared};
use session_redis::RedisStore;
use session_tests::{RedisCluster, RedisSentinel, RedisServer};

use crate::common::store;

mod on_one_server {
    use super::*;

    static SERVER: Shared<RedisServer> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let server = SERVER.get_or_start(|| RedisServer::start(&[])).await;
        Fixture::new(store(&server.url()))
            .with_second(store(&server.url()).into())
            .keeping(server)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
}

mod on_a_cluster {
    use super::*;

    static CLUSTER: Shared<RedisCluster> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let cluster = CLUSTER.get_or_start(RedisCluster::start).await;
        let url = cluster.urls().join(",");
        Fixture::new(store(&url))
            .with_second(store(&url).into())
            .keeping(cluster)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
}

mod behind_sentinels {
    use super::*;

    static SERVERS: Shared<RedisSentinel> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let servers = SERVERS.get_or_start(RedisSentinel::start).await;
        Fixture::new(store(&servers.url()))
            .with_second(store(&servers.url()).into())
            .keeping(servers)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
}
