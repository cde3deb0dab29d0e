//! Redis by hand: the multiplexed connection of each worker, `MessagePack`, `GET`, and `SET` for a
//! change.

use std::cell::RefCell;

use actix_web::{Error, error::ErrorInternalServerError, rt};
use session_redis::redis::{
    AsyncCommands, AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};

use super::{Session, Store, serve};
use crate::{
    Result,
    serve::{LIFETIME, PATIENCE},
};

struct Redis {
    client: Client,
    connection: RefCell<Option<MultiplexedConnection>>,
}

impl Redis {
    async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection {
            return Ok(connection);
        }
        // As in session-redis: a burst does not wait for the buffer.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(512);
        let opened = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(ErrorInternalServerError)?;
        *self.connection.borrow_mut() = Some(opened.clone());
        Ok(opened)
    }
}

impl Store for Redis {
    type Version = ();

    async fn load(&self, key: &str) -> Result<(Session, ()), Error> {
        let bytes: Vec<u8> = self
            .connection()
            .await?
            .get(key)
            .await
            .map_err(ErrorInternalServerError)?;
        let session = rmp_serde::from_slice(&bytes).map_err(ErrorInternalServerError)?;
        Ok((session, ()))
    }

    async fn store(&self, key: &str, session: &Session, _: Option<()>) -> Result<(), Error> {
        let bytes = rmp_serde::to_vec_named(session).map_err(ErrorInternalServerError)?;
        let mut connection = self.connection().await?;
        let stored = connection.set_ex(key, bytes, LIFETIME.as_secs());
        stored.await.map_err(ErrorInternalServerError)
    }
}

pub(in crate::serve) fn redis(url: &str) -> Result<()> {
    let info = url.into_connection_info()?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(info)?;
    let open = move || Redis {
        client: client.clone(),
        connection: RefCell::default(),
    };
    rt::System::new().block_on(serve(open)?)
}
