//! The program that is written by hand for its purpose: the driver's multiplexed connection of each
//! worker, a signed cookie, a struct in `MessagePack`, `GET`, and `SET` for a change. Of two changes
//! at once it loses one.

use std::{cell::RefCell, fmt::Write as _, rc::Rc};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    cookie::Cookie,
    error::{ErrorInternalServerError, ErrorUnauthorized},
    get, post, rt,
    web::Data,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use session_redis::redis::{
    AsyncCommands, AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use sha2::Sha256;

use super::{LIFETIME, PATIENCE, SECRET, WORKERS, announce};
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

/// What each worker has.
struct Worker {
    signer: Hmac<Sha256>,
    client: Client,
    connection: RefCell<Option<MultiplexedConnection>>,
}

impl Worker {
    async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let opened = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(ErrorInternalServerError)?;
        *self.connection.borrow_mut() = Some(opened.clone());
        Ok(opened)
    }

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

    async fn load(&self, key: &str) -> Result<Session, Error> {
        let bytes: Vec<u8> = self
            .connection()
            .await?
            .get(key)
            .await
            .map_err(ErrorInternalServerError)?;
        rmp_serde::from_slice(&bytes).map_err(ErrorInternalServerError)
    }

    async fn store(&self, key: &str, session: &Session) -> Result<(), Error> {
        let bytes = rmp_serde::to_vec_named(session).map_err(ErrorInternalServerError)?;
        let mut connection = self.connection().await?;
        let stored = connection.set_ex(key, bytes, LIFETIME.as_secs());
        stored.await.map_err(ErrorInternalServerError)
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

#[post("/fill")]
async fn fill(worker: Data<Rc<Worker>>) -> Result<HttpResponse, Error> {
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
    worker.store(&key(&id), &session).await?;
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

#[get("/read")]
async fn read(worker: Data<Rc<Worker>>, request: HttpRequest) -> Result<String, Error> {
    let key = worker.key(&request)?;
    Ok(worker.load(&key).await?.user_name)
}

#[post("/change")]
async fn change(worker: Data<Rc<Worker>>, request: HttpRequest) -> Result<String, Error> {
    let key = worker.key(&request)?;
    let mut session = worker.load(&key).await?;
    session.visits += 1;
    worker.store(&key, &session).await?;
    Ok(session.visits.to_string())
}

#[get("/plain")]
async fn plain() -> &'static str {
    "plain"
}

pub(super) fn redis(url: &str) -> Result<()> {
    let info = url.into_connection_info()?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(info)?;
    let signer = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    let app = move || {
        let worker = Worker {
            signer: signer.clone(),
            client: client.clone(),
            connection: RefCell::default(),
        };
        App::new()
            .app_data(Data::new(Rc::new(worker)))
            .service((fill, read, change, plain))
    };
    rt::System::new().block_on(async move {
        let server = HttpServer::new(app).workers(WORKERS).bind("127.0.0.1:0")?;
        announce(server.addrs()[0]);
        Ok(server.run().await?)
    })
}
