//! Only the cookie carries an id. Headers about a proxy change nothing.

use http::Request;

use super::{
    browser::{sessions, settings},
    observed_store::ObservedStore,
};
use crate::framework::{App, Session, SessionError};

async fn log_in(session: Session) -> Result<&'static str, SessionError> {
    session.log_in("ada")?;
    Ok("")
}

async fn who(session: Session) -> String {
    format!("{:?}", session.owner())
}

#[tokio::test]
async fn no_header_but_cookie_and_no_body_carries_an_id() {
    let app = App::new()
        .route("/login", log_in)
        .route("/who", who)
        .sessions(sessions(settings(), &ObservedStore::default()))
        .start()
        .await;
    let login = Request::post("/login")
        .header("X-Forwarded-Proto", "http")
        .header("Forwarded", "proto=http");
    let response = app.send(login.body(String::new()).unwrap()).await;
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure;"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let id = pair.split_once('=').unwrap().1;
    let (mine, nobody) = ("Some(\"ada\")", "None");
    for (header, value, body, owner) in [
        ("Cookie", pair, "", mine),
        ("X-Session", id, "", nobody),
        ("__Host-session", id, "", nobody),
        ("Authorization", id, "", nobody),
        ("Authorization", &format!("Bearer {id}"), "", nobody),
        ("Set-Cookie", pair, "", nobody),
        ("X-Other", "", pair, nobody),
    ] {
        let request = Request::post("/who").header(header, value);
        let response = app.send(request.body(body.to_owned()).unwrap()).await;
        assert_eq!(response.body, owner, "{header}");
    }
}
