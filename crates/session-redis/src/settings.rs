//! The setting `SESSION_REDIS`, and the store that it describes.

use session_core::config::{ConfigError, Env};

use crate::RedisStore;

pub(crate) const ADDRESS: &str = "SESSION_REDIS";
pub(crate) const DEFAULT_ADDRESS: &str = "redis://127.0.0.1:6379/0";

impl RedisStore {
    /// Creates a store at the address in `SESSION_REDIS`. Does no I/O.
    ///
    /// The default is `redis://127.0.0.1:6379/0`. See [`connect`](Self::connect) for the forms.
    ///
    /// # Errors
    ///
    /// If `SESSION_REDIS` is not an address.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::connect(env.get(ADDRESS).unwrap_or(DEFAULT_ADDRESS))
    }
}
