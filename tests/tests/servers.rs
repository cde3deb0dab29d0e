//! Every server of the harness starts, dies by a kill, comes back on its port and can be frozen.

use std::{net::TcpStream, time::Duration};

use session_tests::{
    MariaDb, Memcached, Mongo, Postgres, RedisCluster, RedisSentinel, RedisServer, Server,
    assert_in_time,
};

/// A Sentinel that was held up for two seconds watches nothing for the next thirty.
const MAX_PROMOTION_TIME: Duration = Duration::from_secs(120);

/// `start` and `restart` return when the server has answered, so what is left to see is that it
/// goes and comes.
async fn dies_and_returns(server: &Server) {
    let first = server.pid().expect("it runs");
    server.freeze();
    assert_eq!(state(first), 'T');
    server.thaw();
    assert_ne!(state(first), 'T');

    server.kill();
    assert_eq!(server.pid(), None);
    assert!(
        TcpStream::connect(("127.0.0.1", server.port())).is_err(),
        "nobody listens any more"
    );

    server.restart().await;
    assert_ne!(server.pid().expect("it runs"), first);
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_ok());
    server.freeze();
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat
        .rsplit(") ")
        .next()
        .and_then(|fields| fields.chars().next());
    after_name.expect("a state follows the name")
}

/// Processes that the harness starts.
mod of_its_own {
    use super::*;

    #[tokio::test]
    async fn redis() {
        let server = RedisServer::start(&["--maxmemory", "3mb"]).await;
        assert!(server.command("CONFIG GET maxmemory").contains("3145728"));
        dies_and_returns(&server).await;
    }

    #[tokio::test]
    async fn memcached() {
        let server = Memcached::start(&["-m", "8"]).await;
        assert!(
            server
                .command("stats")
                .contains("STAT limit_maxbytes 8388608")
        );
        dies_and_returns(&server).await;
    }

    #[tokio::test]
    async fn postgres() {
        let server = Postgres::start_with(&["max_connections=20"]).await;
        dies_and_returns(&server).await;
    }

    #[tokio::test]
    async fn mariadb() {
        let server = MariaDb::start().await;
        dies_and_returns(&server).await;
    }

    #[tokio::test]
    async fn mongo() {
        let server = Mongo::start_with(1.0).await;
        dies_and_returns(&server).await;
    }
}

#[tokio::test]
async fn redis_cluster() {
    let cluster = RedisCluster::start().await;
    assert_eq!(cluster.urls().len(), 3);
    let reply = cluster.nodes()[0].command("CLUSTER KEYSLOT a");
    assert_eq!(reply.trim(), ":15495");
    assert!(
        cluster.nodes()[0]
            .command("GET a")
            .contains(&format!("127.0.0.1:{}", cluster.nodes()[2].port()))
    );
}

#[tokio::test]
async fn redis_sentinel_promotes_the_replica() {
    let servers = RedisSentinel::start().await;
    assert_eq!(servers.primary_port(), Some(servers.primary().port()));
    servers.primary().kill();
    let begin = std::time::Instant::now();
    while servers.primary_port() != Some(servers.replica().port()) {
        assert_in_time!(
            begin.elapsed() < MAX_PROMOTION_TIME,
            "{}",
            servers.sentinel().output()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
