//! The routes that scripts use: JSON in and out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_server_sessions::Session;
use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::StatusCode,
    post, put,
    web::{self, Bytes, Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    StoreName,
    error::ApiError,
    visitor::{self, is_data},
};

type Answer<T = Json<Value>> = Result<T, ApiError>;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(plain)
        .service(who_am_i)
        .service(log_in)
        .service(log_out)
        .service(renew)
        .service(all_data)
        .service(data)
        .service(put_data)
        .service(delete_data)
        .service(clear)
        .service(increment)
        .service(slow)
        .service(fail)
        .service(flash)
        .service(flashes)
        .service(meta);
}

#[get("/plain")]
async fn plain() -> &'static str {
    "ok"
}

#[get("/whoami")]
async fn who_am_i(session: Session) -> impl Responder {
    Json(json!({ "user": session.owner().as_deref() }))
}

#[derive(Deserialize)]
struct Login {
    user: String,
    /// As an identity provider's ID token has it.
    sid: Option<String>,
}

#[post("/login")]
async fn log_in(session: Session, request: HttpRequest, login: Query<Login>) -> Answer {
    visitor::log_in(&session, &request, &login.user, login.sid.as_deref())?;
    Ok(Json(json!({ "user": login.user })))
}

#[post("/logout")]
async fn log_out(session: Session) -> impl Responder {
    session.log_out();
    Json(json!({ "user": null }))
}

#[post("/renew")]
async fn renew(session: Session) -> impl Responder {
    session.renew();
    Json(json!({}))
}

#[get("/data")]
async fn all_data(session: Session) -> impl Responder {
    Json(every_value(&session))
}

fn every_value(session: &Session) -> Value {
    let values: Map<String, Value> = session
        .keys()
        .into_iter()
        .filter(|key| is_data(key))
        .filter_map(|key| {
            session
                .value(&key)
                .map(|value| (key, value.to_json_lossy()))
        })
        .collect();
    values.into()
}

#[get("/data/{key}")]
async fn data(session: Session, key: Path<String>) -> HttpResponse {
    match session.value(&key).filter(|_| is_data(&key)) {
        Some(value) => HttpResponse::Ok().json(value.to_json_lossy()),
        None => HttpResponse::NotFound().finish(),
    }
}

#[put("/data/{key}")]
async fn put_data(session: Session, key: Path<String>, body: Bytes) -> Answer<HttpResponse> {
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return Err(ApiError::refused(
            StatusCode::BAD_REQUEST,
            "the body must be JSON",
        ));
    };
    session.insert(&key, &value)?;
    Ok(HttpResponse::NoContent().finish())
}

#[delete("/data/{key}")]
async fn delete_data(session: Session, key: Path<String>) -> HttpResponse {
    session.remove(&key);
    HttpResponse::NoContent().finish()
}

#[post("/clear")]
async fn clear(session: Session) -> HttpResponse {
    session.clear();
    HttpResponse::NoContent().finish()
}

#[post("/increment/{key}")]
async fn increment(session: Session, key: Path<String>) -> Answer {
    session.increment(&key)?;
    ApiError::unless_kept(session.save().await?)?;
    // What `update` gave was provisional; after the save it is final.
    Ok(Json(json!({ "value": session.get::<i64>(&key)? })))
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
    write: Option<String>,
}

#[get("/slow")]
async fn slow(session: Session, slow: Query<Slow>) -> Answer {
    actix_web::rt::time::sleep(Duration::from_millis(slow.ms.min(5000))).await;
    if let Some(key) = &slow.write {
        session.insert(key, &true)?;
    }
    Ok(Json(
        json!({ "user": session.owner().as_deref(), "data": every_value(&session) }),
    ))
}

#[derive(Deserialize)]
struct Fail {
    write: Option<String>,
}

#[post("/fail")]
async fn fail(session: Session, fail: Query<Fail>) -> Answer<HttpResponse> {
    if let Some(key) = &fail.write {
        session.insert(key, &true)?;
    }
    Ok(HttpResponse::InternalServerError().finish())
}

#[derive(Deserialize)]
struct Flash {
    #[serde(default = "flask_default")]
    category: String,
    message: String,
}

fn flask_default() -> String {
    "message".into()
}

#[post("/flash")]
async fn flash(session: Session, flash: Query<Flash>) -> Answer<HttpResponse> {
    session.flash(&flash.category, &flash.message)?;
    Ok(HttpResponse::NoContent().finish())
}

#[get("/flashes")]
async fn flashes(session: Session) -> Answer<impl Responder> {
    Ok(Json(session.take_flashes()?))
}

#[get("/meta")]
async fn meta(session: Session, store: Data<StoreName>) -> impl Responder {
    web::Json(json!({
        "new": session.is_new(),
        "created_at": session.created_at().map(unix_seconds),
        "expires_at": session.expires_at().map(unix_seconds),
        "store": store.0,
    }))
}

pub(crate) fn unix_seconds(instant: SystemTime) -> u64 {
    instant
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
