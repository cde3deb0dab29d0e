//! `MongoStore`, the public store, with its constructors and options.

use mongodb::Client;
use session_core::config::ConfigError;

use crate::{
    call_limit::DEFAULT_POOL_SIZE,
    clients::Clients,
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
    /// primary, and writes wait for the majority and are sent once. The store cannot replace this
    /// client after silence, as it does the one of [`connect`](Self::connect): two connections that
    /// are silent at their log-in keep the driver from opening others. The client stops working when
    /// the runtime ends that created it, so create it in the application's `main`.
    pub fn new(client: Client) -> Self {
        Self::on(Clients::given(client), DEFAULT_POOL_SIZE)
    }

    /// Creates a client for `url`, such as `mongodb://127.0.0.1:27017`, and a store on it.
    ///
    /// Does not wait for a server. Unless the URL sets them, the timeouts of server selection and
    /// of connecting are 1 s each, the time between heartbeats is 500 ms (the driver's defaults:
    /// 30 s, 10 s, 10 s), and the pool has up to 100 connections (10). As always in `MongoDB`, a database
    /// in the URL is the one that authenticates the user. [`with_database`](Self::with_database)
    /// sets the one for sessions.
    ///
    /// When a call was not answered in time, the next one gets a new client, which has 1 s for its
    /// first answer, and twice as long each time that nothing came. The clients belong to the
    /// runtime that this is called on, and stop working when it ends.
    ///
    /// # Errors
    ///
    /// If the driver does not accept the URL, if a `mongodb+srv://` URL comes without the feature
    /// `dns-resolver`, or if the DNS records of a `mongodb+srv://` URL
    /// cannot be resolved.
    pub async fn connect(url: &str) -> Result<Self, ConfigError> {
        let (clients, pool_size) = connection::clients(url).await?;
        Ok(Self::on(clients, pool_size))
    }

    fn on(clients: Clients, pool_size: u32) -> Self {
        Self {
            collection: CollectionHandle::new(clients, pool_size, Self::DEFAULT_LIMIT),
        }
    }

    /// Sets the database of the sessions. Defaults to `flask_session`.
    #[must_use]
    pub fn with_database(self, database: &DatabaseName) -> Self {
        Self {
            collection: self.collection.in_database(database.clone()),
        }
    }

    /// Sets the collection of the sessions. Defaults to `sessions`.
    #[must_use]
    pub fn with_collection(self, collection: &CollectionName) -> Self {
        Self {
            collection: self.collection.in_collection(collection.clone()),
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
