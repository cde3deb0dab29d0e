//! A shop that was written for actix-session and actix-identity, moved here as MIGRATING.md says.
//! Comments name what was there before.
//!
//! Run it with `SECRET_KEY=$(openssl rand -base64 48) cargo run -p examples --example ported`,
//! beside a Redis.

use std::{sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder,
    error::ErrorUnauthorized,
    get,
    http::StatusCode,
    middleware::{ErrorHandlers, Logger},
    post, web,
};
use session_actix::{
    Session, SessionExt as _, SessionMiddleware,
    session_core::{CookieAttributes, SameSite, SecretKeys, Sessions, Settings, config::Refresh},
};
use session_redis::RedisStore;

#[get("/")]
async fn index(session: Session) -> actix_web::Result<String> {
    // `session.get::<i32>("visits")?.unwrap_or(0) + 1`, and `insert`.
    let visits = session.update("visits", |n: Option<i32>| n.unwrap_or(0) + 1)?;
    // `Option<Identity>`, and `user.id()?`.
    let user = session.owner();
    let user = user.as_deref().unwrap_or("stranger");
    // `session.entries()`.
    Ok(format!(
        "hello {user}, visit {visits}, in the session: {:?}",
        session.keys()
    ))
}

#[post("/login/{user}")]
async fn login(session: Session, user: web::Path<String>) -> actix_web::Result<impl Responder> {
    // `Identity::login(&request.extensions(), user)?` and `session.renew()`.
    session.log_in(&user)?;
    session.insert("logged_in_at", &1_700_000_000_u64)?;
    Ok(web::Redirect::to("/").using_status_code(StatusCode::FOUND))
}

#[post("/basket/{item}")]
async fn add(session: Session, item: web::Path<String>) -> actix_web::Result<HttpResponse> {
    // The extractor `Identity`.
    session
        .owner()
        .ok_or_else(|| ErrorUnauthorized("log in first"))?;
    let basket = session.update("basket", move |basket: Option<Vec<String>>| {
        let mut basket = basket.unwrap_or_default();
        basket.push(item.clone());
        basket
    })?;
    Ok(HttpResponse::Ok().json(basket))
}

#[post("/pay")]
async fn pay(request: HttpRequest) -> actix_web::Result<HttpResponse> {
    // `request.get_session()`.
    let session = request.session().await?;
    // `session.remove_as("basket")`.
    let basket = session.take::<Vec<String>>("basket")?.unwrap_or_default();
    session.remove("voucher");
    Ok(HttpResponse::Ok().body(format!("paid for {} things", basket.len())))
}

#[post("/logout")]
async fn logout(session: Session) -> impl Responder {
    // `user.logout()` and `session.purge()`.
    session.log_out();
    web::Redirect::to("/").using_status_code(StatusCode::FOUND)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::new(SecretKeys::new(std::env::var("SECRET_KEY")?)?)
        .with_cookie(CookieAttributes {
            // Another name than before, so that the two cookies do not collide.
            name: "new-shop".into(),
            secure: false,
            same_site: Some(SameSite::Strict),
            ..CookieAttributes::default()
        })
        // `visit_deadline` of the `IdentityMiddleware`.
        .with_idle_timeout(Duration::from_secs(3600))
        .with_refresh(Refresh::EveryRequest);
    let sessions = Sessions::new(
        settings,
        Arc::new(RedisStore::connect("redis://127.0.0.1:6379")?),
    )?;
    let server = HttpServer::new(move || {
        App::new()
            .wrap(ErrorHandlers::<actix_web::body::BoxBody>::new())
            .wrap(SessionMiddleware::new(sessions.clone()))
            .wrap(Logger::default())
            .service((index, login, add, pay, logout))
    });
    Ok(server.bind("127.0.0.1:8080")?.run().await?)
}
