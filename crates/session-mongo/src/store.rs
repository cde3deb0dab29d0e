//! `MongoStore`, the public store, with its constructors and options.

use mongodb::Client;
use session_core::config::ConfigError;

use crate::{
    call_limit::DEFAULT_POOL_SIZE,
    collection::CollectionHandle,
    connection,
    layout::OVERHEAD,
    names::{CollectionName, DatabaseName},
};

/// Sessions in a collection of `MongoDB`, one document each.
///
/// A clone is a handle: it shares the client and sees the same sessions.
#[derive(Clone, Debug)]
pub struct MongoStore {
    pub(crate) collection: CollectionHandle,
}

impl MongoStore {
    /// The default size limit of a record: the 16 MiB that `MongoDB` allows for a document, less
    /// 1 KiB for the other fields. [`with_limit`](Self::with_limit) lowers it.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024 - OVERHEAD;

    /// Creates a store in the collection `sessions` of the database `flask_session`, on the
    /// application's own client.
    ///
    /// Does no I/O. The store runs at most 10 calls at the same time, as many as the driver's pool
    /// has connections by default. The client's options do not change these: reads go to the
    /// primary, and writes wait for the majority and are sent once. The client stops working when
    /// the runtime ends that created it, so create it in the application's `main`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a client is a handle, and the other stores' constructors take theirs by value"
    )]
    pub fn new(client: Client) -> Self {
        Self::on(&client, DEFAULT_POOL_SIZE)
    }

    /// Creates a client for `url`, such as `mongodb://127.0.0.1:27017`, and a store on it.
    ///
    /// Does not wait for a server. Unless the URL sets them, the timeouts of server selection and
    /// of connecting, and the time between heartbeats, are 1 s each (the driver's defaults: 30 s,
    /// 10 s, 10 s), and the pool has up to 100 connections (10). As always in `MongoDB`, a database
    /// in the URL is the one that authenticates the user. [`with_database`](Self::with_database)
    /// sets the one for sessions.
    ///
    /// # Errors
    ///
    /// If the driver does not accept the URL, or if the DNS records of a `mongodb+srv://` URL
    /// cannot be resolved.
    pub async fn connect(url: &str) -> Result<Self, ConfigError> {
        let (client, pool_size) = connection::client(url).await?;
        Ok(Self::on(&client, pool_size))
    }

    fn on(client: &Client, pool_size: u32) -> Self {
        Self {
            collection: CollectionHandle::new(client, pool_size, Self::DEFAULT_LIMIT),
        }
    }

    /// Sets the database of the sessions. Defaults to `flask_session`.
    #[must_use]
    pub fn with_database(self, database: &DatabaseName) -> Self {
        Self {
            collection: self.collection.in_database(database),
        }
    }

    /// Sets the collection of the sessions. Defaults to `sessions`.
    #[must_use]
    pub fn with_collection(self, collection: &CollectionName) -> Self {
        Self {
            collection: self.collection.in_collection(collection),
        }
    }

    /// Sets the size limit of a record in bytes. Values above
    /// [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT), which is also the default, mean that.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.collection.limit = bytes.min(Self::DEFAULT_LIMIT);
        self
    }
}
