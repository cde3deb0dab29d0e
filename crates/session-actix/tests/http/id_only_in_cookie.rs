//! Only the cookie carries an id. Headers about a proxy change nothing.

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use session_actix::{Session, SessionError, SessionMiddleware};

use crate::{
    browser::{sessions, settings},
    observed_store::ObservedStore,
};

async fn log_in(session: Session) -> Result<&'static str, SessionError> {
    session.log_in("ada")?;
    Ok("")
}

async fn who(session: Session) -> String {
    format!("{:?}", session.owner())
}

#[actix_web::test]
async fn no_header_but_cookie_and_no_body_carries_an_id() {
    let app = init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions(
                settings(),
                &ObservedStore::default(),
            )))
            .route("/login", web::post().to(log_in))
            .route("/who", web::post().to(who)),
    )
    .await;
    let login = TestRequest::post()
        .uri("/login")
        .insert_header(("X-Forwarded-Proto", "http"))
        .insert_header(("Forwarded", "proto=http"));
    let response = call_service(&app, login.to_request()).await;
    let cookie = response.headers().get("set-cookie").unwrap();
    let cookie = cookie.to_str().unwrap().to_owned();
    assert!(cookie.contains("; Secure;"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let id = pair.split_once('=').unwrap().1;
    let ask = || TestRequest::post().uri("/who");
    for (request, owner) in [
        (ask().insert_header(("Cookie", pair)), "Some(\"ada\")"),
        (ask().insert_header(("X-Session", id)), "None"),
        (ask().insert_header(("__Host-session", id)), "None"),
        (ask().insert_header(("Authorization", id)), "None"),
        (ask().insert_header(("Set-Cookie", pair)), "None"),
        (ask().set_payload(pair.to_owned()), "None"),
    ] {
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(read_body(response).await, owner);
    }
}
