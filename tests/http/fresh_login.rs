//! What is worth asking for the password again is refused to an old login.

use std::time::Duration;

use http::{
    Request, StatusCode,
    header::{CACHE_CONTROL, COOKIE, LOCATION},
    request::Builder,
};

use super::{
    Answer,
    browser::{sessions_at, settings},
    test_clock::TestClock,
};
use crate::framework::{App, Incoming, Running, Session, SessionError, adapter::FreshLogin};

const TEN_MINUTES: u64 = 600;

async fn log_in(session: Session) -> Result<&'static str, SessionError> {
    session.log_in("ada")?;
    session.insert("cart", &3)?;
    Ok("")
}

async fn confirm(session: Session, incoming: Incoming) -> Result<Answer, SessionError> {
    session.reauthenticate()?;
    let back = incoming.return_path();
    Ok(Answer::ok().with_status(303).with_header("Location", back))
}

async fn pay(session: Session) -> Result<String, SessionError> {
    session.require_login_within(Duration::from_secs(TEN_MINUTES))?;
    Ok(format!("{:?}", session.get::<u8>("cart")?))
}

async fn who(session: Session) -> String {
    format!("{:?}", session.owner())
}

async fn application(time: &TestClock) -> Running {
    let fresh = || FreshLogin::within(Duration::from_secs(TEN_MINUTES));
    App::new()
        .route("/login", log_in)
        .route("/confirm", confirm)
        .route("/pay", pay)
        .route("/who", who)
        .fresh("/keys", fresh(), who)
        .fresh("/email", fresh().or_redirect_to("/confirm"), who)
        .sessions(sessions_at(settings(), &time.store(), time.clock()))
        .start()
        .await
}

#[tokio::test]
async fn an_old_login_is_refused_until_the_user_proves_again_who_they_are() {
    let time = TestClock::default();
    let app = application(&time).await;
    let send = async |request: Builder, cookie: &str| {
        let request = request.header(COOKIE, cookie).body(String::new());
        app.send(request.unwrap()).await
    };
    let page = |path| Request::get(path);
    let form = |path| Request::post(path);
    // Nobody is logged in.
    for request in [
        page("/keys"),
        form("/pay"),
        form("/confirm"),
        form("/email"),
    ] {
        let response = send(request, "a=b").await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    }
    let login = send(form("/login"), "a=b").await.session_cookie().unwrap();
    time.advance(TEN_MINUTES);
    for request in [page("/keys"), page("/email"), form("/pay")] {
        assert_eq!(send(request, &login).await.status, StatusCode::OK);
    }
    time.advance(1);
    for request in [page("/keys"), form("/keys"), form("/pay"), form("/email")] {
        let response = send(request, &login).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers.get(CACHE_CONTROL).unwrap(), "no-store");
    }
    assert_eq!(send(page("/who"), &login).await.status, StatusCode::OK);

    let away = send(page("/email?of=ada&x=%2F"), &login).await;
    assert_eq!(away.status, StatusCode::SEE_OTHER);
    let to = away.headers.get(LOCATION).unwrap().to_str().unwrap();
    assert_eq!(to, "/confirm?next=/email%3Fof%3Dada%26x%3D%252F");

    let back = send(form(to), &login).await;
    assert_eq!(back.headers.get(LOCATION).unwrap(), "/email?of=ada&x=%2F");
    let confirmed = back.session_cookie().unwrap();
    assert_ne!(
        confirmed, login,
        "an id from before gives no access to what is guarded"
    );
    for request in [page("/keys"), page("/email"), form("/pay")] {
        assert_eq!(send(request, &confirmed).await.status, StatusCode::OK);
    }
    for request in [page("/keys"), form("/pay")] {
        let response = send(request, &login).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    }
    time.advance(TEN_MINUTES + 1);
    assert_eq!(
        send(page("/keys"), &confirmed).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_way_back_stays_on_this_host() {
    let app = App::new().route("/confirm", async |incoming: Incoming| {
        incoming.return_path()
    });
    let app = app.start().await;
    let back = async |query: &str| {
        let request = Request::get(format!("/confirm{query}"));
        app.send(request.body(String::new()).unwrap()).await.body
    };
    for (next, expected) in [
        ("/email", "/email"),
        ("/email%3Fof%3Dada", "/email?of=ada"),
        ("", "/"),
        ("email", "/"),
        ("https://attacker.example/", "/"),
        ("//attacker.example/", "/"),
        ("/%5Cattacker.example/", "/"),
        ("/%09/attacker.example/", "/"),
        ("/%0d%0aSet-Cookie:a=b", "/"),
        ("%20/", "/"),
        ("/%C3%A4", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        assert_eq!(back(&format!("?next={next}")).await, expected, "{next}");
    }
    assert_eq!(back("").await, "/");
    assert_eq!(back("?a=b&next=/email").await, "/email");
}
