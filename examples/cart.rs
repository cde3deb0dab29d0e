//! A cart that several parts of one page change at once: two calls, a stream of events, a web
//! socket, an upload.
//!
//! Run it as `login.rs` says, with `--example cart`, beside a Redis.

use std::{error::Error, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, get,
    http::header::{CACHE_CONTROL, ContentType},
    post, rt,
    web::{self, Bytes},
};
use actix_ws::Message;
use futures_util::{StreamExt as _, stream};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Saved, Sessions, Settings, config::Env},
    sigterm_and_saves,
};
use session_redis::RedisStore;

const PAGE: &str = r#"<!doctype html><h1>Cart</h1><p id="cart"></p><input id="file" type="file"><script>
const both = ["book", "pen"].map(item => fetch("/cart/" + item, {method: "POST"}))
Promise.all(both).then(() => {
    new EventSource("/events").onmessage = event => cart.textContent = event.data
    const socket = new WebSocket("ws://" + location.host + "/socket")
    socket.onopen = () => socket.send("ink")
})
file.onchange = () => fetch("/upload", {method: "POST", body: file.files[0]})
</script>"#;

/// Adds `item` to the cart, whoever else adds at the same moment.
fn add(session: &Session, item: String) -> Result<Vec<String>, SessionError> {
    session.update("cart", move |cart: Option<Vec<String>>| {
        let mut cart = cart.unwrap_or_default();
        cart.push(item.clone());
        cart
    })
}

#[get("/")]
async fn page(session: Session) -> Result<HttpResponse, SessionError> {
    // The page's calls come with one session, because the page itself has begun it.
    session.insert("seen", &true)?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(PAGE))
}

#[post("/cart/{item}")]
async fn add_item(session: Session, item: web::Path<String>) -> Result<HttpResponse, SessionError> {
    add(&session, item.into_inner())?;
    let _saved = session.save().await?; // now `get` has what the other call added, too
    Ok(HttpResponse::Ok().json(session.get::<Vec<String>>("cart")?))
}

#[get("/events")]
async fn events(session: Session) -> Result<HttpResponse, SessionError> {
    let events = stream::unfold((session, 0_u32), |(session, n)| async move {
        if n > 0 {
            rt::time::sleep(Duration::from_secs(1)).await;
        }
        let event = match next_event(&session).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => return None,
            Err(error) => Err(error),
        };
        Some((event, (session, n + 1)))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(events))
}

/// What is in the cart now; `None` if the visitor has logged out.
async fn next_event(session: &Session) -> Result<Option<Bytes>, SessionError> {
    session.reload().await?;
    session.extend();
    if session.save().await? == Saved::Ended {
        return Ok(None);
    }
    let cart = session.get::<Vec<String>>("cart")?.unwrap_or_default();
    Ok(Some(Bytes::from(format!("data: {}\n\n", cart.join(", ")))))
}

#[get("/socket")]
async fn socket(
    session: Session,
    request: HttpRequest,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let (response, mut socket, mut messages) = actix_ws::handle(&request, body)?;
    rt::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            let Message::Text(item) = message else {
                continue;
            };
            let answer = match add_and_save(&session, item.to_string()).await {
                Ok(count) => format!("{count} things"),
                Err(error) => error.to_string(),
            };
            if socket.text(answer).await.is_err() {
                break;
            }
        }
        let _ = socket.close(None).await;
    });
    Ok(response)
}

async fn add_and_save(session: &Session, item: String) -> Result<usize, SessionError> {
    add(session, item)?;
    if session.save().await? == Saved::Ended {
        return Ok(0);
    }
    Ok(session
        .get::<Vec<String>>("cart")?
        .unwrap_or_default()
        .len())
}

#[post("/upload")]
async fn upload(session: Session, mut body: web::Payload) -> actix_web::Result<HttpResponse> {
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk?.len();
    }
    session.insert("uploaded", &bytes)?;
    add(&session, format!("a file of {bytes} bytes"))?;
    Ok(HttpResponse::Created().json(bytes))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let env = Env::of_process();
    let sessions = Sessions::new(
        Settings::from_env(&env)?,
        Arc::new(RedisStore::from_env(&env)?),
    )?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service((page, add_item, events, socket, upload))
    };
    let last_saves = sigterm_and_saves(Duration::from_secs(5));
    Ok(HttpServer::new(app)
        .shutdown_signal(last_saves)
        .bind("127.0.0.1:8080")?
        .run()
        .await?)
}
