//! memcached by hand: the driver's client of each worker, `MessagePack`, a get with the CAS number,
//! and a set that compares it. A change that another one overtook is an error.

use actix_web::{
    Error,
    error::{ErrorConflict, ErrorInternalServerError},
    rt,
};
use memcache::exp::{AsyncMetaClient, Meta, MutationStatus};
use tokio::sync::OnceCell;

use super::{Session, Store, serve};
use crate::{
    Result,
    serve::{LIFETIME, PATIENCE},
};

/// As many as `session-memcached` opens.
const CONNECTIONS: usize = 32;

struct Memcached {
    address: String,
    client: OnceCell<AsyncMetaClient>,
}

impl Memcached {
    async fn client(&self) -> Result<&AsyncMetaClient, Error> {
        let connect = || {
            AsyncMetaClient::builder()
                .connect_timeout(Some(PATIENCE))
                .io_timeout(Some(PATIENCE))
                .max_idle(CONNECTIONS)
                .max_connections(Some(CONNECTIONS))
                .connect_async(self.address.as_str())
        };
        let client = self.client.get_or_try_init(connect).await;
        client.map_err(ErrorInternalServerError)
    }
}

impl Store for Memcached {
    type Version = u64;

    async fn load(&self, key: &str) -> Result<(Session, u64), Error> {
        let get = self.client().await?.get(key).meta(Meta::NONE.cas());
        let found = get.send().await.map_err(ErrorInternalServerError)?;
        let none = || ErrorInternalServerError("no session");
        let bytes = found.value.ok_or_else(none)?;
        let session = rmp_serde::from_slice(&bytes).map_err(ErrorInternalServerError)?;
        Ok((session, found.item.cas.ok_or_else(none)?))
    }

    async fn store(&self, key: &str, session: &Session, cas: Option<u64>) -> Result<(), Error> {
        let bytes = rmp_serde::to_vec_named(session).map_err(ErrorInternalServerError)?;
        let set = self.client().await?.set(key, bytes);
        let set = set.ttl(LIFETIME);
        let set = match cas {
            Some(cas) => set.compare_cas(cas),
            None => set.add(),
        };
        let stored = set.send().await.map_err(ErrorInternalServerError)?;
        match stored.status {
            MutationStatus::Applied => Ok(()),
            status => Err(ErrorConflict(format!("{status:?}"))),
        }
    }
}

pub(in crate::serve) fn memcached(address: &str) -> Result<()> {
    let address = address.to_owned();
    let open = move || Memcached {
        address: address.clone(),
        client: OnceCell::new(),
    };
    rt::System::new().block_on(serve(open)?)
}
