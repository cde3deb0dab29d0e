//! The `SESSION_FILE_*` settings and `FileStore::from_env`, which reads them.

use session_core::config::{ConfigError, Env};

use crate::store::FileStore;

const DIRECTORY: &str = "SESSION_FILE_DIR";
const THRESHOLD: &str = "SESSION_FILE_THRESHOLD";
pub(crate) const MODE: &str = "SESSION_FILE_MODE";

impl FileStore {
    /// The default of `SESSION_FILE_DIR`.
    pub const DEFAULT_DIRECTORY: &str = "flask_session";

    /// Creates a store from `SESSION_FILE_DIR` (default
    /// [`DEFAULT_DIRECTORY`](Self::DEFAULT_DIRECTORY)), `SESSION_FILE_THRESHOLD` (default none) and `SESSION_FILE_MODE` (default `0600`).
    ///
    /// Like [`open`](Self::open), it checks the directory at once, so an unusable directory stops
    /// the application at startup.
    ///
    /// # Errors
    ///
    /// If the threshold is not a whole number, or if the mode is ambiguous or gives group or others
    /// any access. For errors of the directory see [`check`](Self::check).
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let directory = env.get(DIRECTORY);
        let mut store = Self::new(directory.unwrap_or(Self::DEFAULT_DIRECTORY));
        store.threshold = env.parse(THRESHOLD, "a whole number of sessions")?;
        if let Some(mode) = env.get(MODE) {
            store.root.staging.mode = mode.parse()?;
        }
        store.root.check(directory.map(|_| DIRECTORY))?;
        Ok(store)
    }
}
