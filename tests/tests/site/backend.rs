//! The stores that the demo runs on.

use session_tests::{MariaDb, Memcached, Mongo, Postgres, RedisServer};
use tokio::sync::OnceCell;

/// Where the demo's sessions live in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Memory,
    Filesystem,
    Redis,
    Memcached,
    Mongo,
    Sqlite,
    Postgres,
    MariaDb,
}

// One of each for the whole test program: a static is never dropped, the harness's guard ends them.
static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
static MEMCACHED: OnceCell<Memcached> = OnceCell::const_new();
static MONGO: OnceCell<Mongo> = OnceCell::const_new();
static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
static MARIADB: OnceCell<MariaDb> = OnceCell::const_new();

impl Backend {
    /// The settings that lead the demo to the test program's own server.
    pub(crate) async fn settings(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Memory => self.at(""),
            Self::Filesystem => self.at("sessions"),
            Self::Sqlite => self.at("sqlite://sessions.db?mode=rwc"),
            Self::Redis => {
                let server = REDIS.get_or_init(|| RedisServer::start(&[])).await;
                self.at(&server.url())
            }
            Self::Memcached => {
                let server = MEMCACHED.get_or_init(|| Memcached::start(&[])).await;
                self.at(&server.addr())
            }
            Self::Mongo => self.at(&MONGO.get_or_init(Mongo::start).await.url()),
            Self::Postgres => self.at(&POSTGRES.get_or_init(Postgres::start).await.url()),
            Self::MariaDb => self.at(&MARIADB.get_or_init(MariaDb::start).await.url()),
        }
    }

    /// The settings that lead the demo to the store at `address`.
    pub(crate) fn at(self, address: &str) -> Vec<(&'static str, String)> {
        let setting = match self {
            Self::Memory => None,
            Self::Filesystem => Some("SESSION_FILE_DIR"),
            Self::Redis => Some("SESSION_REDIS"),
            Self::Memcached => Some("SESSION_MEMCACHED"),
            Self::Mongo => Some("SESSION_MONGODB"),
            Self::Sqlite | Self::Postgres | Self::MariaDb => Some("SESSION_SQL"),
        };
        let kind = ("SESSION_TYPE", self.name().to_owned());
        let address = setting.map(|setting| (setting, address.to_owned()));
        [kind].into_iter().chain(address).collect()
    }

    /// What `SESSION_TYPE` and `/meta` call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Filesystem => "filesystem",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::Mongo => "mongodb",
            Self::Sqlite | Self::Postgres | Self::MariaDb => "sql",
        }
    }

    /// Whether it can list a user's sessions.
    pub(crate) fn indexes_owners(self) -> bool {
        self != Self::Memcached
    }
}
