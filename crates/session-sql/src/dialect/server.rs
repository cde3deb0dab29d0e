//! What the databases that are servers have in common.

use std::{io, path::PathBuf};

use sqlx::{Connection, pool::PoolConnectionMetadata};
use tokio::time::timeout;

use crate::timeouts;

/// Where a server is: its socket if it has one, otherwise host and port.
pub(super) fn address(socket: Option<&PathBuf>, host: &str, port: u16) -> String {
    socket.map_or_else(
        || format!("{host}:{port}"),
        |socket| socket.display().to_string(),
    )
}

/// Whether a connection can be used again.
pub(super) async fn is_usable<C: Connection>(
    connection: &mut C,
    meta: PoolConnectionMetadata,
) -> sqlx::Result<bool> {
    if meta.idle_for > timeouts::TRUST_IDLE {
        let ping = timeout(timeouts::PING, connection.ping()).await;
        ping.map_err(io::Error::from)??;
    }
    Ok(meta.age < timeouts::LIFETIME)
}
