//! A browser for the tests, and the application that most of them use.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{
    HeaderMap, Request, StatusCode,
    header::{COOKIE, HeaderValue, SET_COOKIE},
};
use session_core::{Clock, KeyPrefix, SecretKeys, SessionId, Sessions, SessionsBuilder, Settings};

use super::{Answer, Teapot, observed_store::ObservedStore};
use crate::framework::{App, Incoming, Running, Session, SessionError};

pub(crate) const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

thread_local! {
    /// Each test has a thread, and one that others use, too, is no place for a common prefix.
    static PREFIX: KeyPrefix = {
        let random = SessionId::random(16);
        KeyPrefix::new(&format!("{}:", random.as_str())).unwrap()
    };
}

pub(crate) fn settings() -> Settings {
    Settings::new(SecretKeys::new(SECRET).unwrap())
        .with_key_prefix(PREFIX.with(KeyPrefix::clone))
        // A busy machine is no outage.
        .with_store_timeout(Duration::from_secs(10))
}

/// The shortest time of five: on a busy machine one may take longer than the library makes it.
pub(crate) async fn quickest(mut request: impl AsyncFnMut()) -> Duration {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        request().await;
        quickest = quickest.min(start.elapsed());
    }
    quickest
}

pub(crate) fn sessions(settings: Settings, store: &ObservedStore) -> Sessions {
    built(Sessions::builder(settings, Arc::new(store.clone())))
}

fn built(builder: SessionsBuilder) -> Sessions {
    let lists = builder.can_list_owners();
    let builder = if lists {
        builder
    } else {
        builder.without_owner_lists()
    };
    builder.build().unwrap()
}

pub(crate) fn sessions_at(settings: Settings, store: &ObservedStore, clock: Clock) -> Sessions {
    built(Sessions::builder(settings, Arc::new(store.clone())).with_clock(clock))
}

/// The handler of most tests. The path says what it does.
pub(crate) async fn act(session: Session, incoming: Incoming) -> Result<Answer, SessionError> {
    let path = incoming.argument();
    let (verb, rest) = path.split_once('/').unwrap_or((&path, ""));
    match verb {
        "set" => session.insert(rest, &1)?,
        "get" => {
            let value = session.get::<i64>(rest)?;
            return Ok(Answer::new(
                value.map_or("none".into(), |it| it.to_string()),
            ));
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
            let owner = session.owner();
            return Ok(Answer::new(
                owner.map_or("nobody".into(), |it| it.to_string()),
            ));
        }
        "fail" => {
            session.insert(rest, &1)?;
            return Ok(Answer::ok().with_status(500));
        }
        "other-cookie" => {
            session.insert(rest, &1)?;
            return Ok(Answer::ok().with_header("Set-Cookie", "lang=en; SameSite=Lax"));
        }
        "cached" => {
            return Ok(Answer::ok()
                .with_header("Vary", "Accept")
                .with_header("Cache-Control", "public"));
        }
        _ => unreachable!("no test requests {path}"),
    }
    Ok(Answer::ok())
}

/// A handler that changes the session and then fails with an error of another kind.
async fn refuse(session: Session) -> Result<Answer, Teapot> {
    session.insert("kept", &1)?;
    Err(Teapot)
}

/// A browser of one application. It keeps one cookie until the cookie's end.
pub(crate) struct Browser {
    service: Running,
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

/// A response as it was sent.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(SET_COOKIE)
            .into_iter()
            .map(|it| it.to_str().unwrap())
            .collect()
    }

    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        let cookies = self.set_cookies().into_iter();
        cookies.map(|it| it.split('=').next().unwrap()).collect()
    }

    /// The first cookie that is set, as a browser sends it.
    pub(crate) fn session_cookie(&self) -> Option<String> {
        let cookies = self.set_cookies();
        let pair = cookies.first()?.split(';').next()?;
        Some(pair.to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }
}

/// An application with `sessions`: the routes of `act`, and `/plain`, which uses no session.
pub(crate) async fn browser(sessions: Sessions) -> Browser {
    Browser::of(
        App::new()
            .route("/plain", async || "ok")
            .route("/refuse", refuse)
            .route("/{*act}", act)
            .sessions(sessions),
    )
    .await
}

impl Browser {
    pub(crate) async fn of(app: App) -> Self {
        Self::at_service(app.start().await)
    }

    pub(crate) fn at_service(service: Running) -> Self {
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
        let mut request = Request::get(path);
        if let Some(cookies) = cookies {
            request = request.header(COOKIE, HeaderValue::from_bytes(&cookies).unwrap());
        }
        self.service
            .send(request.body(String::new()).unwrap())
            .await
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
