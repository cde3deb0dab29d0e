//! Creates the driver's client from a URL.

use std::time::Duration;

use mongodb::options::ClientOptions;
use session_core::config::ConfigError;

use crate::{clients::Clients, settings::URL};

/// The driver's own limits are at least ten times as long, and longer than a request can wait.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The time between heartbeats. The driver accepts no less. A heartbeat's own connection that is
/// silent is noticed after this and [`TIMEOUT`], and until then the driver knows of no failover.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The connections to each server, unless the URL sets `maxPoolSize`. The driver's own default is
/// too few for a busy application.
const POOL_SIZE: u32 = 100;

/// Creates a client for `url` that notices within two seconds that a server is down or up again.
/// Also returns the size of its pool.
pub(crate) async fn clients(url: &str) -> Result<(Clients, u32), ConfigError> {
    check_scheme(url, cfg!(feature = "dns-resolver"))?;
    let mut options = ClientOptions::parse(url).await.map_err(invalid_url)?;
    options.server_selection_timeout.get_or_insert(TIMEOUT);
    options.connect_timeout.get_or_insert(TIMEOUT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.app_name.get_or_insert_with(|| "sessions".into());
    // 0 means as many as there are calls.
    let pool_size = match *options.max_pool_size.get_or_insert(POOL_SIZE) {
        0 => POOL_SIZE,
        size => size,
    };
    let clients = Clients::made(options).map_err(invalid_url)?;
    Ok((clients, pool_size))
}

/// Refuses a URL that needs DNS records, where nothing looks them up.
fn check_scheme(url: &str, looks_up: bool) -> Result<(), ConfigError> {
    if looks_up || !url.starts_with("mongodb+srv:") {
        return Ok(());
    }
    Err(ConfigError::new(
        URL,
        "begins with mongodb+srv:, which is not compiled in: enable the Cargo feature \
         \"dns-resolver\"",
    ))
}

/// Leaves out the driver's message, because it quotes the URL, and a URL can hold a password.
fn invalid_url(_: mongodb::error::Error) -> ConfigError {
    let reason = if cfg!(feature = "dns-resolver") {
        "must be a mongodb:// or mongodb+srv:// URL that the driver accepts, with user and \
         password percent-encoded"
    } else {
        "must be a mongodb:// URL that the driver accepts, with user and password percent-encoded"
    };
    ConfigError::new(URL, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_needs_dns_records_names_the_feature() {
        let url = "mongodb+srv://ada:hunter2@h";
        assert_eq!(check_scheme(url, true), Ok(()));
        assert_eq!(check_scheme("mongodb://ada:hunter2@h", false), Ok(()));
        let error = check_scheme(url, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "SESSION_MONGODB begins with mongodb+srv:, which is not compiled in: enable the Cargo \
             feature \"dns-resolver\""
        );
    }
}
