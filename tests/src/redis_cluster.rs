//! A Redis Cluster of three nodes.

use std::time::{Duration, Instant};

use crate::compose;
use crate::port::free_port;
use crate::redis::RedisServer;

const SLOTS: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

/// What a service's port for the other nodes is greater by than its own.
pub(crate) const BUS: u16 = 100;

/// A Redis Cluster of three primaries without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes, shares the slots among them and waits until all agree.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut bus_ports = Vec::new();
        for (number, slots) in SLOTS.iter().enumerate() {
            let (node, bus_port) = node(number).await;
            ok(&node, &format!("CLUSTER ADDSLOTSRANGE {slots}"));
            ok(&node, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            nodes.push(node);
            bus_ports.push(bus_port);
        }
        for (node, bus_port) in nodes.iter().zip(&bus_ports).skip(1) {
            ok(
                &nodes[0],
                &format!("CLUSTER MEET 127.0.0.1 {} {bus_port}", node.port()),
            );
        }
        let cluster = Self { nodes };
        cluster.agrees().await;
        cluster
    }

    /// One address per node, each enough to find the others.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes, by the slots they own in ascending order.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Waits until every node sees all slots served and all nodes.
    pub async fn agrees(&self) {
        let begin = Instant::now();
        while !self.nodes.iter().all(sees_all) {
            assert!(
                begin.elapsed() < Duration::from_secs(15),
                "the cluster does not agree:\n{}",
                self.nodes[0].command("CLUSTER NODES")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A node without slots, and the port by which nodes meet.
async fn node(number: usize) -> (RedisServer, u16) {
    if let Some(port) = compose::port(&format!("redis-cluster-{}", number + 1)) {
        return (RedisServer::service(port).await, port + BUS);
    }
    let bus_port = free_port();
    let arguments = arguments(bus_port);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    (RedisServer::start_own(&arguments).await, bus_port)
}

pub(crate) fn arguments(bus_port: u16) -> Vec<String> {
    [
        "--cluster-enabled yes --cluster-node-timeout 1500",
        "--cluster-announce-ip 127.0.0.1",
        &format!("--cluster-port {bus_port}"),
    ]
    .iter()
    .flat_map(|words| words.split(' '))
    .map(str::to_owned)
    .collect()
}

fn sees_all(node: &RedisServer) -> bool {
    let info = node.command("CLUSTER INFO");
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:3")
        && info.contains("cluster_size:3")
}

fn ok(node: &RedisServer, line: &str) {
    let reply = node.command(line);
    assert!(reply.starts_with("+OK"), "{line}: {reply}");
}
