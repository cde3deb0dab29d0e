//! A Redis Cluster of three primaries, with or without a replica of each.

use std::time::{Duration, Instant};

use crate::port::free_port;
use crate::redis::RedisServer;
use crate::{assert_in_time, compose};

const LOCALHOST: &str = "127.0.0.1";
const SLOTS: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

/// What a service's port for the other nodes is greater by than its own.
pub(crate) const BUS: u16 = 100;

/// A Redis Cluster of three primaries.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    replicas: Vec<RedisServer>,
}

/// A node without slots, its address, and its port for the other nodes.
struct Node(RedisServer, String, u16);

impl RedisCluster {
    /// Starts three nodes without replicas, shares the slots among them and waits until all agree.
    pub async fn start() -> Self {
        Self::of(nodes(SLOTS.len()).await).await
    }

    /// As [`start`](Self::start), with a replica of each node. A replica takes over when its
    /// primary has been silent for one and a half to three seconds.
    pub async fn start_with_replicas() -> Self {
        Self::of(nodes(2 * SLOTS.len()).await).await
    }

    /// As [`start_with_replicas`](Self::start_with_replicas), and the nodes talk to each other from
    /// these addresses, so that a test can separate them: three nodes, then their replicas.
    pub async fn start_at(addresses: [&str; 6]) -> Self {
        let mut nodes = Vec::new();
        for address in addresses {
            nodes.push(own_node(address).await);
        }
        Self::of(nodes).await
    }

    /// Makes a Cluster of three nodes and their replicas.
    async fn of(nodes: Vec<Node>) -> Self {
        for (number, (node, slots)) in nodes.iter().zip(SLOTS).enumerate() {
            ok(&node.0, &format!("CLUSTER ADDSLOTSRANGE {slots}"));
            ok(&node.0, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
        }
        for Node(server, address, bus_port) in &nodes[1..] {
            let port = server.port();
            ok(
                &nodes[0].0,
                &format!("CLUSTER MEET {address} {port} {bus_port}"),
            );
        }
        let mut nodes: Vec<_> = nodes.into_iter().map(|node| node.0).collect();
        let replicas = nodes.split_off(SLOTS.len());
        let cluster = Self { nodes, replicas };
        let met = || cluster.all().all(|node| cluster.sees_all(node));
        cluster.until("the nodes do not meet", met).await;
        for (node, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let id = node.command("CLUSTER MYID");
            let id = id.lines().nth(1).expect("a node has an id");
            ok(replica, &format!("CLUSTER REPLICATE {id}"));
        }
        cluster.agrees().await;
        cluster
    }

    /// One address per node, each enough to find the others.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes that are primaries at the start, by the slots they own in ascending order.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The replicas of [`nodes`](Self::nodes) at the start, in the same order.
    pub fn replicas(&self) -> &[RedisServer] {
        &self.replicas
    }

    /// Waits until every node sees all slots served and all nodes, and each replica follows.
    pub async fn agrees(&self) {
        let agrees = || {
            self.all()
                .all(|node| self.sees_all(node) && self.follows(node))
        };
        self.until("the cluster does not agree", agrees).await;
    }

    fn all(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().chain(&self.replicas)
    }

    fn sees_all(&self, node: &RedisServer) -> bool {
        let info = node.command("CLUSTER INFO");
        let known = format!("cluster_known_nodes:{}\r", self.all().count());
        info.contains("cluster_state:ok")
            && info.contains("cluster_size:3")
            && info.contains(&known)
    }

    /// Whether the node, if it is a replica, follows, and knows all that are replicas.
    fn follows(&self, node: &RedisServer) -> bool {
        let replication = node.command("INFO replication");
        let nodes = node.command("CLUSTER NODES");
        let replicas = nodes.lines().filter(|line| line.contains("slave "));
        replicas.count() == self.replicas.len()
            && (replication.contains("role:master")
                || replication.contains("master_link_status:up"))
    }

    async fn until(&self, problem: &str, mut done: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert_in_time!(
                begin.elapsed() < Duration::from_secs(15),
                "{problem}:\n{}",
                self.nodes[0].command("CLUSTER NODES")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// So many nodes: the first services of docker compose, where the tests use them.
async fn nodes(count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(match compose::port(&format!("redis-cluster-{number}")) {
            Some(port) => {
                let server = RedisServer::service(port).await;
                Node(server, LOCALHOST.to_owned(), port + BUS)
            }
            None => own_node(LOCALHOST).await,
        });
    }
    nodes
}

/// Starts a node that talks to the others from `address`.
async fn own_node(address: &str) -> Node {
    let bus_port = free_port();
    let mut arguments = arguments(bus_port, address);
    if address != LOCALHOST {
        let apart = format!("--bind {LOCALHOST} {address} --bind-source-addr {address}");
        arguments.extend(words(&apart));
        arguments.extend(words("--protected-mode no"));
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let server = RedisServer::start_own(&arguments).await;
    Node(server, address.to_owned(), bus_port)
}

pub(crate) fn arguments(bus_port: u16, address: &str) -> Vec<String> {
    let settings = format!(
        "--cluster-enabled yes --cluster-node-timeout 1500 --cluster-replica-validity-factor 0 \
         --cluster-announce-ip {address} --cluster-port {bus_port}"
    );
    words(&settings).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(' ').map(str::to_owned)
}

fn ok(node: &RedisServer, line: &str) {
    let reply = node.command(line);
    assert!(reply.starts_with("+OK"), "{line}: {reply}");
}
