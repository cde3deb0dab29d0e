//! Several sessions in one application.

use http::Request;
use session_core::{CookieAttributes, Sessions};

use super::{
    Admin, Answer, Teapot,
    browser::{Response, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Running, Session, SessionError};

fn admin_sessions(store: &ObservedStore) -> Sessions {
    let cookie = CookieAttributes {
        name: "__Host-admin".into(),
        ..CookieAttributes::default()
    };
    sessions(settings().with_cookie(cookie), store)
}

async fn both(shop: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    shop.insert("who", "shopper")?;
    admin.insert("who", "administrator")?;
    Ok(format!(
        "{:?} {:?}",
        shop.get::<String>("who")?,
        admin.get::<String>("who")?
    ))
}

#[tokio::test]
async fn each_named_session_has_a_cookie_and_data_of_its_own() {
    let shop = sessions(settings(), &ObservedStore::default());
    let admin = admin_sessions(&ObservedStore::default());
    let app = App::new()
        .route("/", both)
        .sessions(shop)
        .admin_sessions(admin);
    let response = get(&app.start().await, "/").await;
    assert_eq!(response.cookie_names(), ["__Host-session", "__Host-admin"]);
    assert_eq!(response.body, r#"Some("shopper") Some("administrator")"#);
}

async fn get(app: &Running, path: &str) -> Response {
    let request = Request::get(path).body(String::new());
    app.send(request.unwrap()).await
}

/// Changes both sessions, and then fails if the path says so.
async fn cached(
    shop: Session,
    admin: Session<Admin>,
    incoming: Incoming,
) -> Result<Answer, Teapot> {
    shop.insert("who", "shopper")?;
    admin.log_in("root")?;
    if incoming.argument() == "fails" {
        return Err(Teapot);
    }
    let answer = Answer::new("secret".to_owned());
    Ok(answer.with_header("Cache-Control", "public, max-age=60"))
}

#[tokio::test]
async fn a_response_with_the_cookie_of_one_session_is_not_stored_although_the_other_failed() {
    for fails in ["shop", "admin"] {
        let (shop, admin) = (ObservedStore::default(), ObservedStore::default());
        let failing = if fails == "shop" { &shop } else { &admin };
        failing.fail_inserts();
        let app = App::new()
            .route("/{path}", cached)
            .admin_sessions(admin_sessions(&admin))
            .sessions(sessions(settings(), &shop));
        let app = app.start().await;
        for path in ["/works", "/fails"] {
            let response = get(&app, path).await;
            let headers = &response.headers;
            assert_eq!(response.status.as_u16(), 503, "{fails} {path}");
            assert!(headers.contains_key("set-cookie"), "{fails} {path}");
            let said = response.header("cache-control");
            assert_eq!(said, Some("no-store"), "{fails} {path}");
        }
    }
}

#[tokio::test]
async fn a_session_without_its_middleware_is_an_error_without_details() {
    let (log, _logging) = Log::of_this_thread();
    let app = App::new().route("/shop/{article}", async |_: Session| "ok");
    let response = get(&app.start().await, "/shop/1").await;
    assert_eq!(response.status.as_u16(), 500);
    assert_eq!(response.body, "Internal Server Error");
    let log = log.text();
    assert!(
        log.contains("wraps the route /shop/{article}; wrap the App"),
        "{log}"
    );
}
