//! What is worth asking for the password again is refused to an old login.

use std::time::Duration;

use actix_web::{
    App, HttpRequest, HttpResponse,
    cookie::Cookie,
    dev::ServiceResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, COOKIE, LOCATION, SET_COOKIE},
    },
    test::{TestRequest, call_service, init_service},
    web,
};
use session_actix::{FreshLogin, Session, SessionError, SessionMiddleware, return_path};

use crate::{
    browser::{sessions_at, settings},
    test_clock::TestClock,
};

const TEN_MINUTES: u64 = 600;

async fn log_in(session: Session) -> Result<&'static str, SessionError> {
    session.log_in("ada")?;
    session.insert("cart", &3)?;
    Ok("")
}

async fn confirm(session: Session, request: HttpRequest) -> Result<HttpResponse, SessionError> {
    session.reauthenticate()?;
    let back = (LOCATION, return_path(&request));
    Ok(HttpResponse::SeeOther().insert_header(back).finish())
}

async fn pay(session: Session) -> Result<String, SessionError> {
    session.require_login_within(Duration::from_secs(TEN_MINUTES))?;
    Ok(format!("{:?}", session.get::<u8>("cart")?))
}

async fn who(session: Session) -> String {
    format!("{:?}", session.owner())
}

fn cookie_of(response: &ServiceResponse<impl actix_web::body::MessageBody>) -> Option<String> {
    let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap();
    let cookie = Cookie::parse(cookie).unwrap();
    Some(format!("{}={}", cookie.name(), cookie.value()))
}

macro_rules! application {
    ($time:expr) => {{
        let sessions = sessions_at(settings(), &$time.store(), $time.clock());
        let fresh = FreshLogin::within(Duration::from_secs(TEN_MINUTES));
        let redirects =
            FreshLogin::within(Duration::from_secs(TEN_MINUTES)).or_redirect_to("/confirm");
        init_service(
            App::new()
                .wrap(SessionMiddleware::new(sessions))
                .route("/login", web::post().to(log_in))
                .route("/confirm", web::post().to(confirm))
                .route("/pay", web::post().to(pay))
                .route("/who", web::get().to(who))
                .service(web::resource("/keys").wrap(fresh).to(who))
                .service(web::resource("/email").wrap(redirects).to(who)),
        )
        .await
    }};
}

#[actix_web::test]
async fn an_old_login_is_refused_until_the_user_proves_again_who_they_are() {
    let time = TestClock::default();
    let app = application!(time);
    let send = async |request: TestRequest, cookie: &str| {
        let request = request.insert_header((COOKIE, cookie)).to_request();
        call_service(&app, request).await
    };
    let page = |path| TestRequest::get().uri(path);
    let form = |path| TestRequest::post().uri(path);
    // Nobody is logged in.
    for request in [
        page("/keys"),
        form("/pay"),
        form("/confirm"),
        form("/email"),
    ] {
        let response = send(request, "a=b").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let login = cookie_of(&send(form("/login"), "a=b").await).unwrap();
    time.advance(TEN_MINUTES);
    for request in [page("/keys"), page("/email"), form("/pay")] {
        assert_eq!(send(request, &login).await.status(), StatusCode::OK);
    }
    time.advance(1);
    for request in [page("/keys"), form("/keys"), form("/pay"), form("/email")] {
        let response = send(request, &login).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
    }
    assert_eq!(send(page("/who"), &login).await.status(), StatusCode::OK);

    let away = send(page("/email?of=ada&x=%2F"), &login).await;
    assert_eq!(away.status(), StatusCode::SEE_OTHER);
    let to = away.headers().get(LOCATION).unwrap().to_str().unwrap();
    assert_eq!(to, "/confirm?next=/email%3Fof%3Dada%26x%3D%252F");

    let back = send(form(to), &login).await;
    assert_eq!(back.headers().get(LOCATION).unwrap(), "/email?of=ada&x=%2F");
    let confirmed = cookie_of(&back).unwrap();
    assert_ne!(
        confirmed, login,
        "an id from before gives no access to what is guarded"
    );
    for request in [page("/keys"), page("/email"), form("/pay")] {
        assert_eq!(send(request, &confirmed).await.status(), StatusCode::OK);
    }
    for request in [page("/keys"), form("/pay")] {
        let response = send(request, &login).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    time.advance(TEN_MINUTES + 1);
    assert_eq!(
        send(page("/keys"), &confirmed).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn the_way_back_stays_on_this_host() {
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
        let request = TestRequest::with_uri(&format!("/confirm?next={next}"));
        assert_eq!(return_path(&request.to_http_request()), expected, "{next}");
    }
    let request = TestRequest::with_uri("/confirm").to_http_request();
    assert_eq!(return_path(&request), "/");
}
