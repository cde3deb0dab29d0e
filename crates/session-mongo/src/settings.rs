//! The `SESSION_MONGODB*` settings and `MongoStore::from_env`, which reads them.

use session_core::config::{ConfigError, Env};

use crate::{
    names::{CollectionName, DatabaseName},
    store::MongoStore,
};

pub(crate) const URL: &str = "SESSION_MONGODB";
pub(crate) const DATABASE: &str = "SESSION_MONGODB_DB";
pub(crate) const COLLECTION: &str = "SESSION_MONGODB_COLLECT";

impl MongoStore {
    /// Creates a store from `SESSION_MONGODB` (default `mongodb://127.0.0.1:27017`),
    /// `SESSION_MONGODB_DB` (default `flask_session`) and `SESSION_MONGODB_COLLECT` (default
    /// `sessions`). See [`connect`](Self::connect) for the URL.
    ///
    /// # Errors
    ///
    /// If one of the settings is invalid. The message names it.
    pub async fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let database = env.get(DATABASE).map(DatabaseName::new).transpose()?;
        let collection = env.get(COLLECTION).map(CollectionName::new).transpose()?;
        let url = env.get(URL).unwrap_or("mongodb://127.0.0.1:27017");
        let store = Self::connect(url).await?;
        Ok(store
            .with_database(&database.unwrap_or_default())
            .with_collection(&collection.unwrap_or_default()))
    }
}
