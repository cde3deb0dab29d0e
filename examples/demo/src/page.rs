//! The page that people use: plain HTML, forms that work without JavaScript.

mod actions;

use std::time::SystemTime;

use actix_server_sessions::{
    Session,
    session_core::{Error, OwnedSession, Sessions},
};
use actix_web::{
    HttpResponse, get,
    http::header::ContentType,
    web::{Data, ServiceConfig},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    StoreName,
    error::ApiError,
    own_store::{self, OwnStore},
    visitor::is_data,
};

/// A picture of the site for the browser's tab.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Ccircle cx='8' cy='8' r='7' fill='%232456c8'/%3E%3Cpath d='M5 8l2 2 4-4' stroke='white' \
    stroke-width='2' fill='none'/%3E%3C/svg%3E";

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(page);
    actions::routes(config);
}

#[get("/")]
async fn page(
    session: Session,
    sessions: Data<Sessions>,
    store: Data<StoreName>,
    own: Option<Data<OwnStore>>,
) -> Result<HttpResponse, ApiError> {
    // A visitor who has no session yet is told too that the store is down.
    sessions.check_store().await?;
    let devices = match session.owner_sessions().await {
        Err(Error::NoOwnerIndex) => None,
        devices => Some(devices?),
    };
    let body = whole(
        &session,
        session.take_flashes()?,
        devices.as_deref(),
        store.0,
        own.is_some(),
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
    can_stop: bool,
) -> Markup {
    let content = html! {
        header { h1 { "Sessions demo" } (whose(session)) }
        p { "Three promises, each to be seen kept on this page:" }
        ol.promises {
            li { a href="#clicks" { "No change is lost" } ", however many requests come at once." }
            li { a href="#log-out" { "A log-out is final" } ", whatever is still under way." }
            li { a href="#store" { "If the store is down" } ", each page says so at once, and nothing is lost." }
        }
        @if !flashes.is_empty() {
            ul #flashes role="status" {
                @for (_, message) in flashes { li { (message) } }
            }
        }
        @if session.owner().is_none() { (log_in()) }
        (clicks(session))
        (log_outs(session, devices))
        (outage(can_stop))
        (notes(session))
        (facts(session, store))
        script { (PreEscaped(include_str!("page.js"))) }
    };
    document("Sessions demo", &content)
}

/// A page of the site.
pub(crate) fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body { main { (content) } }
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
                label for="login" { "Your name, any will do" }
                input #login name="user" required maxlength="80" autocomplete="username";
                button { "Log in" }
                label.choice {
                    input type="checkbox" name="forget" value="yes";
                    "Log me out when I close the browser"
                }
            }
        }
    }
}

fn clicks(session: &Session) -> Markup {
    let number = |key| session.get::<i64>(key).ok().flatten().unwrap_or_default();
    html! {
        section #clicks {
            h2 { "1. No change is lost" }
            p.soft {
                "Each click adds one to both counters. The left one uses this library's "
                code { "increment" } ". The right one reads the number, adds one and writes it back, so of "
                "clicks at the same moment it loses some."
            }
            div.counters {
                p { output #counter { (number("count")) } small { "with this library" } }
                p { output #naive { (number("naive")) } small { "read, add one, write" } }
            }
            form method="post" action="/page/count" {
                button #burst type="button" hidden { "50 clicks at once" }
                button.quiet { "Count" }
            }
            (needs_script("The button that sends 50 clicks at once"))
        }
    }
}

/// What is not on the page of a browser that runs no scripts.
fn needs_script(what: &str) -> Markup {
    html! { noscript { p.soft { (what) " needs JavaScript, because it sends several requests at once." } } }
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
                label for="note" { "A new note" }
                input #note name="note" required maxlength="500";
                button { "Add note" }
            }
        }
    }
}

fn log_outs(session: &Session, devices: Option<&[OwnedSession]>) -> Markup {
    html! {
        section #log-out {
            h2 { "2. A log-out is final" }
            @if session.owner().is_none() {
                p.soft {
                    a href="#login" { "Log in" } ", under any name. Then log out while a slow request is under "
                    "way, or end your session from another window: it does not come back."
                }
            } @else {
                p.soft {
                    "A request that began before the log-out and ends after it changes nothing: a button sends one "
                    "that takes 1½ seconds, and logs you out meanwhile."
                }
                form { button #late type="button" hidden { "Log out during a slow request" } }
                (needs_script("This button"))
                h3 { "Your sessions" }
                (device_list(session, devices))
            }
        }
    }
}

fn device_list(session: &Session, devices: Option<&[OwnedSession]>) -> Markup {
    let Some(devices) = devices else {
        return html! { p.soft { "This store cannot list a user's sessions." } };
    };
    let current = session.lineage();
    html! {
        ul #devices {
            @for device in devices {
                li {
                    span {
                        (name(device.label().unwrap_or_default()))
                        @if device.is_device_bound() { ", bound to its device" }
                        br;
                        small {
                            "since " (date(device.created_at()))
                            @if let Some(seen) = device.last_seen() {
                                br; "last seen " (date(Some(seen)))
                            }
                        }
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
        p.soft {
            "Log in with the same name in another browser or a private window, and end it from here: within two "
            "seconds that window is logged out."
        }
        form method="post" action="/page/everywhere" { button.quiet { "Log out everywhere" } }
    }
}

fn outage(can_stop: bool) -> Markup {
    html! {
        section #store {
            h2 { "3. If the store is down, each page says so" }
            p.soft {
                "Within a second, with the status 503. When the store is back, you are as you were: logged in, with "
                "your counters and notes."
            }
            @if can_stop { (own_store::stop_button()) } @else {
                p.soft {
                    "Stop the server that holds the sessions, and open this page again. " code { "cargo run -p demo" }
                    " without settings has a store that this page can stop."
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
                dt { "The cookie holds" } dd { "a random id and its signature, nothing else" }
                dt { "The store holds" } dd #record {
                    @let keys = held(session);
                    @if keys.is_empty() { "nothing yet" }
                    @for (key, value) in keys { code { (key) ": " (value) } br; }
                }
                dt { "The store is" } dd { (store) }
                dt { "Created" } dd { (date(session.created_at())) }
                dt { "Ends" } dd #ends { (date(session.expires_at())) @if session.expires_at().is_some() { ", unless you come back" } }
            }
        }
    }
}

/// The session's keys and values, as JSON.
fn held(session: &Session) -> Vec<(String, String)> {
    let keys = session.keys().into_iter().filter(|key| is_data(key));
    let text = |key: &str| session.get::<serde_json::Value>(key).ok().flatten();
    keys.filter_map(|key| text(&key).map(|value| (key, value.to_string())))
        .collect()
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
