//! What the rows of a table are.

pub(crate) mod flask;
pub(crate) mod own;

use std::fmt;

use session_core::{Loaded, Record, Result, Revision, StoreKey, Write};

use crate::{
    dialect::{Driver, Row, Value},
    queries::Queries,
    table::TableName,
};

/// One of the two layouts that a table may have. Not for implementing elsewhere.
pub trait Layout: fmt::Debug + Send + Sync + 'static {
    fn queries<D: Driver>(table: &TableName) -> Queries;

    /// Why a table of these columns and facts cannot be used with records of up to `limit` bytes.
    fn lack(facts: &[String], limit: usize) -> Option<String>;

    /// The values that name a record in a statement.
    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>>;

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>>;

    /// `None` if the revision is another store's, whose bytes are not here.
    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>>;

    fn loaded(row: Row) -> Loaded;

    /// From where a batch of the sweep goes on: the present, or after the last that it has looked at.
    fn sweep_from(now: i64, last: Option<&Row>) -> i64;

    /// The value that names a record in a batch of the sweep.
    fn swept(row: &Row) -> Value<'_>;
}

/// The values of a statement, and what it means that it changed a record.
#[derive(Debug)]
pub struct Change<'a> {
    pub(crate) values: Vec<Value<'a>>,
    pub(crate) done: Write,
}

/// The columns that tell a table of either layout.
const OWN: [&str; 5] = [
    "store_key",
    "payload",
    "revision",
    "sweep_at",
    "listed_until",
];
const FLASK: [&str; 4] = ["id", "session_id", "data", "expiry"];

fn has(facts: &[String], all: &[&str]) -> bool {
    all.iter().all(|one| facts.iter().any(|fact| fact == one))
}

pub(crate) const FOREIGN: &str =
    "exists and holds something else: name another one for the sessions";
