//! What tests leave on a server that is not their own, removed when the test program ends.

use std::env;

use crate::guard::Guard;
use crate::program::built;
use crate::{mongo, redis};

/// The program that removes it: this one may end before it can.
const PROGRAM: &str = "session-test-removal";

/// How that program is told. Not by arguments, because a URL may have a password in it and everybody
/// can read those.
const VARIABLE: &str = "SESSION_TEST_LEFT_OVER";

/// A database that a test program fills on a server that runs already.
#[derive(Debug)]
pub(crate) struct LeftOver {
    /// `redis`, `mongodb`, `postgres` or `mysql`.
    pub(crate) kind: &'static str,
    /// A port of 127.0.0.1, or for SQL a URL.
    pub(crate) server: String,
    pub(crate) database: String,
}

impl LeftOver {
    /// Removes it when this program ends, however it ends, unless the value is dropped before.
    pub(crate) fn removed_at_the_end(&self) -> Guard {
        let Self {
            kind,
            server,
            database,
        } = self;
        let told = format!("{kind} {server} {database}");
        Guard::running(&built(PROGRAM, "session-tests"), VARIABLE, &told)
    }
}

/// Removes what a test program has left, which its guard says by the environment.
///
/// # Errors
///
/// What the server says, or that nothing is named.
pub fn remove_left_over() -> Result<(), String> {
    let told = env::var(VARIABLE).unwrap_or_default();
    let words: Vec<_> = told.split(' ').collect();
    let [kind, server, database] = words[..] else {
        return Err(format!("{VARIABLE} names no database"));
    };
    let failure = |error: &dyn std::error::Error| format!("{kind}: {database}: {error}");
    let port = || {
        let port = server.parse::<u16>();
        port.map_err(|error| failure(&error))
    };
    match kind {
        "redis" => redis::empty(port()?, database).map_err(|error| failure(&error)),
        "mongodb" => mongo::drop_database(port()?, database).map_err(|error| failure(&error)),
        #[cfg(feature = "sql")]
        "postgres" => crate::own_database::drop_on::<sqlx::PgConnection>(server, database)
            .map_err(|error| failure(&error)),
        #[cfg(feature = "sql")]
        "mysql" => crate::own_database::drop_on::<sqlx::MySqlConnection>(server, database)
            .map_err(|error| failure(&error)),
        _ => Err(format!("{kind} is no kind of server")),
    }
}
