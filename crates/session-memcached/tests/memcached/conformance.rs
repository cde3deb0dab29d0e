//! The conformance suite of `session-core`, on one node and on three.

use std::sync::Arc;

use session_core::conformance::{Fixture, Shared};
use session_memcached::MemcachedStore;
use session_tests::Memcached;

mod one_node {
    use super::*;

    static NODE: Shared<Memcached> = Shared::new();

    async fn open() -> Fixture<MemcachedStore> {
        let node = NODE.get_or_start(|| Memcached::start(&[])).await;
        on(&node.addr()).keeping(node)
    }

    session_core::conformance_tests!(open());
    session_core::scan_tests!(open());
}

mod three_nodes {
    use super::*;

    static NODES: Shared<[Memcached; 3]> = Shared::new();

    async fn open() -> Fixture<MemcachedStore> {
        let nodes = NODES.get_or_start(start).await;
        let addresses = nodes.each_ref().map(Memcached::addr);
        on(&addresses.join(",")).keeping(nodes)
    }

    async fn start() -> [Memcached; 3] {
        [
            Memcached::start(&[]).await,
            Memcached::start(&[]).await,
            Memcached::start(&[]).await,
        ]
    }

    session_core::conformance_tests!(open());
    session_core::scan_tests!(open());
}

/// Two stores that share no connections.
fn on(nodes: &str) -> Fixture<MemcachedStore> {
    let open = || MemcachedStore::connect(nodes).expect("the addresses are valid");
    Fixture::new(open()).with_second(Arc::new(open()))
}
