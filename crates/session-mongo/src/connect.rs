use std::time::Duration;

use mongodb::{Client, options::ClientOptions};
use session_core::config::ConfigError;

/// The driver's own limits are ten times and more what a request can wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client for `url` that notices within a second or two that a server is gone or back.
pub(crate) async fn client(url: &str) -> Result<Client, ConfigError> {
    let mut options = ClientOptions::parse(url).await.map_err(refused)?;
    options.server_selection_timeout.get_or_insert(PATIENCE);
    options.connect_timeout.get_or_insert(PATIENCE);
    options.heartbeat_freq.get_or_insert(PATIENCE);
    options.app_name.get_or_insert_with(|| "sessions".into());
    Client::with_options(options).map_err(refused)
}

/// Says nothing of the driver's reasons: they quote the URL, and a URL holds a password.
fn refused(_: mongodb::error::Error) -> ConfigError {
    let reason = if cfg!(feature = "dns-resolver") {
        "must be a mongodb:// or mongodb+srv:// URL that the driver takes, with user and password percent-encoded"
    } else {
        "must be a mongodb:// URL that the driver takes, with user and password percent-encoded \
         (mongodb+srv:// needs the feature dns-resolver)"
    };
    ConfigError::new("SESSION_MONGODB", reason)
}
