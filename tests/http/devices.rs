//! Sessions that are bound to a device: the headers and the statuses of the routes and the guard.

mod attacks;

use std::{cell::RefCell, collections::BTreeMap};

use http::{
    Request,
    header::{COOKIE, SET_COOKIE},
    request::Builder,
};
use session_core::{
    CookieAttributes, Sessions,
    dbsc::{DeviceBinding, DevicePolicy, TestDevice},
};

use super::{
    Admin, Response,
    browser::{act, sessions, sessions_at, settings},
    log::Log,
    observed_store::ObservedStore,
    test_clock::TestClock,
};
use crate::framework::{App, Running, Session, SessionError, adapter::DeviceGuard};

const REGISTER: &str = "/device/bind";
const REFRESH: &str = "/device/refresh";

/// A browser that keeps cookies by their names, with a device.
struct Browser {
    service: Running,
    cookies: RefCell<BTreeMap<String, String>>,
    device: TestDevice,
}

impl Browser {
    async fn of(app: App) -> Self {
        Self {
            service: app.start().await,
            cookies: RefCell::default(),
            device: TestDevice::new(),
        }
    }

    async fn send(&self, request: Builder) -> Response {
        let cookies: Vec<_> = self.cookies.borrow().values().cloned().collect();
        let request = request.header(COOKIE, cookies.join("; "));
        let request = request.body(String::new()).unwrap();
        let response = self.service.send(request).await;
        for cookie in response.headers.get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let name = pair.split_once('=').unwrap().0.to_owned();
            let mut kept = self.cookies.borrow_mut();
            if attributes.contains("Max-Age=0") {
                kept.remove(&name);
            } else {
                kept.insert(name, pair.to_owned());
            }
        }
        response
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::get(path)).await
    }

    async fn register(&self, offer: &str) -> Response {
        let proof = self.device.registration(offer);
        let request = Request::post(REGISTER).header("Secure-Session-Response", proof);
        self.send(request).await
    }

    async fn refresh(&self, id: &str, challenge: Option<&str>) -> Response {
        let mut request = Request::post(REFRESH).header("Sec-Secure-Session-Id", id);
        if let Some(challenge) = challenge {
            let proof = self.device.proof(challenge);
            request = request.header("Secure-Session-Response", proof);
        }
        self.send(request).await
    }

    /// Logs in, and takes the offer to bind. Returns the name of the device's session.
    async fn log_in(&self) -> String {
        let login = self.get("/open/login/ada").await;
        let offer = login.header("secure-session-registration").unwrap();
        let bound = self.register(offer).await;
        assert_eq!(bound.status, 200);
        let body: serde_json::Value = serde_json::from_str(&bound.body).unwrap();
        body["session_identifier"].as_str().unwrap().to_owned()
    }
}

fn bound(store: &ObservedStore) -> Sessions {
    let binding = DeviceBinding::new(REGISTER, REFRESH);
    sessions(settings().with_device_binding(binding), store)
}

fn bound_at(clock: &TestClock) -> Sessions {
    let binding = DeviceBinding::new(REGISTER, REFRESH);
    let settings = settings().with_device_binding(binding);
    sessions_at(settings, &clock.store(), clock.clock())
}

/// An application whose log-in is open, and whose other routes are under each policy.
async fn browser(sessions: &Sessions) -> Browser {
    let guarded = |policy| {
        let guard = DeviceGuard::new(sessions, policy).unwrap();
        App::new().route("/{*act}", act).device_guard(guard)
    };
    let app = App::new()
        .route("/open/{*act}", act)
        .route("/plain", async || "plain")
        .nest("/offer", guarded(DevicePolicy::Offer))
        .nest("/require", guarded(DevicePolicy::Require))
        .nest("/once", guarded(DevicePolicy::RequireOnceBound))
        .device_routes(sessions)
        .unwrap()
        .sessions(sessions.clone());
    Browser::of(app).await
}

#[tokio::test]
async fn a_browser_binds_and_refreshes_over_http() {
    let sessions = bound(&ObservedStore::default());
    let browser = browser(&sessions).await;
    let id = browser.log_in().await;
    assert_eq!(browser.get("/require/who").await.body, "ada");
    browser.cookies.borrow_mut().remove("__Host-device");
    let asked = browser.refresh(&id, None).await;
    assert_eq!(asked.status, 403);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    let challenge = asked.header("secure-session-challenge").unwrap();
    assert!(challenge.ends_with(&format!(";id=\"{id}\"")), "{challenge}");
    let proved = browser.refresh(&id, Some(challenge)).await;
    assert_eq!(proved.status, 200);
    assert_eq!(proved.header("content-type"), Some("application/json"));
    assert!(proved.set_cookies()[0].starts_with("__Host-device="));
    assert_eq!(browser.get("/require/who").await.body, "ada");
    // A device of another key.
    let other = Browser {
        device: TestDevice::new(),
        ..browser
    };
    let (log, _guard) = Log::of_this_thread();
    let wrong = other.refresh(&id, Some(challenge)).await;
    assert_eq!(wrong.status, 401);
    let events = log.security_events();
    assert!(
        events[0].contains("event=\"device_proof_refused\""),
        "{events:?}"
    );
    assert!(events[0].contains("reason=\"signature\""), "{events:?}");
}

#[tokio::test]
async fn a_login_cookie_alone_is_refused_with_an_explanation() {
    let browser = browser(&bound(&ObservedStore::default())).await;
    for path in ["/offer/who", "/once/who"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    let refused = browser.get("/require/who").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("proves on which device it runs"));
    let content_type = refused.header("content-type").unwrap();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    let _id = browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    assert_eq!(browser.get("/offer/who").await.body, "ada");
    assert_eq!(browser.get("/require/who").await.status, 403);
}

/// With a guard and without: the reasons of each line of the header, once a request.
#[tokio::test]
async fn why_a_browser_sent_no_proof_is_reported() {
    let browser = browser(&bound(&ObservedStore::default())).await;
    let skipping = |path: &str| {
        Request::get(path)
            .header(
                "Secure-Session-Skipped",
                "quota_exceeded;session_identifier=\"S\"",
            )
            .header("Secure-Session-Skipped", "unreachable")
    };
    let (log, _guard) = Log::of_this_thread();
    browser.send(skipping("/open/who")).await;
    assert_eq!(log.security_events(), [""; 0], "nobody is logged in");
    let _id = browser.log_in().await;
    let _login = log.security_events();
    for path in ["/open/who", "/offer/who"] {
        assert_eq!(browser.send(skipping(path)).await.status, 200);
        let events = log.security_events();
        assert_eq!(events.len(), 2, "{path}: {events:?}");
        for (event, reason) in events.iter().zip(["quota_exceeded", "unreachable"]) {
            assert!(event.contains("event=\"device_skipped\""), "{event}");
            assert!(event.contains(&format!("reason=\"{reason}\"")), "{event}");
        }
    }
    browser.send(skipping("/plain")).await;
    assert_eq!(
        log.security_events(),
        [""; 0],
        "a route that uses no session"
    );
}

/// Chromium does not prove the device before a page that a link from elsewhere leads to. It does
/// before the page that this page leads to.
#[tokio::test]
async fn a_link_from_elsewhere_opens_the_page_again() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    let _id = browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    let page = |path: &str, from: &str| from_page(Request::get(path), from);
    let opens_again = async |request: Builder| {
        let answer = browser.send(request).await;
        let again = answer.body.contains("http-equiv=\"refresh\"");
        if again {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let content_type = answer.header("content-type").unwrap();
            assert!(content_type.starts_with("text/html"), "{content_type}");
        }
        again
    };
    assert_eq!(
        browser.get("/once/who").await.status,
        200,
        "it was just bound"
    );
    assert!(!opens_again(page("/once/who", "cross-site")).await);
    clock.advance(31);
    let (log, _guard) = Log::of_this_thread();
    for from in ["cross-site", "same-site"] {
        assert!(opens_again(page("/once/who", from)).await, "{from}");
        let events = log.security_events();
        assert!(events[0].contains("reason=\"other_site\""), "{events:?}");
        assert!(opens_again(page("/require/who", from)).await, "{from}");
        assert!(!opens_again(page("/offer/who", from)).await, "{from}");
        let post = from_page(Request::post("/once/who"), from);
        assert!(!opens_again(post).await, "{from}");
        let fetch = Request::get("/once/who").header("Sec-Fetch-Site", from);
        assert!(!opens_again(fetch.header("Sec-Fetch-Mode", "cors")).await);
    }
    for from in ["same-origin", "none"] {
        let refused = browser.send(page("/once/who", from)).await;
        assert_eq!(refused.status, 403, "{from}");
    }
}

/// A login that begins at an identity provider: the registration comes without the cookie.
#[tokio::test]
async fn a_page_offers_again_what_a_login_from_elsewhere_could_not_bind() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    let offered = async |path: &str, from: &str| {
        let answer = browser.send(from_page(Request::get(path), from)).await;
        let offer = answer.header("secure-session-registration");
        offer.map(str::to_owned)
    };
    assert!(offered("/open/login/ada", "cross-site").await.is_some());
    assert_eq!(
        offered("/open/who", "same-origin").await,
        None,
        "it may be under way"
    );
    clock.advance(10);
    assert_eq!(offered("/open/who", "cross-site").await, None);
    assert_eq!(offered("/plain", "same-origin").await, None);
    let image = Request::get("/open/who").header("Sec-Fetch-Site", "same-origin");
    let image = browser
        .send(image.header("Sec-Fetch-Mode", "no-cors"))
        .await;
    assert_eq!(image.header("secure-session-registration"), None);
    let offer = offered("/open/who", "same-origin").await.unwrap();
    // It counts for as long as that of the login.
    clock.advance(291);
    assert_eq!(offered("/open/who", "same-origin").await, None);
    assert_eq!(browser.register(&offer).await.status, 403);
    browser.get("/open/login/ada").await;
    clock.advance(300);
    let offer = offered("/open/who", "same-origin").await.unwrap();
    assert_eq!(browser.register(&offer).await.status, 200);
    assert_eq!(offered("/open/who", "same-origin").await, None);
}

/// A request for a page that a page of this origin, or of another, leads to.
fn from_page(request: Builder, from: &str) -> Builder {
    request
        .header("Sec-Fetch-Site", from)
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
}

/// Two sessions, whose bound cookies are named so.
async fn two_sessions(shop: &str, admin: &str) -> Browser {
    let cookie = |name: &str| CookieAttributes {
        name: name.into(),
        ..CookieAttributes::default()
    };
    let bound = |session, device| {
        let binding = DeviceBinding::new(REGISTER, REFRESH).with_cookie(cookie(device));
        let settings = settings().with_cookie(cookie(session));
        sessions(
            settings.with_device_binding(binding),
            &ObservedStore::default(),
        )
    };
    let app = App::new()
        .route("/", both)
        .sessions(bound("__Host-session", shop))
        .admin_sessions(bound("__Host-admin", admin));
    Browser::of(app).await
}

async fn both(shop: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    shop.log_in("ada")?;
    admin.log_in("root")?;
    Ok(String::new())
}

#[tokio::test]
async fn two_logins_in_one_response_are_both_offered() {
    let login = two_sessions("__Host-device", "__Host-admin-device").await;
    let login = login.get("/").await;
    let offers = login.headers.get_all("secure-session-registration");
    assert_eq!(offers.iter().count(), 2);
}

#[tokio::test]
async fn two_sessions_with_one_bound_cookie_are_refused() {
    for admin in ["__Host-device", "__Host-session"] {
        let browser = two_sessions("__Host-device", admin).await;
        assert_eq!(browser.get("/").await.status, 500, "{admin}");
    }
}

#[tokio::test]
async fn an_outage_is_a_503_and_an_ended_session_is_told() {
    let store = ObservedStore::default();
    let browser = browser(&bound(&store)).await;
    let id = browser.log_in().await;
    let asked = browser.refresh(&id, None).await;
    let challenge = asked.header("secure-session-challenge").unwrap();
    store.set_down(true);
    for challenge in [None, Some(challenge)] {
        let down = browser.refresh(&id, challenge).await;
        assert_eq!(down.status, 503);
        assert_eq!(down.header("retry-after"), Some("1"));
    }
    assert_eq!(browser.get("/require/who").await.status, 503);
    store.set_down(false);
    assert_eq!(browser.refresh(&id, Some(challenge)).await.status, 200);
    let logged_out = browser.get("/open/logout").await;
    assert_eq!(
        logged_out.set_cookies().len(),
        2,
        "both cookies are removed"
    );
    assert!(browser.cookies.borrow().is_empty());
    let ended = browser.refresh(&id, Some(challenge)).await;
    assert_eq!(
        (ended.status.as_u16(), &*ended.body),
        (200, "{\"continue\":false}")
    );
}

/// Any other status ends the session on the device.
#[tokio::test]
async fn a_refresh_that_cannot_succeed_is_a_503() {
    let sessions = bound(&ObservedStore::default());
    let without_sessions = App::new().device_routes(&sessions).unwrap();
    let browser = Browser::of(without_sessions).await;
    let (log, _guard) = Log::of_this_thread();
    let failed = browser.refresh("S", None).await;
    assert_eq!(failed.status, 503);
    assert_eq!(failed.header("retry-after"), Some("1"));
    assert!(log.text().contains("could not prove itself"));
}

#[tokio::test]
async fn without_the_setting_neither_routes_nor_guards_are_built() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let error = App::new().device_routes(&sessions).map(drop).unwrap_err();
    assert!(error.to_string().contains("with_device_binding"), "{error}");
    assert!(DeviceGuard::new(&sessions, DevicePolicy::Require).is_err());
    assert!(DeviceGuard::<Admin>::named(&sessions, DevicePolicy::Require).is_err());
}

/// A guard around the whole application lets the browser register and refresh.
#[tokio::test]
async fn a_guard_lets_the_routes_of_the_binding_pass() {
    let sessions = bound(&ObservedStore::default());
    let guard = DeviceGuard::new(&sessions, DevicePolicy::Require).unwrap();
    let app = App::new()
        .device_routes(&sessions)
        .unwrap()
        .route("/{*act}", act)
        .device_guard_with_teapot(guard)
        .sessions(sessions);
    let browser = Browser::of(app).await;
    let refused = browser.get("/who").await;
    assert_eq!((refused.status.as_u16(), &*refused.body), (418, "not /who"));
    assert_eq!(
        browser.refresh("S", None).await.body,
        "{\"continue\":false}"
    );
    assert_eq!(browser.register("x").await.status, 403);
}
