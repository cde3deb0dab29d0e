//! A database for one test on a server that runs already.

use std::hash::{BuildHasher as _, RandomState};
use std::marker::PhantomData;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

/// A database with a name that nobody else uses, dropped with this value.
#[derive(Debug)]
pub(crate) struct OwnDatabase<C: Connection>
where
    for<'c> &'c mut C: Executor<'c>,
{
    server: String,
    name: String,
    connection: PhantomData<fn() -> C>,
}

impl<C: Connection> OwnDatabase<C>
where
    for<'c> &'c mut C: Executor<'c>,
{
    /// Creates one on the server of `url`, whose user has to have the right to.
    pub(crate) fn create(url: &str) -> Self {
        let random = RandomState::new().hash_one(url);
        let letters = random
            .to_be_bytes()
            .map(|byte| char::from(b'a' + byte % 26));
        let own = Self {
            server: url.to_owned(),
            // Letters alone, so that no port is found in it.
            name: format!("session_test_{}", String::from_iter(letters)),
            connection: PhantomData,
        };
        own.execute(format!("CREATE DATABASE {}", own.name))
            .unwrap_or_else(|error| panic!("a database for the tests on {url}: {error}"));
        own
    }

    /// The server's URL with the name of this database.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    /// On a thread of its own, because a runtime may be running on this one.
    fn execute(&self, sql: String) -> sqlx::Result<()> {
        let url = self.server.clone();
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
}

impl<C: Connection> Drop for OwnDatabase<C>
where
    for<'c> &'c mut C: Executor<'c>,
{
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {}", self.name);
        // PostgreSQL drops no database with connections unless it is told to.
        let forced = self.execute(format!("{sql} WITH (FORCE)"));
        let _ = forced.or_else(|_| self.execute(sql));
    }
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
