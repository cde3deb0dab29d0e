//! The page that people use: plain HTML, forms that work without JavaScript.

mod actions;

use std::time::SystemTime;

use actix_server_sessions::{
    Session,
    session_core::{Error, OwnedSession},
};
use actix_web::{
    HttpResponse, get,
    http::header::ContentType,
    web::{Data, ServiceConfig},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{StoreName, error::ApiError};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(page);
    actions::routes(config);
}

#[get("/")]
async fn page(session: Session, store: Data<StoreName>) -> Result<HttpResponse, ApiError> {
    let devices = match session.owner_sessions().await {
        Err(Error::NoOwnerIndex) => None,
        devices => Some(devices?),
    };
    let body = whole(
        &session,
        session.take_flashes()?,
        devices.as_deref(),
        store.0,
    );
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(body.into_string()))
}

fn whole(
    session: &Session,
    flashes: Vec<(String, String)>,
    devices: Option<&[OwnedSession]>,
    store: &str,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Sessions demo" }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main {
                    header { h1 { "Sessions demo" } (whose(session)) }
                    @if !flashes.is_empty() {
                        ul #flashes role="status" {
                            @for (_, message) in flashes { li { (message) } }
                        }
                    }
                    @if session.owner().is_none() { (log_in()) }
                    (counter(session))
                    (notes(session))
                    @if session.owner().is_some() { (device_list(session, devices)) }
                    (facts(session, store))
                }
            }
        }
    }
}

fn whose(session: &Session) -> Markup {
    html! {
        @match session.owner() {
            Some(user) => form.inline method="post" action="/page/logout" {
                span { "Logged in as " strong #user { (user) } }
                button.quiet { "Log out" }
            },
            None => span.soft { "Not logged in" },
        }
    }
}

fn log_in() -> Markup {
    html! {
        section {
            h2 { "Log in" }
            form method="post" action="/page/login" {
                label for="user" { "Any name will do" }
                input #login name="user" required maxlength="80" autocomplete="username" aria-label="User name";
                button { "Log in" }
            }
        }
    }
}

fn counter(session: &Session) -> Markup {
    let count = session
        .get::<i64>("count")
        .ok()
        .flatten()
        .unwrap_or_default();
    html! {
        section {
            h2 { "A counter" }
            form.count method="post" action="/page/count" {
                output #counter { (count) }
                button { "Count" }
                span.soft { "No click is lost, however many tabs click at once." }
            }
        }
    }
}

fn notes(session: &Session) -> Markup {
    let notes = session
        .get::<Vec<String>>("notes")
        .ok()
        .flatten()
        .unwrap_or_default();
    html! {
        section {
            h2 { "Notes" }
            @if notes.is_empty() { p.soft { "None yet." } }
            ul #notes { @for note in notes { li { (note) } } }
            form method="post" action="/page/note" {
                input name="note" required maxlength="500" aria-label="A new note";
                button { "Add note" }
            }
        }
    }
}

fn device_list(session: &Session, devices: Option<&[OwnedSession]>) -> Markup {
    let current = session.lineage();
    html! {
        section {
            h2 { "My devices" }
            @match devices {
                None => p.soft { "This store cannot list a user's sessions." },
                Some(devices) => {
                    ul #devices {
                        @for device in devices {
                            li {
                                span {
                                    (name(device.label().unwrap_or_default()))
                                    br;
                                    small { "since " (date(device.created_at())) }
                                }
                                @if Some(device.lineage()) == current.as_ref() {
                                    span.soft { "this one" }
                                } @else {
                                    form.inline method="post" action="/page/end" {
                                        input type="hidden" name="handle" value=(device.lineage().as_str());
                                        button.quiet { "End this one" }
                                    }
                                }
                            }
                        }
                    }
                    form method="post" action="/page/everywhere" { button.quiet { "Log out everywhere" } }
                }
            }
        }
    }
}

fn facts(session: &Session, store: &str) -> Markup {
    html! {
        section {
            h2 { "This session" }
            dl {
                dt { "Kept in" } dd { (store) }
                dt { "Created" } dd { (date(session.created_at())) }
                dt { "Ends" } dd #ends { (date(session.expires_at())) @if session.expires_at().is_some() { ", unless you come back" } }
            }
        }
    }
}

/// A browser's user agent as people would say it.
fn name(agent: &str) -> &str {
    ["Firefox", "Edg", "Chrome", "Safari", "curl"]
        .into_iter()
        .find(|known| agent.contains(known))
        .map_or(
            if agent.is_empty() {
                "An unknown browser"
            } else {
                agent
            },
            |known| if known == "Edg" { "Edge" } else { known },
        )
}

fn date(instant: Option<SystemTime>) -> String {
    instant.map_or_else(|| "not stored yet".into(), httpdate::fmt_http_date)
}
