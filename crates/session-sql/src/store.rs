//! The type of every store: its options, the store contract, and how a statement is run.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use session_core::{
    Connections as Counted, Finding, Loaded, OwnerIndex, Record, Result, Revision, Scan,
    SessionStore, StoreKey, Write, async_trait,
};
use sqlx::{Pool, SqlStr};

use crate::{
    connection::{Connections, unless_silent},
    dialect::{Dialect, ErrorClass, QueryResult, Value, error_class},
    error::CallError,
    layout::{Change, Layout, Own},
    queries::Queries,
    retry::{Operation, Retry},
    sweep_position::SweepPosition,
    table_name::TableName,
    writer_queue::WriterQueue,
};

/// Sessions in a table of a SQL database.
///
/// `D` is `sqlx`'s type of the database. [`SqliteStore`](crate::SqliteStore),
/// [`PostgresStore`](crate::PostgresStore) and [`MySqlStore`](crate::MySqlStore) are the three that
/// there are. A clone uses the same pool and table.
pub type SqlStore<D> = SqlTable<D, Own>;

/// A store of sessions in a table with the layout `L`. [`SqlStore`] has the library's own layout.
pub struct SqlTable<D: Dialect, L> {
    pub(crate) connections: Connections<D>,
    pub(crate) table: TableName,
    pub(crate) queries: Arc<Queries>,
    pub(crate) queue: WriterQueue,
    /// The largest record, in bytes.
    pub(crate) limit: usize,
    /// Where the next sweep of a layout without an index continues.
    pub(crate) sweep_position: Arc<Mutex<SweepPosition>>,
    layout: PhantomData<L>,
}

/// The most bytes of values that every column and every protocol takes in one statement.
pub(crate) const MAX_STATEMENT: usize = 1_000_000_000 - 65_536;

impl<D: Dialect> SqlStore<D> {
    /// The largest record, unless [`with_limit`](Self::with_limit) sets another limit: 16 MiB less
    /// 64 KiB.
    ///
    /// `MariaDB`'s default of `max_allowed_packet` holds such a record and the rest of the
    /// statement.
    pub const DEFAULT_LIMIT: usize = (16 << 20) - (64 << 10);

    /// Sessions in the table `sessions` of the database of `pool`. Does no I/O: the first call
    /// connects.
    ///
    /// The store takes a whole connection of the pool for each call, so it has no part in the
    /// transactions of the application. The pool limits how long a call waits for a connection
    /// (`acquire_timeout`, 30 s unless set). The server limits how long a statement takes
    /// (`statement_timeout` and the like). [`connect`](Self::connect) sets both below the time that
    /// a request has.
    pub fn new(pool: Pool<D>) -> Self {
        Self::on(Connections::of_application(pool))
    }

    pub(crate) fn on(connections: Connections<D>) -> Self {
        let (table, queue) = (TableName::default(), WriterQueue::new::<D>());
        Self::build(connections, table, queue, Self::DEFAULT_LIMIT)
    }

    /// Keeps the sessions in `table`. Default: `sessions`.
    #[must_use]
    pub fn with_table(self, table: TableName) -> Self {
        Self::build(self.connections, table, self.queue, self.limit)
    }

    /// Accepts records of up to `bytes`, or of what the database can hold if that is less. Default:
    /// [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT).
    ///
    /// `MySQL` and `MariaDB` need a `max_allowed_packet` that is 64 KiB larger than the limit.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(MAX_STATEMENT);
        self
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    pub(crate) fn build(
        connections: Connections<D>,
        table: TableName,
        queue: WriterQueue,
        limit: usize,
    ) -> Self {
        Self {
            connections,
            queries: Arc::new(L::queries::<D>(&table)),
            table,
            queue,
            limit,
            sweep_position: Arc::new(SweepPosition::new().into()),
            layout: PhantomData,
        }
    }

    /// The pool that the store uses.
    pub fn pool(&self) -> &Pool<D> {
        self.connections.pool()
    }

    /// Runs one statement, and retries it as [`Retry`] allows.
    pub(crate) async fn run(
        &self,
        operation: Operation,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<QueryResult> {
        self.retry(operation, || self.run_once(operation, sql, values))
            .await
    }

    pub(crate) async fn retry<T, F>(&self, operation: Operation, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut retry = Retry::new(operation);
        loop {
            let error = match call().await {
                Ok(result) => return Ok(result),
                Err(error) => retry.back_off::<D>(error).await,
            };
            if let Err(error) = error {
                return Err(self.explain(operation, error).await.into_error::<D>());
            }
        }
    }

    async fn run_once(
        &self,
        operation: Operation,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<QueryResult, CallError> {
        // Before the connection, so that waiting writers leave the connections to readers.
        let _permit = match operation {
            Operation::Read => None,
            _ => self.queue.permit().await,
        };
        let mut connection = self.connections.acquire(operation).await?;
        let call = D::run(connection.get_mut(), sql, values);
        let result = unless_silent::<D, _>(operation, call).await;
        let result = connection.finish(result);
        let class = result.as_ref().err().map(error_class::<D>);
        match (class, result) {
            (Some(ErrorClass::KeyExists), _) => Ok(QueryResult::default()),
            (class, result) => {
                if class == Some(ErrorClass::ReadOnly) {
                    self.connections.close_idle();
                }
                result.map_err(CallError::Statement)
            }
        }
    }

    pub(crate) fn unsuitable(&self, mismatch: &str) -> CallError {
        CallError::Unsuitable(format!("the table {} {mismatch}", self.table))
    }

    /// The error that tells what is wrong with the table, if that can be why a statement failed.
    async fn explain(&self, operation: Operation, error: CallError) -> CallError {
        let CallError::Statement(cause) = &error else {
            return error;
        };
        // A database may not tell a missing table from a broken statement by its error code.
        let table_missing = error_class::<D>(cause) == ErrorClass::TableMissing;
        if !table_missing || operation == Operation::Migration {
            return error;
        }
        match self.table_exists(operation).await {
            Ok(false) => self.unsuitable(
                "does not exist: run migrate() once before serving, or `sessionctl migrate`",
            ),
            Err(unsuitable @ CallError::Unsuitable(_)) => unsuitable,
            _ => error,
        }
    }
}

#[async_trait]
impl<D: Dialect, L: Layout> SessionStore for SqlTable<D, L> {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (sql, values) = (&self.queries.load, L::key::<D>(key)?);
        let result = self.run(Operation::Read, sql, &values).await?;
        Ok(result.rows.into_iter().next().map(L::loaded))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let change = L::insert::<D>(key, record)?;
        self.write(std::slice::from_ref(&self.queries.insert), change)
            .await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        match L::update::<D>(key, record, revision)? {
            Some(change) => self.write(&self.queries.update, change).await,
            None => Ok(Write::Refused),
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (sql, values) = (&self.queries.delete, L::key::<D>(key)?);
        self.run(Operation::Write, sql, &values).await.map(drop)
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        L::owner_index(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        L::scan(self)
    }

    fn connections(&self) -> Option<Counted> {
        Some(self.connections.count())
    }

    async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.findings().await
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// Runs the statements in order until one has changed a record.
    async fn write(&self, statements: &[SqlStr], change: Change<'_>) -> Result<Write> {
        for sql in statements {
            let result = self.run(Operation::Write, sql, &change.values).await?;
            if result.changed > 0 {
                return Ok(change.on_success);
            }
        }
        Ok(Write::Refused)
    }
}

impl<D: Dialect, L> Clone for SqlTable<D, L> {
    fn clone(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            table: self.table.clone(),
            queries: Arc::clone(&self.queries),
            queue: self.queue.clone(),
            sweep_position: Arc::clone(&self.sweep_position),
            ..*self
        }
    }
}

impl<D: Dialect, L: fmt::Debug> fmt::Debug for SqlTable<D, L> {
    /// Leaves out the pool, whose own `Debug` shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTable")
            .field("database", &D::NAME)
            .field("table", &self.table)
            .field("layout", &self.layout)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
