//! A browser for the tests, and the application that most of them use.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::observed_store::ObservedStore;
use actix_web::{
    App, HttpRequest, HttpResponse,
    body::MessageBody,
    cookie::{Cookie, SameSite},
    dev::{Service, ServiceResponse},
    http::{
        StatusCode,
        header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE},
    },
    test::{TestRequest, init_service, read_body, try_call_service},
    web,
};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Clock, SecretKeys, Sessions, Settings},
};

pub(crate) const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

pub(crate) fn settings() -> Settings {
    Settings::new(SecretKeys::new(SECRET).unwrap())
}

pub(crate) fn sessions(settings: Settings, store: &ObservedStore) -> Sessions {
    Sessions::new(settings, Arc::new(store.clone())).unwrap()
}

pub(crate) fn sessions_at(settings: Settings, store: &ObservedStore, clock: Clock) -> Sessions {
    let sessions = Sessions::builder(settings, Arc::new(store.clone())).with_clock(clock);
    sessions.build().unwrap()
}

/// The handler of most tests. The path says what it does.
pub(crate) async fn act(
    session: Session,
    request: HttpRequest,
) -> Result<HttpResponse, SessionError> {
    let path = request.match_info().query("act").to_owned();
    let (verb, rest) = path.split_once('/').unwrap_or((&path, ""));
    match verb {
        "set" => session.insert(rest, &1)?,
        "get" => {
            let value = session.get::<i64>(rest)?;
            return Ok(HttpResponse::Ok().body(value.map_or("none".into(), |it| it.to_string())));
        }
        "big" => session.insert("big", &"x".repeat(rest.parse().unwrap()))?,
        "increment" => {
            session.update(rest, |n: Option<i64>| n.unwrap_or(0) + 1)?;
        }
        "remove" => drop(session.remove(rest)),
        "clear" => session.clear(),
        "renew" => session.renew(),
        "login" => session.log_in(rest)?,
        "logout" => session.log_out(),
        "who" => {
            return Ok(HttpResponse::Ok()
                .body(session.owner().map_or("nobody".into(), |it| it.to_string())));
        }
        "fail" => {
            session.insert(rest, &1)?;
            return Ok(HttpResponse::InternalServerError().finish());
        }
        "other-cookie" => {
            session.insert(rest, &1)?;
            return Ok(HttpResponse::Ok()
                .cookie(
                    Cookie::build("lang", "en")
                        .same_site(SameSite::Lax)
                        .finish(),
                )
                .finish());
        }
        "cached" => {
            return Ok(HttpResponse::Ok()
                .insert_header(("Vary", "Accept"))
                .insert_header(("Cache-Control", "public"))
                .finish());
        }
        _ => unreachable!("no test requests {path}"),
    }
    Ok(HttpResponse::Ok().finish())
}

/// A handler that changes the session and then fails with an error of another kind.
async fn refuse(session: Session) -> Result<HttpResponse, actix_web::Error> {
    session.insert("kept", &1)?;
    Err(actix_web::error::ErrorImATeapot("no coffee"))
}

/// A browser of one application. It keeps one cookie until the cookie's end.
pub(crate) struct Browser<S> {
    service: S,
    cookie: Option<StoredCookie>,
    clock: Clock,
}

/// A cookie as it is sent, and its end: from `Max-Age`, otherwise from `Expires` (RFC 6265, 5.3).
struct StoredCookie {
    pair: Vec<u8>,
    end: Option<SystemTime>,
}

impl StoredCookie {
    fn of(cookie: &str, now: SystemTime) -> Self {
        let mut parts = cookie.split("; ");
        let pair = parts.next().unwrap().as_bytes().to_vec();
        let attributes: Vec<_> = parts.filter_map(|it| it.split_once('=')).collect();
        let value = |name| attributes.iter().find(|it| it.0 == name).map(|it| it.1);
        let by_age = value("Max-Age").map(|age| now + Duration::from_secs(age.parse().unwrap()));
        let by_date = || Some(httpdate::parse_http_date(value("Expires")?).unwrap());
        Self {
            pair,
            end: by_age.or_else(by_date),
        }
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(SET_COOKIE)
            .map(|it| it.to_str().unwrap())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }
}

/// An application with `sessions`: the routes of `act`, and `/plain`, which uses no session.
pub(crate) async fn browser(
    sessions: Sessions,
) -> Browser<
    impl Service<
        actix_http::Request,
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
    >,
> {
    let service = init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .route("/plain", web::get().to(|| async { "ok" }))
            .route("/refuse", web::get().to(refuse))
            .route("/{act:.*}", web::get().to(act)),
    )
    .await;
    Browser::of(service)
}

impl<S, B> Browser<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    pub(crate) fn of(service: S) -> Self {
        Self {
            service,
            cookie: None,
            clock: Arc::new(SystemTime::now),
        }
    }

    /// The same browser with another clock.
    pub(crate) fn at(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sends a request with this browser's cookie, and updates the cookie from the response.
    pub(crate) async fn get(&mut self, path: &str) -> Response {
        let now = (self.clock)();
        self.cookie.take_if(|cookie| cookie.is_over(now));
        let response = self.send(path, self.pair()).await;
        for cookie in response.set_cookies() {
            if cookie.contains("session=") {
                let kept = StoredCookie::of(cookie, now);
                self.cookie = Some(kept).filter(|it| !it.is_over(now));
            }
        }
        response
    }

    /// Sends a request with another `Cookie` header.
    pub(crate) async fn send(&self, path: &str, cookies: Option<Vec<u8>>) -> Response {
        let mut request = TestRequest::get().uri(path);
        if let Some(cookies) = cookies {
            request = request.insert_header((COOKIE, HeaderValue::from_bytes(&cookies).unwrap()));
        }
        match try_call_service(&self.service, request.to_request()).await {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                Response {
                    status,
                    headers,
                    body: text(&read_body(response).await),
                }
            }
            Err(error) => {
                let response = error.error_response();
                let (status, headers) = (response.status(), response.headers().clone());
                let body = actix_web::body::to_bytes(response.into_body())
                    .await
                    .ok()
                    .map(|it| text(&it))
                    .unwrap_or_default();
                Response {
                    status,
                    headers,
                    body,
                }
            }
        }
    }

    /// The cookie's name and value, as the browser sends it.
    pub(crate) fn cookie(&self) -> String {
        String::from_utf8(self.pair().expect("the browser has a cookie")).unwrap()
    }

    fn pair(&self) -> Option<Vec<u8>> {
        self.cookie.as_ref().map(|cookie| cookie.pair.clone())
    }

    /// Sets a cookie that ends with the browser.
    pub(crate) fn set_cookie(&mut self, cookie: &str) {
        self.cookie = Some(StoredCookie {
            pair: cookie.as_bytes().to_vec(),
            end: None,
        });
    }
}

fn text(bytes: &web::Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
