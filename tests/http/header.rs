//! The id in a header in place of a cookie: for clients that keep no cookies.

use std::time::Duration;

use http::{Request, request::Builder};
use session_core::{
    SecretKeys, Sessions, Settings,
    config::{FlaskCookie, IdHeader, Refresh},
};

use super::{
    Admin, Response,
    browser::{SECRET, act, sessions, sessions_at, settings},
    log::Log,
    observed_store::ObservedStore,
    test_clock::TestClock,
};
use crate::framework::{App, Running, Session, SessionError};

/// A program that uses an application. It sends the id that it was given last.
struct Client {
    app: Running,
    header: IdHeader,
    id: String,
}

impl Client {
    async fn of(sessions: Sessions) -> Self {
        let header = sessions.settings().id_header().unwrap();
        let header = IdHeader::clone(header);
        let app = App::new()
            .route("/plain", async || "ok")
            .route("/{*act}", act)
            .sessions(sessions);
        Self {
            app: app.start().await,
            header,
            id: String::new(),
        }
    }

    fn request(&self, path: &str, id: &str) -> Builder {
        let request = Request::get(path);
        if id.is_empty() {
            return request;
        }
        request.header(self.header.request(), self.header.value_of(id))
    }

    async fn send(&self, request: Builder) -> Response {
        let response = self.app.send(request.body(String::new()).unwrap()).await;
        assert_eq!(response.set_cookies(), [""; 0]);
        response
    }

    /// The body, and the id that the response gave.
    async fn get(&mut self, path: &str) -> (String, Option<String>) {
        let response = self.send(self.request(path, &self.id)).await;
        assert_eq!(response.status, 200, "{path}");
        let given = response.header(self.header.response()).map(str::to_owned);
        if let Some(id) = &given {
            self.id.clone_from(id);
            assert_eq!(response.header("cache-control"), Some("no-store"));
        }
        let uses = path != "/plain";
        let varies = uses.then(|| self.header.request());
        assert_eq!(response.header("vary"), varies, "{path}");
        (response.body, given)
    }

    /// The body for a request with another id.
    async fn body_for(&self, id: &str, path: &str) -> String {
        self.send(self.request(path, id)).await.body
    }
}

fn headers() -> [IdHeader; 3] {
    [
        IdHeader::bearer(),
        IdHeader::named("X-Session"),
        IdHeader::bearer().answering_in("X-Token"),
    ]
}

fn by(header: &IdHeader) -> Settings {
    settings().with_id_header(header.clone())
}

#[tokio::test]
async fn a_new_id_is_answered_in_the_header_and_opens_the_session() {
    for header in headers() {
        let mut client = Client::of(sessions(by(&header), &ObservedStore::default())).await;
        assert_eq!(client.get("/get/a").await, ("none".into(), None));
        let (_, first) = client.get("/set/a").await;
        assert!(first.is_some());
        assert_eq!(client.get("/get/a").await, ("1".into(), None));
        assert_eq!(client.get("/set/b").await.1, None, "the id is the same");
        assert_eq!(client.get("/plain").await, ("ok".into(), None));
        let (_, second) = client.get("/login/ada").await;
        assert!(second.is_some() && second != first);
        assert_eq!(client.get("/who").await.0, "ada");
        assert_eq!(client.body_for(&first.unwrap(), "/who").await, "nobody");
        let (_, third) = client.get("/renew").await;
        assert!(third.is_some() && third != second);
        // An empty one tells the client to forget its id.
        assert_eq!(client.get("/logout").await.1.as_deref(), Some(""));
        assert_eq!(client.body_for(&third.unwrap(), "/who").await, "nobody");
    }
}

#[tokio::test]
async fn the_id_is_read_from_that_header_and_from_nothing_else() {
    let header = IdHeader::bearer();
    let store = ObservedStore::default();
    let mut client = Client::of(sessions(by(&header), &store)).await;
    client.get("/login/ada").await;
    let id = client.id.clone();
    for (name, value, owner) in [
        ("authorization", format!("Bearer {id}"), "ada"),
        ("authorization", format!("bearer  {id} "), "ada"),
        ("authorization", id.clone(), "nobody"),
        ("authorization", format!("Basic {id}"), "nobody"),
        ("authorization", format!("Bearer{id}"), "nobody"),
        ("authorization", format!("Bearer {id}x"), "nobody"),
        ("authorization", "Bearer ".into(), "nobody"),
        ("session-id", id.clone(), "nobody"),
        ("x-session", id.clone(), "nobody"),
        ("cookie", format!("__Host-session={id}"), "nobody"),
        ("cookie", format!("session-id={id}"), "nobody"),
    ] {
        let request = Request::get("/who").header(name, &value);
        assert_eq!(client.send(request).await.body, owner, "{name}: {value}");
    }
}

#[tokio::test]
async fn of_several_ids_none_counts_and_other_credentials_beside_one_do_not_matter() {
    let store = ObservedStore::default();
    let sessions = sessions(by(&IdHeader::bearer()), &store);
    let ada = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let bob = sessions.cookie_of(|it| it.log_in("bob")).await.unwrap();
    let client = Client::of(sessions).await;
    for (first, second, owner) in [
        (&*ada, &*bob, "nobody"),
        ("Bearer forged", &*ada, "nobody"),
        (&*ada, "bearer  forged", "nobody"),
        (&*ada, "Bearer ", "ada"),
        ("Basic YTpi", &*ada, "ada"),
        (&*ada, "Basic YTpi", "ada"),
    ] {
        let request = Request::get("/who")
            .header("authorization", first)
            .header("authorization", second);
        assert_eq!(client.send(request).await.body, owner, "{first} {second}");
    }
}

#[tokio::test]
async fn no_id_of_a_cookie_is_accepted_in_the_header_and_no_other_way_round() {
    let store = ObservedStore::default();
    let by_cookie = sessions(settings(), &store);
    let by_header = sessions(by(&IdHeader::bearer()), &store);
    let cookie = by_cookie.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let id = by_header.cookie_of(|it| it.log_in("bob")).await.unwrap();
    let in_cookie = cookie.split_once('=').unwrap().1;
    let in_header = id.strip_prefix("Bearer ").unwrap();
    let client = Client::of(by_header).await;
    assert_eq!(client.body_for(in_header, "/who").await, "bob");
    assert_eq!(client.body_for(in_cookie, "/who").await, "nobody");
    let browser = super::browser::browser(by_cookie).await;
    let planted = format!("__Host-session={in_header}").into_bytes();
    assert_eq!(browser.send("/who", Some(planted)).await.body, "nobody");
    let own = cookie.into_bytes();
    assert_eq!(browser.send("/who", Some(own)).await.body, "ada");
}

async fn both(shop: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    shop.insert("a", &1)?;
    admin.insert("a", &2)?;
    Ok(String::new())
}

#[tokio::test]
async fn one_route_may_have_a_session_by_cookie_and_another_by_header() {
    let store = ObservedStore::default();
    let app = App::new()
        .route("/", both)
        .sessions(sessions(settings(), &store))
        .admin_sessions(sessions(by(&IdHeader::bearer()), &store));
    let app = app.start().await;
    let response = app
        .send(Request::get("/").body(String::new()).unwrap())
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.cookie_names(), ["__Host-session"]);
    assert!(response.header("session-id").is_some());
    assert_eq!(response.header("vary"), Some("Cookie, authorization"));
}

#[tokio::test]
async fn sessions_that_would_answer_in_one_header_are_refused() {
    let (log, _logging) = Log::of_this_thread();
    let store = ObservedStore::default();
    let admins = IdHeader::named("X-Admin").answering_in("Session-Id");
    let app = App::new()
        .route("/", both)
        .admin_sessions(sessions(by(&admins), &store))
        .sessions(sessions(by(&IdHeader::bearer()), &store));
    let app = app.start().await;
    let response = app
        .send(Request::get("/").body(String::new()).unwrap())
        .await;
    assert_eq!(response.status, 500);
    let log = log.text();
    assert!(log.contains("session-id too"), "{log}");
}

#[tokio::test]
async fn its_lifetimes_are_those_of_the_settings_and_use_sends_no_id() {
    for refresh in [Refresh::WhenDue, Refresh::EveryRequest] {
        let clock = TestClock::default();
        let settings = by(&IdHeader::bearer())
            .with_refresh(refresh)
            .with_idle_timeout(Duration::from_secs(100))
            .with_absolute_timeout(Duration::from_secs(1000));
        let sessions = sessions_at(settings, &clock.store(), clock.clock());
        let mut client = Client::of(sessions).await;
        client.get("/login/ada").await;
        for _ in 0..16 {
            clock.advance(60);
            assert_eq!(client.get("/who").await, ("ada".into(), None));
        }
        clock.advance(60);
        assert_eq!(client.get("/who").await.0, "nobody");
        client.get("/login/ada").await;
        clock.advance(100);
        assert_eq!(client.get("/who").await.0, "nobody");
    }
}

#[tokio::test]
async fn an_id_is_rotated_and_signed_again_in_the_header() {
    let clock = TestClock::default();
    let store = clock.store();
    let settings = by(&IdHeader::bearer()).with_rotation(Duration::from_secs(3600));
    let sessions = sessions_at(settings.clone(), &store, clock.clock());
    let mut client = Client::of(sessions).await;
    client.get("/login/ada").await;
    let old = client.id.clone();
    clock.advance(3600);
    let (who, rotated) = client.get("/who").await;
    assert_eq!(who, "ada");
    assert!(rotated.is_some_and(|it| it != old));
    assert_eq!(client.get("/who").await, ("ada".into(), None));

    let keys = SecretKeys::new("k2Tq8wZr5xVb1nMs7yLp4cJd9gHf3aQe").unwrap();
    let keys = keys.with_fallback(SECRET).unwrap();
    let resigned = sessions_at(settings.with_keys(keys), &store, clock.clock());
    let mut resigned = Client::of(resigned).await;
    resigned.id.clone_from(&client.id);
    let (who, again) = resigned.get("/who").await;
    assert_eq!(who, "ada");
    assert!(again.is_some_and(|it| it != client.id));
}

#[tokio::test]
async fn its_sessions_are_in_the_list_of_devices_beside_those_of_browsers() {
    let store = ObservedStore::default();
    let by_cookie = sessions(settings(), &store);
    let by_header = sessions(by(&IdHeader::bearer()), &store);
    by_cookie.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let mut client = Client::of(by_header).await;
    client.get("/login/ada").await;
    assert_eq!(by_cookie.owner_sessions("ada").await.unwrap().len(), 2);
    assert_eq!(by_cookie.log_out_everywhere("ada").await.unwrap(), 2);
    assert_eq!(client.get("/who").await.0, "nobody");
}

#[tokio::test]
async fn a_log_out_sets_no_cookie_although_a_flask_cookie_may_start_sessions() {
    let flask = FlaskCookie::new("dev").unwrap();
    let settings = by(&IdHeader::bearer()).with_flask_cookie(flask);
    let mut client = Client::of(sessions(settings, &ObservedStore::default())).await;
    client.get("/login/ada").await;
    assert_eq!(client.get("/logout").await.1.as_deref(), Some(""));
}

#[tokio::test]
async fn an_outage_is_a_503_and_leaves_the_id_alone() {
    let store = ObservedStore::default();
    let mut client = Client::of(sessions(by(&IdHeader::bearer()), &store)).await;
    client.get("/login/ada").await;
    store.set_down(true);
    for path in ["/who", "/set/a", "/logout"] {
        let response = client.send(client.request(path, &client.id)).await;
        assert_eq!(response.status, 503);
        assert_eq!(response.header("session-id"), None);
        assert_eq!(response.header("vary"), Some("authorization"));
    }
    store.set_down(false);
    assert_eq!(client.get("/who").await.0, "ada");
}
