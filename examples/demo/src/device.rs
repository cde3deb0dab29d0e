//! Routes for sessions that are bound to the device of their browser (`DEMO_DEVICE`).

use actix_server_sessions::{
    DeviceGuard, Session, device_routes,
    session_core::{
        Sessions, Settings,
        config::{ConfigError, Env},
        dbsc::{DeviceBinding, DevicePolicy, DeviceState},
    },
};
use actix_web::{
    HttpRequest, HttpResponse, get, post,
    web::{self, Json, Payload, ServiceConfig},
};
use serde_json::{Value, json};

/// What the account's routes demand, if sessions are bound at all.
pub(crate) fn policy(env: &Env) -> Result<Option<DevicePolicy>, ConfigError> {
    match env.get("DEMO_DEVICE") {
        None => Ok(None),
        Some("offer") => Ok(Some(DevicePolicy::Offer)),
        Some("require") => Ok(Some(DevicePolicy::Require)),
        Some("once") => Ok(Some(DevicePolicy::RequireOnceBound)),
        Some(_) => Err(ConfigError::new(
            "DEMO_DEVICE",
            "must be offer, require or once",
        )),
    }
}

pub(crate) fn bind(settings: Settings) -> Settings {
    settings.with_device_binding(DeviceBinding::new("/device/bind", "/device/refresh"))
}

pub(crate) fn routes(
    sessions: &Sessions,
    policy: DevicePolicy,
) -> Result<impl Fn(&mut ServiceConfig) + Clone + use<>, ConfigError> {
    let guard = DeviceGuard::new(sessions, policy)?;
    let binding = device_routes(sessions)?;
    Ok(move |config: &mut ServiceConfig| {
        let account = web::scope("/account").wrap(guard.clone());
        let account = account.service((show, echo, socket));
        config.configure(binding.clone()).service(account);
    })
}

#[get("")]
async fn show(session: Session) -> Json<Value> {
    let device = match session.device_state() {
        DeviceState::Proved => "proved",
        DeviceState::Unproved => "unproved",
        _ => "unbound",
    };
    Json(json!({ "user": session.owner().as_deref(), "device": device }))
}

/// Says what it was told, and by whom.
#[post("/echo")]
async fn echo(session: Session, told: String) -> String {
    format!("{} {told}", session.owner().as_deref().unwrap_or("nobody"))
}

/// Says who it is over a web socket.
#[get("/socket")]
async fn socket(
    session: Session,
    request: HttpRequest,
    body: Payload,
) -> actix_web::Result<HttpResponse> {
    let (response, mut socket, _messages) = actix_ws::handle(&request, body)?;
    let user = session.owner();
    actix_web::rt::spawn(async move {
        let _gone = socket.text(user.as_deref().unwrap_or("nobody")).await;
        let _gone = socket.close(None).await;
    });
    Ok(response)
}
