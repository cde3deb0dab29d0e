//! The setting `SESSION_MEMCACHED`, and the store that it describes.

use session_core::config::{ConfigError, Env};

use crate::MemcachedStore;

pub(crate) const NODES: &str = "SESSION_MEMCACHED";
const DEFAULT_NODES: &str = "127.0.0.1:11211";

impl MemcachedStore {
    /// Creates a store from the environment. Does no I/O.
    ///
    /// `SESSION_MEMCACHED` is a comma-separated list of `host:port`. The default is
    /// `127.0.0.1:11211`.
    ///
    /// # Errors
    ///
    /// If the list contains an invalid address or names a node twice.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::connect(env.get(NODES).unwrap_or(DEFAULT_NODES))
    }
}
