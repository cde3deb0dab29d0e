//! A log-in form with a password check, a guard for `/account`, "remember me", a list of devices,
//! "log out everywhere", a page that asks for the password again, and a guard against requests that
//! other sites forge.
//!
//! ```sh
//! export SECRET_KEY=$(openssl rand -base64 48)
//! # Only for plain HTTP on your own desk:
//! export SESSION_COOKIE_NAME=session SESSION_COOKIE_SECURE=false
//! cargo run -p examples --example login
//! ```
//!
//! Then log in at <http://127.0.0.1:8080/login> as `ada` with the password `lovelace`.

use std::{error::Error, fmt::Write as _, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::header::{ContentType, USER_AGENT},
    middleware::{Next, from_fn},
    post, web,
    web::Redirect,
};
use serde::Deserialize;
use session_actix::{
    CrossSiteGuard, FreshLogin, Session, SessionError, SessionExt, SessionMiddleware, return_path,
    session_core::{CrossSiteRule, Lineage, Sessions, Settings, config::Env, sweep_every},
    sigterm_and_saves,
};
use session_fs::FileStore;

const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);
const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Deserialize)]
struct LoginForm {
    user: String,
    password: String,
    /// A check box: absent if it is not ticked.
    remember: Option<String>,
}

#[derive(Deserialize)]
struct PasswordForm {
    password: String,
}

/// A real application compares with a hash from its table of users, for example with the crate
/// `argon2`.
fn password_is_right(user: &str, password: &str) -> bool {
    matches!((user, password), ("ada", "lovelace") | ("bob", "builder"))
}

fn page(body: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(format!("<!doctype html>{body}"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[get("/login")]
async fn login_form(session: Session) -> Result<HttpResponse, SessionError> {
    let mut body = String::new();
    for (_category, message) in session.take_flashes()? {
        let _ = write!(body, "<p>{}</p>", escaped(&message));
    }
    body += r#"<form method="post"><input name="user"><input name="password" type="password">
        <label><input name="remember" type="checkbox">remember me for 30 days</label><button>Log in</button></form>"#;
    Ok(page(&body))
}

#[post("/login")]
async fn log_in(
    session: Session,
    request: HttpRequest,
    form: web::Form<LoginForm>,
) -> Result<impl Responder, SessionError> {
    if !password_is_right(&form.user, &form.password) {
        session.flash("error", "Wrong user or password.")?;
        return Ok(Redirect::to("/login").see_other());
    }
    // Logging in gives the session a new id, so one that was planted before it is worth nothing.
    session.log_in(&form.user)?;
    session.set_label(
        request
            .headers()
            .get(USER_AGENT)
            .and_then(|it| it.to_str().ok()),
    );
    // Both are stored with the session, so they hold for every request that follows.
    let remember = form.remember.is_some();
    session.set_permanent(remember);
    session.set_lifetime(remember.then_some(THIRTY_DAYS));
    Ok(Redirect::to("/account").see_other())
}

/// Sends everyone who is not logged in to the form.
async fn members_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> actix_web::Result<ServiceResponse<impl MessageBody>> {
    if request.session().await?.owner().is_none() {
        let answer = Redirect::to("/login")
            .see_other()
            .respond_to(request.request());
        return Ok(request.into_response(answer).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

#[get("")]
async fn account(session: Session) -> Result<HttpResponse, SessionError> {
    let mut body = format!(
        "<h1>Hello {}</h1><ul>",
        escaped(&session.owner().unwrap_or_default())
    );
    for device in session.owner_sessions().await? {
        let label = escaped(device.label().unwrap_or("an unknown device"));
        let here = if session.lineage().as_ref() == Some(device.lineage()) {
            " (this one)"
        } else {
            ""
        };
        let _ = write!(
            body,
            r#"<li>{label}{here}<form method="post" action="/account/devices/{}/end"><button>End</button></form>"#,
            device.lineage().as_str(),
        );
    }
    body += r#"</ul><a href="/account/keys">Your keys</a>
        <form method="post" action="/account/logout"><button>Log out</button></form>
        <form method="post" action="/account/logout-everywhere"><button>Log out everywhere</button></form>"#;
    Ok(page(&body))
}

/// [`FreshLogin`] sends here whoever logged in long ago. The form is sent to its own address, so
/// the way back stays in it.
#[get("/confirm")]
async fn confirm_form() -> HttpResponse {
    page(
        r#"<form method="post"><input name="password" type="password"><button>Go on</button></form>"#,
    )
}

#[post("/confirm")]
async fn confirm(
    session: Session,
    request: HttpRequest,
    form: web::Form<PasswordForm>,
) -> Result<impl Responder, SessionError> {
    let user = session.owner().unwrap_or_default();
    if !password_is_right(&user, &form.password) {
        return Ok(Redirect::to(request.uri().to_string()).see_other());
    }
    session.reauthenticate()?;
    Ok(Redirect::to(return_path(&request)).see_other())
}

async fn keys() -> HttpResponse {
    page("<h1>Your keys</h1>")
}

#[post("/devices/{lineage}/end")]
async fn end_device(
    session: Session,
    device: web::Path<Lineage>,
) -> Result<impl Responder, SessionError> {
    session.end_owner_session(&device).await?;
    Ok(Redirect::to("/account").see_other())
}

#[post("/logout")]
async fn log_out(session: Session) -> impl Responder {
    session.log_out();
    Redirect::to("/login").see_other()
}

#[post("/logout-everywhere")]
async fn log_out_everywhere(session: Session) -> Result<impl Responder, SessionError> {
    session.log_out_everywhere(false).await?;
    Ok(Redirect::to("/login").see_other())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Warnings of the library, such as why a store failed, are events of `tracing`.
    tracing_subscriber::fmt().init();
    // Who does not ask to be remembered is logged out when the browser closes or half an hour
    // passes.
    let settings = Settings::from_env(&Env::of_process())?
        .with_idle_timeout(HALF_AN_HOUR)
        .with_permanent(false);
    // Another store is another line here; Redis and MongoDB need no sweep, and a SQL database needs
    // `migrate`.
    let store = Arc::new(FileStore::open("./sessions")?);
    actix_web::rt::spawn(sweep_every(store.clone(), settings.sweep_pause()));
    let sessions = Sessions::new(settings, store)?;
    // Made once, so that all workers share how many refusals are logged in a second.
    let rule = CrossSiteRule::new();
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            // Added last, so it runs first: a form on another site changes nothing here.
            .wrap(CrossSiteGuard::new(rule.clone()))
            .service((login_form, log_in, confirm_form, confirm))
            .service(
                web::scope("/account").wrap(from_fn(members_only)).service((
                    account,
                    end_device,
                    log_out,
                    log_out_everywhere,
                    web::resource("/keys")
                        .wrap(FreshLogin::within(TEN_MINUTES).or_redirect_to("/confirm"))
                        .get(keys),
                )),
            )
    };
    let last_saves = sigterm_and_saves(Duration::from_secs(5));
    Ok(HttpServer::new(app)
        .shutdown_signal(last_saves)
        .bind("127.0.0.1:8080")?
        .run()
        .await?)
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
