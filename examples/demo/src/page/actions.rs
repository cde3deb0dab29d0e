use actix_server_sessions::Session;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LOCATION,
    post,
    web::{Form, ServiceConfig},
};
use serde::Deserialize;

use crate::{devices::end_named, error::ApiError, visitor};

type Answer = Result<HttpResponse, ApiError>;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(log_in)
        .service(log_out)
        .service(count)
        .service(note)
        .service(end)
        .service(everywhere);
}

#[derive(Deserialize)]
struct Login {
    user: String,
    /// Whether the cookie ends with the browser.
    forget: Option<String>,
}

#[post("/page/login")]
async fn log_in(session: Session, request: HttpRequest, login: Form<Login>) -> Answer {
    visitor::log_in(&session, &request, login.user.trim(), None)?;
    if login.forget.is_some() {
        session.set_permanent(false);
    }
    session.flash("info", &format!("Welcome, {}.", login.user.trim()))?;
    Ok(back())
}

#[post("/page/logout")]
async fn log_out(session: Session) -> Answer {
    session.log_out();
    session.flash("info", "You are logged out.")?;
    Ok(back())
}

#[post("/page/count")]
async fn count(session: Session) -> Answer {
    session.increment("count")?;
    visitor::increment_naively(&session, "naive").await?;
    Ok(back())
}

#[derive(Deserialize)]
struct Note {
    note: String,
}

#[post("/page/note")]
async fn note(session: Session, form: Form<Note>) -> Answer {
    let note = form.into_inner().note;
    session.update("notes", move |notes: Option<Vec<String>>| {
        let mut notes = notes.unwrap_or_default();
        notes.push(note.clone());
        notes
    })?;
    session.flash("info", "Noted.")?;
    Ok(back())
}

#[derive(Deserialize)]
struct End {
    handle: String,
}

#[post("/page/end")]
async fn end(session: Session, form: Form<End>) -> Answer {
    let ended = end_named(&session, &form.handle).await?;
    session.flash(
        "info",
        if ended {
            "That session is ended."
        } else {
            "That session had ended already."
        },
    )?;
    Ok(back())
}

#[post("/page/everywhere")]
async fn everywhere(session: Session) -> Answer {
    let ended = session.log_out_everywhere(false).await?;
    session.flash(
        "info",
        &format!("{ended} sessions are ended, this one too."),
    )?;
    Ok(back())
}

/// After a change the browser gets the page anew, so that reloading it changes nothing again.
fn back() -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/"))
        .finish()
}
