//! A network that lies: replies and requests are held back, cut, delayed, lost or reset, at any
//! message. Every request is quickly answered, nothing that was answered with success is lost or
//! comes back, and afterwards the store has all its connections.

mod backend;
mod copies;
mod dice;
mod memory;
mod network;
mod rounds;
mod visitor;

use std::hash::{BuildHasher, RandomState};

use backend::Backend;
use dice::Dice;
use session_tests::{MariaDb, Memcached, Mongo, Postgres, RedisServer};
use tokio::sync::RwLock;

/// A test that measures the memory of the process, with both processors busy, runs alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Random numbers, whose seed is printed. `SESSION_TEST_SEED` repeats them.
fn dice() -> Dice {
    let seed = match std::env::var("SESSION_TEST_SEED") {
        Ok(seed) => seed.parse().expect("SESSION_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one(0),
    };
    eprintln!("SESSION_TEST_SEED={seed}");
    Dice::new(seed)
}

/// Each test for each protocol.
macro_rules! for_each_protocol {
    ($($test:ident),* $(,)?) => {
        for_each_protocol! { @ redis, Backend::Redis(RedisServer::start(&[]).await), [$($test)*] }
        for_each_protocol! { @ memcached, Backend::Memcached(Memcached::start(&[]).await), [$($test)*] }
        for_each_protocol! { @ mongodb, Backend::Mongo(mongo().await), [$($test)*] }
        for_each_protocol! { @ postgres, Backend::Postgres(Postgres::start().await), [$($test)*] }
        for_each_protocol! { @ mariadb, Backend::MariaDb(MariaDb::start().await), [$($test)*] }
    };
    (@ $protocol:ident, $server:expr, [$($test:ident)*]) => {
        mod $protocol {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let _beside_others = MACHINE.read().await;
                    let backend = $server;
                    backend.prepare().await;
                    rounds::$test(backend).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn many_damages_at_random_messages_lose_nothing() {
                let _alone = MACHINE.write().await;
                let backend = $server;
                backend.prepare().await;
                rounds::many_damages_at_random_messages_lose_nothing(backend).await;
            }

            #[tokio::test]
            async fn an_old_copy_replaces_nothing_newer_and_revives_no_session() {
                let _beside_others = MACHINE.read().await;
                let (backend, other) = ($server, $server);
                backend.prepare().await;
                other.prepare().await;
                copies::an_old_copy_replaces_nothing_newer_and_revives_no_session(backend, other).await;
            }
        }
    };
}

// Named, so that tests/own-server.txt can name these and no other tests of this package.
mod in_a_lying_network {
    use super::*;

    for_each_protocol! {
        damages_with_the_default_limits_are_answered_in_time,
        a_silent_network_is_answered_in_time_and_recovers,
        silent_connections_after_a_failover_are_given_up,
    }
}

/// One that removes no expired documents: to find them, `SecantusDB` (0.7) reads all documents, and
/// answers nobody meanwhile.
async fn mongo() -> Mongo {
    Mongo::start_with(86_400.0).await
}
