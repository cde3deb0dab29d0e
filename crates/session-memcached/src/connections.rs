//! The connections to all nodes, separate for each runtime.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::runtime::{Handle, Id};

use crate::{batch::Batch, error::CallError, node_client::NodeClient, nodes::Nodes};

/// The connections to all nodes, by runtime.
///
/// A connection belongs to the runtime that opened it. Used from another runtime, each answer would
/// wait until the first runtime polls its sockets, and would never arrive once that runtime is idle
/// or shut down.
pub(crate) struct Connections {
    timeout: Duration,
    by_runtime: RwLock<HashMap<Id, Arc<[NodeConnections]>>>,
}

/// The connections of one runtime to one node.
pub(crate) struct NodeConnections {
    pub(crate) client: Arc<NodeClient>,
    pub(crate) reads: Batch,
}

impl Connections {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            by_runtime: RwLock::default(),
        }
    }

    /// The connections of the current runtime, in the order of `nodes`.
    pub(crate) fn of_current_runtime(
        &self,
        nodes: &Nodes,
    ) -> Result<Arc<[NodeConnections]>, CallError> {
        let runtime = Handle::try_current()
            .map_err(|_| CallError::NoRuntime)?
            .id();
        let by_runtime = self
            .by_runtime
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = by_runtime.get(&runtime)
            && are_usable(connections)
        {
            return Ok(Arc::clone(connections));
        }
        drop(by_runtime);
        let mut by_runtime = self
            .by_runtime
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        by_runtime.retain(|_, connections| are_usable(connections));
        let connections = by_runtime.entry(runtime).or_insert_with(|| {
            nodes
                .addresses()
                .map(|address| NodeConnections::new(address, self.timeout))
                .collect()
        });
        Ok(Arc::clone(connections))
    }
}

impl NodeConnections {
    fn new(address: &str, timeout: Duration) -> Self {
        let client = Arc::new(NodeClient::new(address, timeout));
        Self {
            reads: Batch::spawn(Arc::clone(&client)),
            client,
        }
    }
}

/// Whether their runtime still runs.
fn are_usable(connections: &[NodeConnections]) -> bool {
    connections.iter().all(|node| !node.reads.is_closed())
}
