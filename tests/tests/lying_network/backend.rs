//! The servers, the stores on them, and what the servers say about their connections.

use std::fs;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use session_core::{KeyPrefix, Record, SessionId, SessionStore, StoreKey, Write};
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_mongo::mongodb::{Client, bson::Document};
use session_redis::RedisStore;
use session_sql::sqlx::{self, Connection, MySqlConnection, PgConnection};
use session_sql::{MySqlStore, PostgresStore};
use session_tests::{
    MariaDb, Memcached, Mongo, Postgres, RedisServer, Server, assert_in_time, with_port,
};

/// The longest that copying takes.
const COPYING: Duration = Duration::from_secs(5);
/// The connections that a store on `MongoDB` may use.
const MONGO_POOL: usize = 24;

/// A running server of one of the five protocols.
pub(crate) enum Backend {
    Redis(RedisServer),
    Memcached(Memcached),
    Mongo(Mongo),
    Postgres(Postgres),
    MariaDb(MariaDb),
}

impl Backend {
    /// A store that reaches the server at `port`. With `limit`, a round trip takes no longer, where
    /// the store has such a setting.
    pub(crate) async fn store(&self, port: u16, limit: Option<Duration>) -> Arc<dyn SessionStore> {
        match self {
            Self::Redis(server) => {
                let store = RedisStore::connect(&server.url_by(port));
                let store = store.expect("the address is valid");
                Arc::new(match limit {
                    Some(limit) => store
                        .with_response_timeout(limit)
                        .with_connect_timeout(limit),
                    None => store,
                })
            }
            Self::Memcached(_) => {
                let store = MemcachedStore::connect(&format!("127.0.0.1:{port}"));
                let store = store.expect("the address is valid");
                Arc::new(match limit {
                    Some(limit) => store.with_timeout(limit),
                    None => store,
                })
            }
            Self::Mongo(_) => {
                // The server's own address would lead around the proxy.
                let url = format!(
                    "mongodb://127.0.0.1:{port}/?directConnection=true&maxPoolSize={MONGO_POOL}"
                );
                let store = MongoStore::connect(&url).await;
                Arc::new(store.expect("the address is valid"))
            }
            Self::Postgres(server) => {
                let store = PostgresStore::connect(&at(&server.url(), server, port));
                Arc::new(store.expect("the address is valid"))
            }
            Self::MariaDb(server) => {
                let store = MySqlStore::connect(&at(&server.url(), server, port));
                Arc::new(store.expect("the address is valid"))
            }
        }
    }

    /// Makes the table or the indexes.
    pub(crate) async fn prepare(&self) {
        match self {
            Self::Redis(_) | Self::Memcached(_) => {}
            Self::Mongo(server) => {
                let store = MongoStore::connect(&server.url()).await;
                let store = store.expect("the address is valid");
                store.ensure_indexes().await.expect("the server answers");
            }
            Self::Postgres(server) => {
                let store = PostgresStore::connect(&server.url()).expect("the address is valid");
                store.migrate().await.expect("the server answers");
                store.pool().close().await;
            }
            Self::MariaDb(server) => {
                let store = MySqlStore::connect(&server.url()).expect("the address is valid");
                store.migrate().await.expect("the server answers");
                store.pool().close().await;
            }
        }
    }

    /// How many connections the server says that it has, also those of others than the store.
    pub(crate) async fn connections(&self) -> usize {
        match self {
            Self::Redis(server) => server.command("CLIENT LIST").matches("name=").count(),
            Self::Memcached(server) => {
                let stats = server.command("stats");
                let line = stats.split_once("STAT curr_connections ");
                let number = line.and_then(|(_, rest)| rest.split_ascii_whitespace().next());
                let number = number.and_then(|number| number.parse().ok());
                number.unwrap_or_else(|| panic!("no number of connections: {stats}"))
            }
            // It does not tell.
            Self::Mongo(server) => established(server.port()),
            Self::Postgres(server) => {
                let connection = PgConnection::connect(&server.url()).await;
                let count: i64 = sqlx::query_scalar(
                    "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
                )
                .fetch_one(&mut connection.expect("the server answers"))
                .await
                .expect("the server answers");
                usize::try_from(count).expect("a count")
            }
            Self::MariaDb(server) => {
                let connection = MySqlConnection::connect(&server.url()).await;
                let count: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM information_schema.processlist")
                        .fetch_one(&mut connection.expect("the server answers"))
                        .await
                        .expect("the server answers");
                usize::try_from(count).expect("a count")
            }
        }
    }

    /// How many calls of a store run at the same time, each on a connection of its own; `None` if
    /// calls share connections.
    pub(crate) fn places(&self) -> Option<usize> {
        match self {
            Self::Redis(_) => None,
            Self::Memcached(_) => Some(32),
            Self::Mongo(_) => Some(MONGO_POOL),
            Self::Postgres(_) | Self::MariaDb(_) => Some(10),
        }
    }

    /// The most connections that a store keeps open: its places, and those that watch the server.
    pub(crate) fn most_connections(&self, workers: usize) -> usize {
        match self {
            Self::Redis(_) => workers,
            Self::Mongo(_) => MONGO_POOL + 2,
            _ => self.places().unwrap_or_default(),
        }
    }

    /// The store time of a request where many damages are to be met.
    pub(crate) fn small_budget(&self) -> Duration {
        match self {
            // Its server is written in Python.
            Self::Mongo(_) => Duration::from_millis(500),
            _ => Duration::from_millis(100),
        }
    }

    /// Whether the driver keeps a connection whose log-in is silent, until the system ends it.
    pub(crate) fn keeps_silent_log_ins(&self) -> bool {
        matches!(self, Self::Mongo(_))
    }

    /// Whether a revision is never that of other data on another server. memcached counts changes
    /// on each server, and has no other revision.
    pub(crate) fn tells_copies_apart(&self) -> bool {
        !matches!(self, Self::Memcached(_))
    }

    /// Copies all sessions to another server, which is empty: with their revisions, except on
    /// memcached, which gives its own.
    pub(crate) async fn copy_to(&self, other: &Self) {
        match (self, other) {
            (Self::Redis(from), Self::Redis(to)) => {
                to.command(&format!("REPLICAOF 127.0.0.1 {}", from.port()));
                let (size, begin) = (from.command("DBSIZE"), Instant::now());
                while to.command("DBSIZE") != size {
                    assert_in_time!(begin.elapsed() < COPYING, "the replica gets no data");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                to.command("REPLICAOF NO ONE");
            }
            (Self::Memcached(from), Self::Memcached(_)) => {
                let dump = from.command("lru_crawler metadump all");
                let (from, to) = (
                    self.store(self.port(), None),
                    other.store(other.port(), None),
                );
                let (from, to) = (from.await, to.await);
                for line in dump.lines().filter_map(|line| line.strip_prefix("key=")) {
                    let key = line.split(' ').next().unwrap_or_default();
                    let key = StoreKey::from_stored(key.replace("%3A", ":"));
                    let loaded = from.load(&key).await.expect("it answers");
                    let record = Record {
                        bytes: loaded.expect("it is listed").bytes,
                        expires_at: SystemTime::now() + Duration::from_secs(3600),
                        entry: None,
                    };
                    let written = to.insert(&key, &record).await.expect("it answers");
                    assert!(matches!(written, Write::Stored(_)));
                }
            }
            (Self::Mongo(from), Self::Mongo(to)) => {
                let collection = async |server: &Mongo| {
                    let client = Client::with_uri_str(server.url()).await;
                    let database = client
                        .expect("the address is valid")
                        .database("flask_session");
                    database.collection::<Document>("sessions")
                };
                let (from, to) = (collection(from).await, collection(to).await);
                let mut all = from.find(Document::new()).await.expect("it answers");
                while all.advance().await.expect("it answers") {
                    let document = all.deserialize_current().expect("it is a document");
                    to.insert_one(document).await.expect("it answers");
                }
            }
            (Self::Postgres(from), Self::Postgres(to)) => {
                copy_postgres(&from.url(), &to.url()).await;
            }
            (Self::MariaDb(from), Self::MariaDb(to)) => {
                copy_mariadb(&from.url(), &to.url()).await;
            }
            _ => panic!("two servers of one kind"),
        }
    }

    /// A call that uses a connection of its own, on a record that does not exist.
    pub(crate) async fn call(&self, store: &dyn SessionStore) -> session_core::Result<()> {
        let key = key();
        match self {
            // Its reads share a connection.
            Self::Memcached(_) => store.delete(&key).await,
            _ => store.load(&key).await.map(drop),
        }
    }
}

impl Deref for Backend {
    type Target = Server;

    fn deref(&self) -> &Server {
        match self {
            Self::Redis(server) => server,
            Self::Memcached(server) => server,
            Self::Mongo(server) => server,
            Self::Postgres(server) => server,
            Self::MariaDb(server) => server,
        }
    }
}

fn key() -> StoreKey {
    KeyPrefix::default().hashed_key(&SessionId::random(32))
}

fn at(url: &str, server: &Server, port: u16) -> String {
    with_port(url, server.port(), port)
}

/// The TCP connections of this machine to `port` that are open, as their server sees them.
fn established(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has this file");
    let local = format!(":{port:04X}");
    let connections = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (own, _peer, state) = (fields.next(), fields.next(), fields.next());
        own.is_some_and(|own| own.ends_with(&local)) && state == Some("01")
    });
    connections.count()
}

macro_rules! copy_rows {
    ($name:ident, $connection:ty, $placeholders:literal) => {
        async fn $name(from: &str, to: &str) {
            type Row = (
                Vec<u8>,
                i64,
                i64,
                i64,
                Option<Vec<u8>>,
                Option<i64>,
                Vec<u8>,
            );
            const SELECT: &str = "SELECT store_key, revision, expires_at, sweep_at, owner, \
                                  listed_until, payload FROM sessions";
            const INSERT: &str = concat!(
                "INSERT INTO sessions (store_key, revision, expires_at, sweep_at, owner, \
                 listed_until, payload) VALUES (",
                $placeholders,
                ")"
            );
            let mut from = <$connection>::connect(from).await.expect("it answers");
            let mut to = <$connection>::connect(to).await.expect("it answers");
            let rows: Vec<Row> = sqlx::query_as(SELECT)
                .fetch_all(&mut from)
                .await
                .expect("it answers");
            for row in rows {
                let insert = sqlx::query(INSERT)
                    .bind(row.0)
                    .bind(row.1)
                    .bind(row.2)
                    .bind(row.3);
                let insert = insert.bind(row.4).bind(row.5).bind(row.6);
                insert.execute(&mut to).await.expect("it answers");
            }
        }
    };
}

copy_rows! { copy_postgres, PgConnection, "$1, $2, $3, $4, $5, $6, $7" }
copy_rows! { copy_mariadb, MySqlConnection, "?, ?, ?, ?, ?, ?, ?" }
