//! The candidates: each library on each store.

use std::str::FromStr;

/// A library on a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Candidate {
    OursRedis,
    /// Ours in a program that was built before.
    BeforeRedis,
    /// Actix Web without sessions.
    Bare,
    /// The driver used by hand.
    ByHand,
    ActixSession,
    TowerRedis,
    /// Reads come from the memory of the process.
    AxumSession,
    /// The same without this memory, so that processes can share sessions.
    AxumSessionShared,
    /// Ours in axum.
    OursAxum,
    /// Ours in axum, added to each route by `Router::layer`.
    RoutesAxum,
    /// Ours in axum, around routes that do not use it.
    UnusedAxum,
    /// The same, added to each route.
    UnusedRoutesAxum,
    /// axum without sessions.
    BareAxum,
    OursMemcached,
    ByHandMemcached,
    OursMongo,
    ByHandMongo,
    OursFiles,
    ByHandFiles,
    OursPostgres,
    TowerPostgres,
    OursSqlite,
    TowerSqlite,
}

impl Candidate {
    const ALL: [Self; 22] = [
        Self::OursRedis,
        Self::Bare,
        Self::ByHand,
        Self::ActixSession,
        Self::TowerRedis,
        Self::AxumSession,
        Self::AxumSessionShared,
        Self::OursAxum,
        Self::RoutesAxum,
        Self::UnusedAxum,
        Self::UnusedRoutesAxum,
        Self::BareAxum,
        Self::OursMemcached,
        Self::ByHandMemcached,
        Self::OursMongo,
        Self::ByHandMongo,
        Self::OursFiles,
        Self::ByHandFiles,
        Self::OursPostgres,
        Self::TowerPostgres,
        Self::OursSqlite,
        Self::TowerSqlite,
    ];

    /// What the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OursRedis => "session-redis",
            Self::BeforeRedis => "session-redis before",
            Self::Bare => "actix-web",
            Self::ByHand => "by hand",
            Self::ActixSession => "actix-session",
            Self::TowerRedis => "tower-sessions-redis",
            Self::AxumSession => "axum_session",
            Self::AxumSessionShared => "axum_session shared",
            Self::OursAxum => "session-tower",
            Self::RoutesAxum => "session-tower by route",
            Self::UnusedAxum => "session-tower unused",
            Self::UnusedRoutesAxum => "unused by route",
            Self::BareAxum => "axum",
            Self::OursMemcached => "session-memcached",
            Self::ByHandMemcached => "by hand, memcached",
            Self::OursMongo => "session-mongo",
            Self::ByHandMongo => "by hand, mongo",
            Self::OursFiles => "session-fs",
            Self::ByHandFiles => "by hand, files",
            Self::OursPostgres => "session-sql-postgres",
            Self::TowerPostgres => "tower-sessions-postgres",
            Self::OursSqlite => "session-sql-sqlite",
            Self::TowerSqlite => "tower-sessions-sqlite",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        self.name().starts_with("session-")
    }

    /// Whether its routes use sessions.
    pub(crate) fn has_sessions(self) -> bool {
        !matches!(
            self,
            Self::Bare | Self::UnusedAxum | Self::UnusedRoutesAxum | Self::BareAxum
        )
    }

    /// What the program that runs it is asked to serve.
    pub(crate) fn served(self) -> &'static str {
        match self {
            Self::BeforeRedis => Self::OursRedis.name(),
            candidate => candidate.name(),
        }
    }
}

impl FromStr for Candidate {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|it| it.name() == name);
        named.ok_or_else(|| format!("there is no candidate {name:?}"))
    }
}
