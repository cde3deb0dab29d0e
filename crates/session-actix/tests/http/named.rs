//! Several sessions in one application.

use actix_web::{App, HttpResponse, test, web};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{CookieAttributes, Sessions},
};

use crate::{
    browser::{sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};

enum Admin {}

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

#[actix_web::test]
async fn each_named_session_has_a_cookie_and_data_of_its_own() {
    let shop = sessions(settings(), &ObservedStore::default());
    let admin = admin_sessions(&ObservedStore::default());
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::new(shop))
            .wrap(SessionMiddleware::<Admin>::named(admin))
            .route("/", web::get().to(both)),
    )
    .await;
    let response = test::call_service(&app, test::TestRequest::default().to_request()).await;
    let names: Vec<_> = response
        .headers()
        .get_all("set-cookie")
        .map(|it| it.to_str().unwrap().split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["__Host-session", "__Host-admin"]);
    assert_eq!(
        test::read_body(response).await,
        r#"Some("shopper") Some("administrator")"#
    );
}

/// Changes both sessions, and then fails if the path says so.
async fn cached(
    shop: Session,
    admin: Session<Admin>,
    path: web::Path<String>,
) -> Result<HttpResponse, actix_web::Error> {
    shop.insert("who", "shopper")?;
    admin.log_in("root")?;
    if *path == "fails" {
        return Err(actix_web::error::ErrorImATeapot("no coffee"));
    }
    let cached = ("Cache-Control", "public, max-age=60");
    Ok(HttpResponse::Ok().insert_header(cached).body("secret"))
}

#[actix_web::test]
async fn a_response_with_the_cookie_of_one_session_is_not_stored_although_the_other_failed() {
    for fails in ["shop", "admin"] {
        let (shop, admin) = (ObservedStore::default(), ObservedStore::default());
        let failing = if fails == "shop" { &shop } else { &admin };
        failing.fail_inserts();
        let app = test::init_service(
            App::new()
                .route("/{path}", web::get().to(cached))
                .wrap(SessionMiddleware::<Admin>::named(admin_sessions(&admin)))
                .wrap(SessionMiddleware::new(sessions(settings(), &shop))),
        )
        .await;
        for path in ["/works", "/fails"] {
            let request = test::TestRequest::with_uri(path).to_request();
            let response = match test::try_call_service(&app, request).await {
                Ok(response) => response.into_parts().1.map_into_boxed_body(),
                Err(error) => error.error_response(),
            };
            let headers = response.headers();
            assert_eq!(response.status().as_u16(), 503, "{fails} {path}");
            assert!(headers.contains_key("set-cookie"), "{fails} {path}");
            let said = headers.get("cache-control").map(|it| it.to_str().unwrap());
            assert_eq!(said, Some("no-store"), "{fails} {path}");
        }
    }
}

#[actix_web::test]
async fn a_session_without_its_middleware_is_an_error_without_details() {
    let (log, _logging) = Log::of_this_thread();
    let route = web::get().to(|_: Session| async { "ok" });
    let app = test::init_service(App::new().route("/shop/{article}", route)).await;
    let request = test::TestRequest::with_uri("/shop/1").to_request();
    let response = test::call_service(&app, request).await;
    assert_eq!(response.status().as_u16(), 500);
    assert_eq!(test::read_body(response).await, "Internal Server Error");
    let log = log.text();
    assert!(
        log.contains("wraps the route /shop/{article}; wrap the App"),
        "{log}"
    );
}
