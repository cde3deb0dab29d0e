//! The programs that are written by hand for their purpose: a signed cookie, a struct, and the
//! driver as its documentation has it.

mod files;
mod memcached;
mod mongo;
mod redis;

use std::{fmt::Write as _, future::Future, rc::Rc};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    cookie::Cookie,
    error::{ErrorInternalServerError, ErrorUnauthorized},
    web,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub(super) use self::{files::files, memcached::memcached, mongo::mongo, redis::redis};
use super::{SECRET, WORKERS, announce};
use crate::{Result, record};

const COOKIE: &str = "__Host-session";
const ID: usize = 32;

#[derive(Serialize, Deserialize)]
struct Session {
    user_name: String,
    user_id: String,
    email: String,
    role: String,
    locale: String,
    theme: String,
    csrf: String,
    cart: String,
    came_from: String,
    filler: String,
    visits: u64,
}

/// Where the sessions are.
trait Store: 'static {
    /// What a change names of the session that it has read. Nothing where it overwrites whatever is
    /// there, so that of two changes at once one is lost.
    type Version;

    async fn load(&self, key: &str) -> Result<(Session, Self::Version), Error>;

    /// Stores a new session, or one in place of that of this version.
    async fn store(
        &self,
        key: &str,
        session: &Session,
        version: Option<Self::Version>,
    ) -> Result<(), Error>;
}

/// What each worker has.
struct Worker<S> {
    signer: Hmac<Sha256>,
    store: S,
}

impl<S> Worker<S> {
    /// The store key of the session that the request's cookie names.
    fn key(&self, request: &HttpRequest) -> Result<String, Error> {
        let cookie = request.cookie(COOKIE);
        let id = cookie.as_ref().and_then(|cookie| {
            let (id, signature) = cookie.value().split_once('.')?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let signer = self.signer.clone().chain_update(id);
            signer.verify_slice(&signature).ok()?;
            URL_SAFE_NO_PAD.decode(id).ok()
        });
        id.map(|id| key(&id))
            .ok_or_else(|| ErrorUnauthorized("no session"))
    }
}

/// As long as this library's.
fn key(id: &[u8]) -> String {
    let mut key = String::with_capacity(72);
    key.push_str("session:");
    for byte in id {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

async fn fill<S: Store>(worker: web::Data<Rc<Worker<S>>>) -> Result<HttpResponse, Error> {
    let mut id = [0; ID];
    getrandom::fill(&mut id).map_err(|_| ErrorInternalServerError("no random numbers"))?;
    let mut texts = record::TEXTS.map(|(_, text)| text.to_owned()).into_iter();
    let mut text = || texts.next().unwrap_or_default();
    let session = Session {
        user_name: text(),
        user_id: text(),
        email: text(),
        role: text(),
        locale: text(),
        theme: text(),
        csrf: text(),
        cart: text(),
        came_from: text(),
        filler: record::filler(),
        visits: 0,
    };
    worker.store.store(&key(&id), &session, None).await?;
    let id = URL_SAFE_NO_PAD.encode(id);
    let signature = worker.signer.clone().chain_update(&id).finalize();
    let signature = URL_SAFE_NO_PAD.encode(signature.into_bytes());
    let cookie = Cookie::build(COOKIE, format!("{id}.{signature}"))
        .path("/")
        .secure(true)
        .http_only(true)
        .finish();
    Ok(HttpResponse::Ok().cookie(cookie).body("filled"))
}

async fn read<S: Store>(
    worker: web::Data<Rc<Worker<S>>>,
    request: HttpRequest,
) -> Result<String, Error> {
    let key = worker.key(&request)?;
    Ok(worker.store.load(&key).await?.0.user_name)
}

async fn change<S: Store>(
    worker: web::Data<Rc<Worker<S>>>,
    request: HttpRequest,
) -> Result<String, Error> {
    let key = worker.key(&request)?;
    let (mut session, version) = worker.store.load(&key).await?;
    session.visits += 1;
    worker.store.store(&key, &session, Some(version)).await?;
    Ok(session.visits.to_string())
}

async fn plain() -> &'static str {
    "plain"
}

/// Serves with a store of each worker, which `open` makes.
fn serve<S: Store>(
    open: impl Fn() -> S + Send + Clone + 'static,
) -> Result<impl Future<Output = Result<()>>> {
    let signer = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    let app = move || {
        let worker = Worker {
            signer: signer.clone(),
            store: open(),
        };
        App::new()
            .app_data(web::Data::new(Rc::new(worker)))
            .route("/fill", web::post().to(fill::<S>))
            .route("/read", web::get().to(read::<S>))
            .route("/change", web::post().to(change::<S>))
            .route("/plain", web::get().to(plain))
    };
    Ok(async move {
        let server = HttpServer::new(app).workers(WORKERS).bind("127.0.0.1:0")?;
        announce(server.addrs()[0]);
        Ok(server.run().await?)
    })
}
