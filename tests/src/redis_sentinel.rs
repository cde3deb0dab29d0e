//! A Redis primary with a replica and a Sentinel.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::assert_in_time;
use crate::binary::server_program;
use crate::compose;
use crate::given;
use crate::process::Recipe;
use crate::redis::{RedisServer, answers};
use crate::server::Server;
use crate::wire::ask;

const SERVICE: &str = "mymaster";

/// A Redis primary, its replica, and one Sentinel that promotes the replica when the primary has
/// been silent for half a second.
#[derive(Debug)]
pub struct RedisSentinel {
    primary: RedisServer,
    replica: RedisServer,
    sentinel: Server,
}

impl RedisSentinel {
    /// Starts the three and waits until the Sentinel knows the replica and the replica follows.
    pub async fn start() -> Self {
        let servers = match ["redis-primary", "redis-replica", "redis-sentinel"].map(compose::port)
        {
            [Some(primary), Some(replica), Some(sentinel)] => {
                Self::services(primary, replica, sentinel).await
            }
            _ => Self::own().await,
        };
        let begin = Instant::now();
        while !servers.agree() {
            assert_in_time!(
                begin.elapsed() < Duration::from_secs(15),
                "the sentinel does not see the replica:\n{}",
                servers.sentinel.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        servers
    }

    async fn own() -> Self {
        let primary = RedisServer::start_own(&[]).await;
        let port = primary.port();
        let replica =
            RedisServer::start_own(&["--replicaof", "127.0.0.1", &port.to_string()]).await;
        let sentinel =
            Server::start("redis-sentinel", answers, |own, dir| recipe(own, dir, port)).await;
        Self {
            primary,
            replica,
            sentinel,
        }
    }

    /// The services of docker compose, new ones only if a test has changed what they are to each
    /// other.
    async fn services(primary: u16, replica: u16, sentinel: u16) -> Self {
        let services = Self {
            primary: RedisServer::running(primary).await,
            replica: RedisServer::running(replica).await,
            sentinel: Server::attach("redis-sentinel", sentinel, answers).await,
        };
        if services.primary_port() == Some(primary) && services.agree() {
            services.primary.command("FLUSHALL");
            return services;
        }
        drop(services);
        let primary = RedisServer::service(primary).await;
        let replica = RedisServer::service(replica).await;
        given::renew(sentinel);
        let sentinel = Server::attach("redis-sentinel", sentinel, answers).await;
        Self {
            primary,
            replica,
            sentinel,
        }
    }

    /// Starts another Sentinel and waits until it knows the others.
    pub async fn another_sentinel(&self, others: usize) -> Server {
        let primary = self.primary.port();
        let sentinel = Server::start("redis-sentinel", answers, |own, dir| {
            recipe(own, dir, primary)
        })
        .await;
        let known = format!(
            "\r\nnum-other-sentinels\r\n${}\r\n{others}\r\n",
            others.to_string().len()
        );
        let question = format!("SENTINEL MASTER {SERVICE}");
        let begin = Instant::now();
        while !ask(sentinel.port(), &question).is_ok_and(|reply| reply.contains(&known)) {
            assert_in_time!(
                begin.elapsed() < Duration::from_secs(20),
                "the sentinel does not know {others} others:\n{}",
                sentinel.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sentinel
    }

    /// `redis+sentinel://127.0.0.1:port/mymaster/0`.
    pub fn url(&self) -> String {
        format!(
            "redis+sentinel://127.0.0.1:{}/{SERVICE}/0",
            self.sentinel.port()
        )
    }

    /// The name under which the Sentinel watches the primary.
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// The server that was primary at the start.
    pub fn primary(&self) -> &RedisServer {
        &self.primary
    }

    /// The server that was replica at the start.
    pub fn replica(&self) -> &RedisServer {
        &self.replica
    }

    /// The Sentinel itself.
    pub fn sentinel(&self) -> &Server {
        &self.sentinel
    }

    /// The port of the server that the Sentinel calls primary at the moment.
    pub fn primary_port(&self) -> Option<u16> {
        let reply = ask(
            self.sentinel.port(),
            &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"),
        )
        .ok()?;
        reply.lines().nth(4)?.parse().ok()
    }

    /// Whether the replica can be promoted: the Sentinel must know its link to the primary.
    fn agree(&self) -> bool {
        let known = ask(
            self.sentinel.port(),
            &format!("SENTINEL REPLICAS {SERVICE}"),
        )
        .unwrap_or_default();
        known.contains(&self.replica.port().to_string())
            && known.contains("master-link-status\r\n$2\r\nok\r\n")
            && self
                .replica
                .command("INFO replication")
                .contains("master_link_status:up")
    }
}

pub(crate) fn recipe(port: u16, directory: &Path, primary: u16) -> Recipe {
    // A Sentinel writes what it learns back to its file, so it must have one.
    let file = directory.join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 2000\n"
    );
    fs::write(&file, text).expect("the directory is writable");
    Recipe::new(server_program("redis-server"))
        .arg(file)
        .arg("--sentinel")
}
