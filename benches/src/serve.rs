//! The programs that are compared: the same routes, written as each library's own example has it.

mod actix_session;
mod axum;
mod axum_session;
mod bare;
mod by_hand;
mod ours;
mod tower_sessions;

use std::{
    io::{self, Read},
    net::SocketAddr,
    process, thread,
    time::Duration,
};

use tokio::runtime::{self, Runtime};

use crate::{Result, candidate::Candidate};

/// Signs every cookie.
const SECRET: &str = "a secret of 64 bytes, as the libraries that want so many ask for";
/// After which an unused session ends.
const LIFETIME: Duration = Duration::from_secs(3600);
/// For the store, where a library limits it: longer than usual, so that nothing fails on a busy
/// machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Threads that answer requests.
const WORKERS: usize = 1;

/// Serves `candidate`, with its sessions in the store at `address`, until the standard input ends.
pub(crate) fn run(candidate: Candidate, address: &str) -> Result<()> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    match candidate {
        Candidate::OursRedis | Candidate::BeforeRedis => ours::redis(address),
        Candidate::OursMemcached => ours::memcached(address),
        Candidate::OursPostgres | Candidate::OursSqlite => ours::sql(address),
        Candidate::OursAxum => axum::redis(address),
        Candidate::RoutesAxum => axum::redis_by_route(address),
        Candidate::UnusedAxum => axum::unused(address),
        Candidate::UnusedRoutesAxum => axum::unused_by_route(address),
        Candidate::BareAxum => axum::bare(),
        Candidate::Bare => bare::serve(),
        Candidate::OursMongo => ours::mongo(address),
        Candidate::OursFiles => ours::files(address),
        Candidate::ByHand => by_hand::redis(address),
        Candidate::ByHandMemcached => by_hand::memcached(address),
        Candidate::ByHandMongo => by_hand::mongo(address),
        Candidate::ByHandFiles => by_hand::files(address),
        Candidate::ActixSession => actix_session::redis(address),
        Candidate::AxumSession => axum_session::redis(address),
        Candidate::AxumSessionShared => axum_session::redis_shared(address),
        Candidate::TowerRedis => tower_sessions::redis(address),
        Candidate::TowerPostgres => tower_sessions::postgres(address),
        Candidate::TowerSqlite => tower_sessions::sqlite(address),
    }
}

/// The runtime of a program with axum.
fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
}

/// Tells the one who started this process where it listens.
fn announce(listens: SocketAddr) {
    println!("{listens}");
}
