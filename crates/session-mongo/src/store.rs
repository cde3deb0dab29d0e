use mongodb::Client;
use session_core::{
    Result,
    config::{ConfigError, Env},
};

use crate::{
    connect,
    document::OVERHEAD,
    flask::FlaskMongoStore,
    names::{CollectionName, DatabaseName},
    place::Place,
};

/// Sessions in a collection of `MongoDB`, one document each.
///
/// A handle: clones share the client and see the same sessions.
#[derive(Clone, Debug)]
pub struct MongoStore {
    pub(crate) place: Place,
}

impl MongoStore {
    /// The largest record unless [`with_limit`](Self::with_limit) says otherwise: `MongoDB`'s 16 MiB for a document, less
    /// 1 KiB for what stands beside it.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024 - OVERHEAD;

    /// Keeps sessions in the collection `sessions` of the database `flask_session`, through the application's own client.
    ///
    /// Sends nothing. Reads go to the primary, writes wait for the majority and are sent once, whatever the client's
    /// options say. The client stops working when the runtime ends on which it was made: make it where the application's
    /// `main` runs.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a client is a handle, given away like any store's"
    )]
    pub fn new(client: Client) -> Self {
        Self::of(
            &client,
            &DatabaseName::default(),
            &CollectionName::default(),
        )
    }

    /// Makes a client for `url`, such as `mongodb://127.0.0.1:27017`, and a store on it.
    ///
    /// Does not wait for a server. Where the URL says nothing of them, server selection, connecting and the pause
    /// between heartbeats take at most 1 s each (the driver: 30 s, 10 s, 10 s). A database in the URL is where the user
    /// is looked up, as ever, and not where sessions go.
    ///
    /// # Errors
    ///
    /// If the URL is none that the driver takes, or is a `mongodb+srv://` one whose DNS records cannot be had.
    pub async fn connect(url: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(connect::client(url).await?))
    }

    /// What `SESSION_MONGODB` (default `mongodb://127.0.0.1:27017`), `SESSION_MONGODB_DB` (default `flask_session`) and
    /// `SESSION_MONGODB_COLLECT` (default `sessions`) say; see [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub async fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let database = env
            .get("SESSION_MONGODB_DB")
            .map(DatabaseName::new)
            .transpose()?;
        let collection = env
            .get("SESSION_MONGODB_COLLECT")
            .map(CollectionName::new)
            .transpose()?;
        let url = env
            .get("SESSION_MONGODB")
            .unwrap_or("mongodb://127.0.0.1:27017");
        let client = connect::client(url).await?;
        Ok(Self::of(
            &client,
            &database.unwrap_or_default(),
            &collection.unwrap_or_default(),
        ))
    }

    /// Keeps the sessions in `database`.
    #[must_use]
    pub fn with_database(self, database: &DatabaseName) -> Self {
        Self {
            place: self.place.in_database(database),
        }
    }

    /// Keeps the sessions in `collection`.
    #[must_use]
    pub fn with_collection(self, collection: &CollectionName) -> Self {
        Self {
            place: self.place.in_collection(collection),
        }
    }

    /// Accepts records of up to `limit` bytes; at most [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT).
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.place.limit = limit.min(Self::DEFAULT_LIMIT);
        self
    }

    /// The same server, database and collection, with documents as Flask-Session lays them out.
    ///
    /// The limit is then at most [`FlaskMongoStore::DEFAULT_LIMIT`].
    #[must_use]
    pub fn with_flask_layout(self) -> FlaskMongoStore {
        FlaskMongoStore::of(self.place)
    }

    fn of(client: &Client, database: &DatabaseName, collection: &CollectionName) -> Self {
        Self {
            place: Place::new(client, database, collection, Self::DEFAULT_LIMIT),
        }
    }
}
