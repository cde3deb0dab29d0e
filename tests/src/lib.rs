//! Starts real servers for tests. Each is a process of its own, on a free port, with a temporary
//! directory of its own.
//!
//! Every server binds 127.0.0.1, keeps nothing, can be killed, restarted on the same port and
//! frozen, and is stopped when its value is dropped, or by a guard process when the test program
//! ends in any other way. A server that is not installed fails the test with the line that installs
//! it.
// A harness fails the test by panicking; saying so on each function would be noise.
#![allow(clippy::missing_panics_doc)]

mod account;
mod binary;
mod certificates;
mod chaos_proxy;
mod chromedriver;
mod compose;
mod deadline;
mod given;
mod guard;
mod host;
mod left_over;
#[cfg(feature = "sql")]
mod mariadb;
mod memcached;
mod mongo;
mod namespace;
#[cfg(feature = "sql")]
mod own_database;
mod own_server;
#[cfg(feature = "sql")]
mod pgbouncer;
mod port;
#[cfg(feature = "sql")]
mod postgres;
#[cfg(feature = "sql")]
mod postgres_replica;
mod process;
mod program;
mod python;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod scratch;
mod server;
#[cfg(feature = "sql")]
mod stand_in;
mod swept;
#[cfg(feature = "sql")]
mod template;
mod tree;
mod tutorial;
mod watch;
mod wire;

pub use certificates::Certificates;
pub use chaos_proxy::{ChaosProxy, Disruption, Strike};
pub use chromedriver::ChromeDriver;
pub use compose::SERVICES;
pub use deadline::{Deadline, eventually};
pub use left_over::remove_left_over;
#[cfg(feature = "sql")]
pub use mariadb::MariaDb;
pub use memcached::Memcached;
pub use mongo::Mongo;
pub use namespace::unshare;
#[cfg(feature = "sql")]
pub use own_database::execute;
#[cfg(feature = "sql")]
pub use pgbouncer::PgBouncer;
pub use port::{free_port, with_port};
#[cfg(feature = "sql")]
pub use postgres::Postgres;
#[cfg(feature = "sql")]
pub use postgres_replica::PostgresReplica;
pub use program::Program;
pub use redis::RedisServer;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use scratch::{scratch_dir, target_dir};
pub use server::Server;
pub use session_core::conformance::rounds;
#[cfg(feature = "sql")]
pub use stand_in::docker;
pub use swept::sweep_up_to;
pub use tutorial::Tutorial;
pub use watch::Watch;
