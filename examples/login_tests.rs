//! Logging in with and without "remember me", as browsers send the form.

use actix_web::{
    App,
    http::{
        StatusCode,
        header::{LOCATION, SET_COOKIE},
    },
    test::{TestRequest, call_service, init_service},
};
use session_actix::{SessionMiddleware, session_core::Sessions};

use super::{ContentType, THIRTY_DAYS, log_in};

/// The cookie that the answer to this form sets.
async fn cookie(form: &'static str) -> String {
    let sessions = Sessions::in_memory();
    let app = App::new()
        .wrap(SessionMiddleware::new(sessions))
        .service(log_in);
    let app = init_service(app).await;
    let request = TestRequest::post()
        .uri("/login")
        .insert_header(ContentType::form_url_encoded())
        .set_payload(form)
        .to_request();
    let response = call_service(&app, request).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{form}");
    let headers = response.headers();
    let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header(LOCATION), "/account", "{form}");
    header(SET_COOKIE)
}

#[actix_web::test]
async fn a_ticked_box_keeps_the_cookie_for_thirty_days() {
    let cookie = cookie("user=ada&password=lovelace&remember=on").await;
    let age = cookie
        .split("; ")
        .find_map(|it| it.strip_prefix("Max-Age="));
    let age: u64 = age.expect("the cookie has an end").parse().unwrap();
    // It is rounded down, and some time has passed.
    let thirty_days = THIRTY_DAYS.as_secs();
    assert!((thirty_days - 60..=thirty_days).contains(&age), "{cookie}");
}

#[actix_web::test]
async fn without_a_tick_the_cookie_ends_with_the_browser() {
    let cookie = cookie("user=ada&password=lovelace").await;
    let is_permanent = cookie.contains("Max-Age") || cookie.contains("Expires");
    assert!(!is_permanent, "{cookie}");
}
