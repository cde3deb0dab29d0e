//! The pages, and one visitor.

use std::{error::Error, sync::Arc};

use actix_http::Request;
use actix_web::{
    App,
    body::MessageBody,
    dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse},
    get,
    http::header::{COOKIE, SET_COOKIE},
    post,
    test::{TestRequest, init_service, read_body, try_call_service},
    web::ServiceConfig,
};
use session_actix::{
    CrossSiteGuard, Session, SessionError, SessionMiddleware,
    session_core::{EncryptionKeys, SecretKeys, SessionStore, Sessions, Settings},
};

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

/// What a session holds beside its counter: some 300 bytes.
const TEXTS: [(&str, &str); 9] = [
    ("user_name", "Grace Brewster Hopper"),
    ("user_id", "0193f1f2-7b1c-7c3e-9d55-5f3c2b7a9e10"),
    ("email", "grace@example.org"),
    ("role", "editor"),
    ("locale", "en-GB"),
    ("theme", "dark"),
    ("csrf", "9b64b13a2a47f04a813fd9bcbb44c0ee"),
    ("cart", "7781:1,4410:2,9023:1,1177:4"),
    ("came_from", "/shop/keyboards?sort=price&page=3"),
];
const READ: (&str, &str) = TEXTS[0];
const COUNTER: &str = "visits";

#[post("/fill")]
async fn fill(session: Session) -> Result<&'static str, SessionError> {
    for (key, text) in TEXTS {
        session.insert(key, text)?;
    }
    session.insert(COUNTER, &0_u64)?;
    Ok("filled")
}

#[get("/untouched")]
async fn untouched() -> &'static str {
    "ok"
}

#[get("/read")]
async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get(READ.0)?.unwrap_or_default())
}

#[post("/change")]
async fn change(session: Session) -> Result<String, SessionError> {
    let visits = session.update(COUNTER, |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(visits.to_string())
}

/// As [`read`], without sessions.
#[get("/read-without")]
async fn read_without() -> String {
    READ.1.to_owned()
}

/// As [`change`], without sessions.
#[post("/change-without")]
async fn change_without() -> String {
    1_u64.to_string()
}

/// Sends so many requests of one kind, of one visitor whose session is in `store`.
pub(super) async fn send_requests(
    kind: &str,
    requests: u64,
    store: Arc<dyn SessionStore>,
) -> Result<(), Box<dyn Error>> {
    let settings = match kind {
        "flask-read" => Settings::flask(),
        "encrypted-read" => {
            Settings::new(SecretKeys::new(SECRET)?).with_encryption(EncryptionKeys::new(SECRET)?)
        }
        _ => Settings::new(SecretKeys::new(SECRET)?),
    };
    let kind = match kind.strip_prefix("counted-") {
        Some(kind) => {
            count()?;
            kind
        }
        None => kind,
    };
    let builder = Sessions::builder(settings, store);
    let sessions = builder.without_owner_lists().build()?;
    match kind {
        "without" | "read-without" | "change-without" => {
            send_all(App::new().configure(routes), kind, requests).await
        }
        "guarded" => {
            let app = App::new().wrap(SessionMiddleware::new(sessions));
            let app = app.wrap(CrossSiteGuard::default());
            send_all(app.configure(routes), kind, requests).await
        }
        _ => {
            let app = App::new().wrap(SessionMiddleware::new(sessions));
            send_all(app.configure(routes), kind, requests).await
        }
    }
}

/// Installs a recorder, before the sessions are built.
#[cfg(feature = "metrics")]
fn count() -> Result<(), Box<dyn Error>> {
    let buckets = session_actix::session_core::METRIC_BUCKETS;
    let builder = metrics_exporter_prometheus::PrometheusBuilder::new();
    builder.set_buckets(&buckets)?.install_recorder()?;
    Ok(())
}

#[cfg(not(feature = "metrics"))]
fn count() -> Result<(), Box<dyn Error>> {
    Err("only the feature metrics counts".into())
}

fn routes(config: &mut ServiceConfig) {
    config.service((fill, untouched, read, change));
    config.service((read_without, change_without));
}

async fn send_all<T, B>(app: App<T>, kind: &str, requests: u64) -> Result<(), Box<dyn Error>>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = init_service(app).await;
    let mut browser = Browser::default();
    if !kind.ends_with("without") {
        let form = TestRequest::post().uri("/fill");
        browser.ask(&app, form, "filled").await?;
    }
    for visit in 1..=requests {
        let (request, expected) = match kind {
            "without" | "untouched" | "guarded" => {
                (TestRequest::get().uri("/untouched"), "ok".to_owned())
            }
            "read" | "encrypted-read" | "flask-read" => {
                (TestRequest::get().uri("/read"), READ.1.to_owned())
            }
            "read-without" => (TestRequest::get().uri("/read-without"), READ.1.to_owned()),
            "change-without" => (TestRequest::post().uri("/change-without"), "1".to_owned()),
            "change" => (TestRequest::post().uri("/change"), visit.to_string()),
            _ => return Err(format!("{kind} is no kind of request").into()),
        };
        browser.ask(&app, request, &expected).await?;
    }
    Ok(())
}

/// Sends back the cookie that it was given last.
struct Browser {
    cookie: String,
}

impl Default for Browser {
    /// One that comes with a cookie as long as a session's, but not one of ours.
    fn default() -> Self {
        let (id, signature) = ("A".repeat(43), "A".repeat(43));
        Self {
            cookie: format!("__Host-session={id}.{signature}"),
        }
    }
}

impl Browser {
    async fn ask(
        &mut self,
        app: &impl Service<
            Request,
            Response = ServiceResponse<impl MessageBody>,
            Error = actix_web::Error,
        >,
        request: TestRequest,
        expected: &str,
    ) -> Result<(), Box<dyn Error>> {
        let request = request.insert_header((COOKIE, self.cookie.as_str()));
        let response = try_call_service(app, request.to_request()).await?;
        if let Some(cookie) = response.headers().get(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next();
            pair.unwrap_or_default().clone_into(&mut self.cookie);
        }
        let status = response.status();
        let body = read_body(response).await;
        if body != expected {
            return Err(format!("{status}, {body:?} in place of {expected:?}").into());
        }
        Ok(())
    }
}
