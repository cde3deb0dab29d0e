//! The routes, each of them the same as in `app.py`.

use std::time::Duration;

use actix_server_sessions::{Session, session_core::Format};
use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder,
    web::{self, Bytes, Data, Json, Query, QueryConfig, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::ApiError, state::State, tagged::tagged, typed::typed};

type Answer<T = State> = Result<T, ApiError>;

pub(crate) fn all(config: &mut ServiceConfig) {
    config
        .app_data(QueryConfig::default().error_handler(|_, _| ApiError::BadRequest.into()))
        .service(get("/set", set))
        .service(web::resource("/setmany").route(web::post().to(set_many)))
        .service(get("/get", show_value))
        .service(get("/incr", increment))
        .service(get("/append", append))
        .service(get("/del", delete))
        .service(get("/flash", flash))
        .service(get("/flashes", flashes))
        .service(get("/clear", clear))
        .service(get("/permanent", permanent))
        .service(get("/regenerate", regenerate))
        .service(get("/login", log_in))
        .service(get("/login_clear", log_in_cleared))
        .service(get("/touch", untouched))
        .service(get("/health", untouched))
        .service(get("/slow", slow))
        .default_service(web::to(not_found));
}

/// Flask answers HEAD wherever it answers GET.
fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}

#[derive(Deserialize)]
struct Pair {
    k: String,
    #[serde(default)]
    v: String,
    #[serde(default = "text")]
    t: String,
}

fn text() -> String {
    "str".into()
}

async fn set(session: Session, pair: Query<Pair>, format: Data<Format>) -> Answer {
    let value = typed(&pair.v, &pair.t, **format)?;
    session.insert_value(&pair.k, value)?;
    State::of(&session)
}

async fn set_many(session: Session, body: Bytes, format: Data<Format>) -> Answer {
    let triples: Vec<(String, Value, String)> =
        serde_json::from_slice(&body).map_err(|_| ApiError::BadRequest)?;
    for (key, value, kind) in triples {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        session.insert_value(&key, typed(&text, &kind, **format)?)?;
    }
    State::of(&session)
}

#[derive(Deserialize)]
struct MaybeKey {
    k: Option<String>,
}

async fn show_value(session: Session, asked: Query<MaybeKey>) -> Answer<HttpResponse> {
    let Some(key) = &asked.k else {
        return Ok(State::of(&session)?.into());
    };
    let value = session.value(key);
    Ok(HttpResponse::Ok().json(json!({
        "found": value.is_some(),
        "value": value.map(|value| value.to_dynamic()).transpose()?.map(|value| tagged(&value)),
    })))
}

#[derive(Deserialize)]
struct Key {
    k: String,
}

async fn increment(session: Session, asked: Query<Key>) -> Answer<Json<Value>> {
    session.increment(&asked.k)?;
    // What `increment` gives is provisional; after the save it is what is stored.
    ApiError::unless_kept(session.save().await?)?;
    Ok(Json(json!({ "value": session.get::<i64>(&asked.k)? })))
}

async fn append(session: Session, pair: Query<Pair>) -> Answer<Json<Value>> {
    let added = pair.v.clone();
    session.update(&pair.k, move |items: Option<Vec<String>>| {
        [items.unwrap_or_default(), vec![added.clone()]].concat()
    })?;
    ApiError::unless_kept(session.save().await?)?;
    Ok(Json(
        json!({ "value": session.get::<Vec<String>>(&pair.k)? }),
    ))
}

async fn delete(session: Session, asked: Query<Key>) -> Answer {
    session.remove(&asked.k);
    State::of(&session)
}

#[derive(Deserialize)]
struct Message {
    m: String,
    #[serde(default = "category")]
    c: String,
}

fn category() -> String {
    "message".into()
}

async fn flash(session: Session, message: Query<Message>) -> Answer {
    session.flash(&message.c, &message.m)?;
    State::of(&session)
}

async fn flashes(session: Session) -> Answer<Json<Value>> {
    Ok(Json(json!({ "messages": session.take_flashes()? })))
}

async fn clear(session: Session) -> Answer {
    session.clear();
    State::of(&session)
}

#[derive(Deserialize)]
struct Switch {
    on: String,
}

async fn permanent(session: Session, switch: Query<Switch>) -> Answer {
    session.set_permanent(switch.on == "1");
    State::of(&session)
}

async fn regenerate(session: Session) -> Answer {
    session.renew();
    State::of(&session)
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn log_in(session: Session, login: Query<Login>) -> Answer {
    session.renew();
    session.insert("user", &login.user)?;
    State::of(&session)
}

/// Flask-Session keeps the id here; whoever planted it would be logged in too.
async fn log_in_cleared(session: Session, login: Query<Login>) -> Answer {
    session.clear();
    session.renew();
    session.insert("user", &login.user)?;
    State::of(&session)
}

async fn untouched() -> impl Responder {
    Json(json!({ "ok": true }))
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
    k: Option<String>,
    #[serde(default)]
    v: String,
}

async fn slow(session: Session, slow: Query<Slow>) -> Answer {
    actix_web::rt::time::sleep(Duration::from_millis(slow.ms)).await;
    if let Some(key) = &slow.k {
        session.insert(key, &slow.v)?;
    }
    State::of(&session)
}

async fn not_found() -> impl Responder {
    HttpResponse::NotFound().json(json!({ "error": "Not Found" }))
}
