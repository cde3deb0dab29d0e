use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::runtime::{Handle, Id};

use crate::{driver::Client, failure::Failure, lane::Lane, nodes::Nodes};

/// The connections to all nodes, kept apart by runtime.
///
/// A connection belongs to the runtime that opened it: on another one, every answer would wait until the first runtime
/// has time to look at its sockets, and would never come once that runtime is idle or gone.
pub(crate) struct Links {
    timeout: Duration,
    of_runtime: RwLock<HashMap<Id, Arc<[Link]>>>,
}

/// The connections of one runtime to one node.
pub(crate) struct Link {
    pub(crate) client: Arc<Client>,
    pub(crate) reads: Lane,
}

impl Links {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            of_runtime: RwLock::default(),
        }
    }

    /// Those of the current runtime.
    pub(crate) fn here(&self, nodes: &Nodes) -> Result<Arc<[Link]>, Failure> {
        let runtime = Handle::try_current().map_err(|_| Failure::NoRuntime)?.id();
        let known = self
            .of_runtime
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(links) = known.get(&runtime)
            && alive(links)
        {
            return Ok(Arc::clone(links));
        }
        drop(known);
        let mut known = self
            .of_runtime
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, links| alive(links));
        let links = known.entry(runtime).or_insert_with(|| {
            nodes
                .addresses()
                .map(|address| self.link(address))
                .collect()
        });
        Ok(Arc::clone(links))
    }

    fn link(&self, address: &str) -> Link {
        let client = Arc::new(Client::new(address, self.timeout));
        Link {
            reads: Lane::start(Arc::clone(&client)),
            client,
        }
    }
}

fn alive(links: &[Link]) -> bool {
    links.iter().all(|link| !link.reads.is_closed())
}
