//! What databases have in common that are servers.

use std::path::PathBuf;

use sqlx::{Connection, pool::PoolConnectionMetadata};

use crate::pace;

/// Where a server is: its socket, if it has one.
pub(super) fn address(socket: Option<&PathBuf>, host: &str, port: u16) -> String {
    socket.map_or_else(
        || format!("{host}:{port}"),
        |socket| socket.display().to_string(),
    )
}

/// Whether a connection can still be used.
pub(super) async fn lives<C: Connection>(
    connection: &mut C,
    meta: PoolConnectionMetadata,
) -> sqlx::Result<bool> {
    if meta.idle_for > pace::TRUST_IDLE {
        connection.ping().await?;
    }
    Ok(meta.age < pace::LIFETIME)
}
