//! The stores that both applications can share.

use session_tests::{MariaDb, Memcached, Mongo, Postgres, RedisServer, Server};
use tokio::sync::OnceCell;

/// Where the neighbours keep their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Redis,
    Memcached,
    Cachelib,
    Sqlite,
    Postgres,
    MariaDb,
    Mongo,
}

// One of each for the whole test program: a static is never dropped, the harness's guard ends them.
static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
static MEMCACHED: OnceCell<Memcached> = OnceCell::const_new();
static MONGO: OnceCell<Mongo> = OnceCell::const_new();
static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
static MARIADB: OnceCell<MariaDb> = OnceCell::const_new();

impl Store {
    /// What `STORE` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::Cachelib => "cachelib",
            Self::Sqlite | Self::Postgres | Self::MariaDb => "sqlalchemy",
            Self::Mongo => "mongodb",
        }
    }

    /// The `URL` of the test program's own; `directory` is for what is a file.
    pub(crate) async fn url(self, directory: &str) -> String {
        match self {
            Self::Redis => REDIS.get_or_init(|| RedisServer::start(&[])).await.url(),
            Self::Memcached => {
                let server = MEMCACHED.get_or_init(|| Memcached::start(&[])).await;
                server.addr()
            }
            Self::Cachelib => format!("{directory}/sessions"),
            Self::Sqlite => format!("sqlite:///{directory}/sessions.sqlite"),
            Self::Postgres => {
                let url = POSTGRES.get_or_init(Postgres::start).await.url();
                url.replacen("postgres:", "postgresql+psycopg2:", 1)
            }
            Self::MariaDb => {
                let url = MARIADB.get_or_init(MariaDb::start).await.url();
                url.replacen("mysql:", "mysql+pymysql:", 1)
            }
            Self::Mongo => MONGO.get_or_init(Mongo::start).await.url(),
        }
    }

    /// The port of the test program's own Redis.
    pub(crate) async fn redis_port() -> u16 {
        let server: &Server = REDIS.get_or_init(|| RedisServer::start(&[])).await;
        server.port()
    }

    /// Whether Flask can store bytes and instants there: Python's own JSON has neither.
    pub(crate) fn takes_bytes(self) -> bool {
        self != Self::Cachelib
    }
}
