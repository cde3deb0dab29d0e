//! A database for one test on a server that runs already.

use std::hash::{BuildHasher as _, RandomState};
use std::marker::PhantomData;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

use crate::guard::Guard;
use crate::left_over::LeftOver;

/// A database with a name that nobody else uses, dropped with this value, or when the test program
/// ends.
#[derive(Debug)]
pub(crate) struct OwnDatabase<C: Connection>
where
    for<'c> &'c mut C: Executor<'c>,
{
    server: String,
    name: String,
    connection: PhantomData<fn() -> C>,
    _guard: Guard,
}

impl<C: Connection> OwnDatabase<C>
where
    for<'c> &'c mut C: Executor<'c>,
{
    /// Creates one on the server of `url`, whose user has to have the right to. `kind` is
    /// `postgres` or `mysql`.
    pub(crate) fn create(kind: &'static str, url: &str) -> Self {
        // Without its value, which may have a password in it.
        assert!(
            url.matches('/').count() == 3 && !url.contains('?'),
            "the URL of a server of {kind} for the tests must end with a database and have no parameters"
        );
        let random = RandomState::new().hash_one(url);
        let letters = random
            .to_be_bytes()
            .map(|byte| char::from(b'a' + byte % 26));
        // Letters alone, so that no port is found in it.
        let name = format!("session_test_{}", String::from_iter(letters));
        let left_over = LeftOver {
            kind,
            server: url.to_owned(),
            database: name.clone(),
        };
        let guard = left_over.removed_at_the_end();
        run_apart::<C>(url, format!("CREATE DATABASE {name}"))
            .unwrap_or_else(|error| panic!("the tests cannot make a database of {kind}: {error}"));
        Self {
            server: url.to_owned(),
            name,
            connection: PhantomData,
            _guard: guard,
        }
    }

    /// The server's URL with the name of this database.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }
}

impl<C: Connection> Drop for OwnDatabase<C>
where
    for<'c> &'c mut C: Executor<'c>,
{
    fn drop(&mut self) {
        let _ = drop_on::<C>(&self.server, &self.name);
    }
}

/// Drops the database of this name on the server of `url`, if it is there.
pub(crate) fn drop_on<C: Connection>(url: &str, name: &str) -> sqlx::Result<()>
where
    for<'c> &'c mut C: Executor<'c>,
{
    let sql = format!("DROP DATABASE IF EXISTS {name}");
    // PostgreSQL drops no database with connections unless it is told to.
    let forced = run_apart::<C>(url, format!("{sql} WITH (FORCE)"));
    forced.or_else(|_| run_apart::<C>(url, sql))
}

/// On a thread of its own, because a runtime may be running on this one.
fn run_apart<C: Connection>(url: &str, sql: String) -> sqlx::Result<()>
where
    for<'c> &'c mut C: Executor<'c>,
{
    let url = url.to_owned();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime can be built").block_on(async {
            let mut connection = C::connect(&url).await?;
            connection.execute(AssertSqlSafe(sql)).await?;
            connection.close().await
        })
    });
    thread.join().expect("it does not panic")
}

/// Runs a statement on the database of a `postgres:` or `mysql:` URL, as an administrator does by hand.
pub async fn execute(url: &str, sql: &str) {
    async fn on<C: Connection>(url: &str, sql: &str) -> sqlx::Result<()>
    where
        for<'c> &'c mut C: Executor<'c>,
    {
        let mut connection = C::connect(url).await?;
        connection.execute(AssertSqlSafe(sql.to_owned())).await?;
        connection.close().await
    }
    let done = if url.starts_with("postgres") {
        on::<PgConnection>(url, sql).await
    } else {
        on::<MySqlConnection>(url, sql).await
    };
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
