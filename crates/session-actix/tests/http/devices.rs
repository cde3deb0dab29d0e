//! Sessions that are bound to a device: the headers and the statuses of the routes and the guard.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::header::COOKIE,
    test::{TestRequest, init_service, read_body, try_call_service},
    web,
};
use session_actix::{
    DeviceGuard, SessionMiddleware, device_routes,
    session_core::{
        MemoryStore, Sessions,
        dbsc::{DeviceBinding, DevicePolicy, TestDevice},
    },
};

use crate::suite::{
    Response,
    browser::{act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};

const REGISTER: &str = "/device/bind";
const REFRESH: &str = "/device/refresh";

/// A browser that keeps cookies by their names, with a device.
struct Browser<S> {
    service: S,
    cookies: RefCell<BTreeMap<String, String>>,
    device: TestDevice,
}

impl<S, B> Browser<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    async fn send(&self, request: TestRequest) -> Response {
        let cookies: Vec<_> = self.cookies.borrow().values().cloned().collect();
        let request = request.insert_header((COOKIE, cookies.join("; ")));
        let response = match try_call_service(&self.service, request.to_request()).await {
            Ok(response) => response.map_into_boxed_body(),
            Err(error) => {
                let request = TestRequest::default().to_http_request();
                ServiceResponse::new(request, error.error_response())
            }
        };
        let status = http::StatusCode::from_u16(response.status().as_u16()).unwrap();
        let mut headers = http::HeaderMap::new();
        for (name, value) in response.headers() {
            let name = http::HeaderName::from_bytes(name.as_ref()).unwrap();
            headers.append(name, value.as_bytes().try_into().unwrap());
        }
        for cookie in headers.get_all(http::header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let name = pair.split_once('=').unwrap().0.to_owned();
            let mut kept = self.cookies.borrow_mut();
            if attributes.contains("Max-Age=0") {
                kept.remove(&name);
            } else {
                kept.insert(name, pair.to_owned());
            }
        }
        let body = read_body(response).await;
        Response {
            status,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.send(TestRequest::get().uri(path)).await
    }

    async fn register(&self, offer: &str) -> Response {
        let proof = self.device.registration(offer);
        let request = TestRequest::post().uri(REGISTER);
        let request = request.insert_header(("Secure-Session-Response", proof));
        self.send(request).await
    }

    async fn refresh(&self, id: &str, challenge: Option<&str>) -> Response {
        let request = TestRequest::post().uri(REFRESH);
        let mut request = request.insert_header(("Sec-Secure-Session-Id", id));
        if let Some(challenge) = challenge {
            let proof = self.device.proof(challenge);
            request = request.insert_header(("Secure-Session-Response", proof));
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

/// An application whose log-in is open, and whose other routes are under each policy.
macro_rules! browser {
    ($sessions:expr) => {{
        let sessions: Sessions = $sessions;
        let guarded = |path: &str, policy| {
            let guard = DeviceGuard::new(&sessions, policy).unwrap();
            let act = web::route().to(act);
            web::scope(path).wrap(guard).route("/{act:.*}", act)
        };
        let service = init_service(
            App::new()
                .route("/open/{act:.*}", web::get().to(act))
                .service(guarded("/offer", DevicePolicy::Offer))
                .service(guarded("/require", DevicePolicy::Require))
                .service(guarded("/once", DevicePolicy::RequireOnceBound))
                .configure(device_routes(&sessions).unwrap())
                .wrap(SessionMiddleware::new(sessions.clone())),
        )
        .await;
        Browser {
            service,
            cookies: RefCell::default(),
            device: TestDevice::new(),
        }
    }};
}

#[actix_web::test]
async fn a_browser_binds_and_refreshes_over_http() {
    let store = ObservedStore::new(MemoryStore::new());
    let browser = browser!(bound(&store));
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
    let other = browser!(bound(&store));
    other
        .cookies
        .borrow_mut()
        .clone_from(&browser.cookies.borrow());
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

#[actix_web::test]
async fn a_login_cookie_alone_is_refused_with_an_explanation() {
    let browser = browser!(bound(&ObservedStore::new(MemoryStore::new())));
    for path in ["/offer/who", "/once/who"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    let refused = browser.get("/require/who").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("proves on which device it runs"));
    let _id = browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    assert_eq!(browser.get("/offer/who").await.body, "ada");
    assert_eq!(browser.get("/require/who").await.status, 403);
    // The reason why a browser left the cookie out.
    let (log, _guard) = Log::of_this_thread();
    let skipped = "quota_exceeded;session_identifier=\"S\"";
    let request = TestRequest::get().uri("/offer/who");
    let request = request.insert_header(("Secure-Session-Skipped", skipped));
    assert_eq!(browser.send(request).await.status, 200);
    let events = log.security_events();
    assert!(events[0].contains("event=\"device_skipped\""), "{events:?}");
    assert!(
        events[0].contains("reason=\"quota_exceeded\""),
        "{events:?}"
    );
}

#[actix_web::test]
async fn an_outage_is_a_503_and_an_ended_session_is_told() {
    let store = ObservedStore::new(MemoryStore::new());
    let browser = browser!(bound(&store));
    let id = browser.log_in().await;
    let asked = browser.refresh(&id, None).await;
    let challenge = asked.header("secure-session-challenge").unwrap();
    store.set_down(true);
    for challenge in [None, Some(challenge)] {
        let down = browser.refresh(&id, challenge).await;
        assert_eq!(down.status, 503);
        assert_eq!(down.header("retry-after"), Some("1"));
    }
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

#[actix_web::test]
async fn without_the_setting_neither_routes_nor_guards_are_built() {
    let sessions = Sessions::new(settings(), Arc::new(MemoryStore::new())).unwrap();
    let error = device_routes(&sessions).map(drop).unwrap_err().to_string();
    assert!(error.contains("with_device_binding"), "{error}");
    assert!(DeviceGuard::new(&sessions, DevicePolicy::Require).is_err());
}

/// A guard around the whole application lets the browser register and refresh.
#[actix_web::test]
async fn a_guard_lets_the_routes_of_the_binding_pass() {
    let sessions = bound(&ObservedStore::new(MemoryStore::new()));
    let guard = DeviceGuard::new(&sessions, DevicePolicy::Require).unwrap();
    let answer = |_: &HttpRequest| HttpResponse::Forbidden().body("mine");
    let service = init_service(
        App::new()
            .configure(device_routes(&sessions).unwrap())
            .route("/{act:.*}", web::get().to(act))
            .wrap(guard.with_answer(answer))
            .wrap(SessionMiddleware::new(sessions)),
    )
    .await;
    let browser = Browser {
        service,
        cookies: RefCell::default(),
        device: TestDevice::new(),
    };
    assert_eq!(browser.get("/who").await.body, "mine");
    assert_eq!(
        browser.refresh("S", None).await.body,
        "{\"continue\":false}"
    );
    assert_eq!(browser.register("x").await.status, 403);
}
