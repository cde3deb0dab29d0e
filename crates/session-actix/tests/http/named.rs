//! Several sessions in one application.

use actix_web::{App, test, web};
use session_actix::{Session, SessionError, SessionMiddleware, session_core::CookieAttributes};

use crate::{
    browser::{sessions, settings},
    observed::ObservedStore,
};

enum Admin {}

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
    let cookie = CookieAttributes {
        name: "__Host-admin".into(),
        ..CookieAttributes::default()
    };
    let shop = sessions(settings(), &ObservedStore::default());
    let admin = sessions(settings().with_cookie(cookie), &ObservedStore::default());
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

#[actix_web::test]
async fn a_session_without_its_middleware_is_an_error_that_says_nothing_outside() {
    let app =
        test::init_service(App::new().route("/", web::get().to(|_: Session| async { "ok" }))).await;
    let response = test::call_service(&app, test::TestRequest::default().to_request()).await;
    assert_eq!(response.status().as_u16(), 500);
    assert_eq!(test::read_body(response).await, "Internal Server Error");
}
