//! One visitor asks an application of axum for one kind of page again and again; the sessions are in
//! memory.
//!
//! `cargo xtask costs` runs this under callgrind and says what one request of each kind costs. By
//! itself it prints nothing. It ends with an error if an answer is not the right one.

use std::{convert::Infallible, error::Error, sync::Arc, thread};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{
        StatusCode,
        header::{COOKIE, SET_COOKIE},
    },
    response::Response,
    routing::{get, post},
};
use session_tower::{
    CrossSiteGuard, Layer as _, Session, SessionError, SessionLayer,
    session_core::{MemoryStore, SecretKeys, Sessions, Settings},
};
use tokio::runtime;
use tower::{Service, ServiceExt as _};

const USAGE: &str = "axum_cost KIND REQUESTS; KIND is without, untouched, untouched-by-route, guarded, read, change, \
                     read-without or change-without";

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
const NAME: &str = "Grace Brewster Hopper";
/// What a session holds beside a name and a counter, in bytes.
const FILLER: usize = 260;

async fn fill(session: Session) -> Result<(), SessionError> {
    session.insert("name", NAME)?;
    session.insert("filler", &"f".repeat(FILLER))?;
    session.insert("visits", &0_u64)
}

async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get("name")?.unwrap_or_default())
}

async fn change(session: Session) -> Result<String, SessionError> {
    let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(visits.to_string())
}

fn routes() -> Router {
    Router::new()
        .route("/fill", post(fill))
        .route("/untouched", get(async || "ok"))
        .route("/read", get(read))
        .route("/change", post(change))
        .route("/read-without", get(async || NAME.to_owned()))
        .route("/change-without", post(async || 1_u64.to_string()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, requests] = words.as_slice() else {
        return Err(USAGE.into());
    };
    let requests = requests.parse()?;
    // As in `request_cost` of session-actix: where the main thread's stack begins depends on the
    // environment.
    let done = thread::scope(|scope| {
        let program = scope.spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let visit = runtime.block_on(send_requests(kind, requests));
            visit.map_err(|error| error.to_string())
        });
        program.join()
    });
    Ok(done.map_err(|_| "a handler panicked")??)
}

/// Sends so many requests of one kind, of one visitor.
async fn send_requests(kind: &str, requests: u64) -> Result<(), Box<dyn Error>> {
    let settings = Settings::new(SecretKeys::new(SECRET)?);
    let builder = Sessions::builder(settings, Arc::new(MemoryStore::new()));
    let layer = SessionLayer::new(builder.without_owner_lists().build()?);
    // What `axum::serve` does once.
    let routes = routes().with_state(());
    match kind {
        "without" | "read-without" | "change-without" => send_all(routes, kind, requests).await,
        "untouched-by-route" => send_all(routes.layer(layer), kind, requests).await,
        "guarded" => {
            let around = (CrossSiteGuard::default(), layer);
            send_all(around.layer(routes), kind, requests).await
        }
        _ => send_all(layer.layer(routes), kind, requests).await,
    }
}

async fn send_all<S>(app: S, kind: &str, requests: u64) -> Result<(), Box<dyn Error>>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    // One as long as a session's, but not one of ours.
    let mut cookie = format!("__Host-session={0}.{0}", "A".repeat(43));
    let mut ask = async |request: http::request::Builder, expected: &str| {
        let request = request.header(COOKIE, &cookie).body(Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        if let Some(given) = response.headers().get(SET_COOKIE) {
            let pair = given.to_str()?.split(';').next();
            pair.unwrap_or_default().clone_into(&mut cookie);
        }
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        if status != StatusCode::OK || body != expected {
            return Err(format!("{status}, {body:?} in place of {expected:?}").into());
        }
        Ok::<_, Box<dyn Error>>(())
    };
    if !kind.ends_with("without") {
        ask(Request::post("/fill"), "").await?;
    }
    for visit in 1..=requests {
        match kind {
            "without" | "untouched" | "untouched-by-route" | "guarded" => {
                ask(Request::get("/untouched"), "ok").await?;
            }
            "read" => ask(Request::get("/read"), NAME).await?,
            "change" => ask(Request::post("/change"), &visit.to_string()).await?,
            "read-without" => ask(Request::get("/read-without"), NAME).await?,
            "change-without" => ask(Request::post("/change-without"), "1").await?,
            _ => return Err(format!("{kind} is no kind of request").into()),
        }
    }
    Ok(())
}
