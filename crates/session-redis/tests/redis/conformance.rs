//! The conformance suite of `session-core`, on one server, on a cluster and behind Sentinels, each
//! with a user who has no more rights than the README says.

use session_core::conformance::{Fixture, Shared};
use session_redis::RedisStore;
use session_tests::{RedisCluster, RedisSentinel, RedisServer};

use crate::common::{SCAN_ROW, SERVER_ROW, limited, store};

mod on_one_server {
    use super::*;

    static SERVER: Shared<RedisServer> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let server = SERVER.get_or_start(|| RedisServer::start(&[])).await;
        // Database 3, unless the server has one for the tests.
        let url = server.url();
        let url = url
            .strip_suffix('/')
            .map_or(url.clone(), |it| format!("{it}/3"));
        let url = limited(
            &url,
            &[&server],
            "*",
            &[SERVER_ROW, "a database other than 0", SCAN_ROW],
        );
        Fixture::new(store(&url))
            .with_second(store(&url).into())
            .keeping(server)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
    session_core::scan_tests!(open());
}

mod on_a_cluster {
    use super::*;

    static CLUSTER: Shared<RedisCluster> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let cluster = CLUSTER.get_or_start(RedisCluster::start).await;
        let nodes: Vec<_> = cluster.nodes().iter().collect();
        let url = cluster.urls().join(",");
        let url = limited(
            &url,
            &nodes,
            "*",
            &[SERVER_ROW, "a node of a Cluster", SCAN_ROW],
        );
        Fixture::new(store(&url))
            .with_second(store(&url).into())
            .keeping(cluster)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
    session_core::scan_tests!(open());
}

mod behind_sentinels {
    use super::*;

    static SERVERS: Shared<RedisSentinel> = Shared::new();

    async fn open() -> Fixture<RedisStore> {
        let servers = SERVERS.get_or_start(RedisSentinel::start).await;
        let both = [servers.primary(), servers.replica()];
        let rows = [SERVER_ROW, "a server that Sentinels name", SCAN_ROW];
        let url = limited(&servers.url(), &both, "*", &rows);
        Fixture::new(store(&url))
            .with_second(store(&url).into())
            .keeping(servers)
    }

    session_core::conformance_tests!(open());
    session_core::owner_index_tests!(open());
    session_core::scan_tests!(open());
}
