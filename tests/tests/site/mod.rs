//! The demo on every store, with browsers.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test program uses a part of it"
)]

mod answer;
mod backend;
mod browser;
mod demo;
mod percentile;
mod rude;

pub(crate) use answer::{Answer, Cookie};
pub(crate) use backend::Backend;
pub(crate) use browser::Browser;
pub(crate) use demo::Demo;
pub(crate) use percentile::percentile;
pub(crate) use rude::Rude;

/// `on_stores! { test: redis Redis, .. }` runs `async fn test(Backend)` once for each store, as a
/// test of its own.
macro_rules! on_stores {
    ($test:ident: $($name:ident $backend:ident),+ $(,)?) => {
        mod $test {
            use crate::site::Backend;
            $(
                #[tokio::test]
                async fn $name() {
                    super::$test(Backend::$backend).await;
                }
            )+
        }
    };
}

/// [`on_stores`] with all that several processes can share.
macro_rules! on_shared_stores {
    ($test:ident) => {
        on_stores! {
            $test: filesystem Filesystem, redis Redis, memcached Memcached, mongodb Mongo,
            sqlite Sqlite, postgres Postgres, mariadb MariaDb
        }
    };
}

/// [`on_stores`] with all there are.
macro_rules! on_every_store {
    ($test:ident) => {
        on_stores! {
            $test: memory Memory, filesystem Filesystem, redis Redis, memcached Memcached, mongodb Mongo,
            sqlite Sqlite, postgres Postgres, mariadb MariaDb
        }
    };
}
