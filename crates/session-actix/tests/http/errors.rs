//! Errors in the application and its other middleware: each stays unchanged, and no message is
//! sent.

use std::{cell::RefCell, error::Error as StdError, fmt, rc::Rc, time::Duration};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    cookie::Cookie,
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::{Logger, Next, from_fn},
    web,
};
use futures_util::future::LocalBoxFuture;
use session_actix::{
    Session, SessionError, SessionExt, SessionMiddleware,
    session_core::{self, CookieAttributes, Sessions},
};

use crate::{
    framework::Running,
    suite::{
        Admin,
        browser::{Browser, act, sessions, settings},
        observed_store::ObservedStore,
    },
};

#[derive(Debug)]
struct Teapot;

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no coffee")
    }
}

impl ResponseError for Teapot {
    fn status_code(&self) -> StatusCode {
        StatusCode::IM_A_TEAPOT
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code())
            .cookie(Cookie::new("pot", "tea"))
            .insert_header(("Cache-Control", "public"))
            .body("no coffee")
    }
}

/// An inner middleware that uses the session and then fails.
async fn refuse(
    request: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse, Error> {
    let session = request.session().await?;
    session.insert("kept", &1)?;
    Err(Teapot.into())
}

/// The errors that an outer middleware observed.
type Observed = Rc<RefCell<Vec<&'static str>>>;

fn kind(error: &Error) -> &'static str {
    if error.as_error::<Teapot>().is_some() {
        "teapot"
    } else if error.as_error::<SessionError>().is_some() {
        "session"
    } else if error.as_error::<Box<dyn StdError>>().is_some() {
        "boxed"
    } else {
        "other"
    }
}

type Watched<B> = LocalBoxFuture<'static, Result<ServiceResponse<B>, Error>>;

fn watch<B: MessageBody + 'static>(
    observed: Observed,
) -> impl Fn(ServiceRequest, Next<B>) -> Watched<B> + Clone {
    move |request, next| {
        let observed = observed.clone();
        Box::pin(async move {
            let response = next.call(request).await;
            observed.borrow_mut().extend(match &response {
                Ok(response) => response.response().error().map(kind),
                Err(error) => Some(kind(error)),
            });
            response
        })
    }
}

fn admin(store: &ObservedStore) -> Sessions {
    sessions(
        settings().with_cookie(CookieAttributes {
            name: "__Host-admin".into(),
            ..CookieAttributes::default()
        }),
        store,
    )
}

type Boxed = Result<HttpResponse, Box<dyn StdError>>;

async fn everywhere(session: Session) -> Boxed {
    session.log_out_everywhere(false).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn undecodable_value(session: Session) -> Boxed {
    session.insert("a", "text")?;
    session.get::<i64>("a")?;
    Ok(HttpResponse::Ok().finish())
}

async fn open_session(request: HttpRequest) -> Boxed {
    request.session().await?;
    Ok(HttpResponse::Ok().finish())
}

/// Through a function that returns Actix's own error.
async fn opened_in_a_function(request: HttpRequest) -> Boxed {
    async fn open(request: &HttpRequest) -> Result<Session, Error> {
        Ok(request.session().await?)
    }
    open(&request).await?;
    Ok(HttpResponse::Ok().finish())
}

#[derive(Debug)]
struct CartError(session_core::Error);

impl fmt::Display for CartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cart of secret: {}", self.0)
    }
}

impl StdError for CartError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

async fn as_a_cause(session: Session) -> Boxed {
    session.insert("a", "text")?;
    session.get::<i64>("a").map_err(CartError)?;
    Ok(HttpResponse::Ok().finish())
}

async fn reserved(session: Session) -> Boxed {
    session.insert("__session", &1)?;
    Ok(HttpResponse::Ok().finish())
}

async fn something_else(session: Session) -> Boxed {
    session.insert("a", &1)?;
    Err("out of tea".into())
}

/// A middleware that fails with a boxed error.
async fn refuse_boxed(
    request: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse, Error> {
    let session = request.session().await?;
    session.insert("kept", &1)?;
    let failed = session.log_out_everywhere(false).await;
    Err(Box::<dyn StdError>::from(failed.unwrap_err()).into())
}

/// The store fails after the handler changed the session.
async fn change_and_break(
    session: Session,
    store: web::Data<ObservedStore>,
) -> Result<&'static str, SessionError> {
    session.insert("a", &1)?;
    store.set_down(true);
    Ok("poured")
}

/// As `refuse`, but the store fails before the session is saved.
async fn refuse_and_break(
    request: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse, Error> {
    let session = request.session().await?;
    session.insert("kept", &1)?;
    request
        .app_data::<web::Data<ObservedStore>>()
        .unwrap()
        .set_down(true);
    Err(Teapot.into())
}

async fn application(sessions: Sessions, store: &ObservedStore, observed: &Observed) -> Browser {
    let store = store.clone();
    let service = Running::of(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .wrap(SessionMiddleware::<Admin>::named(admin(&store)))
            .wrap(Logger::default())
            .wrap(from_fn(watch(observed.clone())))
            .app_data(web::Data::new(store))
            .service(
                web::resource("/refuse")
                    .wrap(from_fn(refuse))
                    .to(HttpResponse::Ok),
            )
            .service(
                web::resource("/refuse-boxed")
                    .wrap(from_fn(refuse_boxed))
                    .to(HttpResponse::Ok),
            )
            .service(
                web::resource("/refuse-and-break")
                    .wrap(from_fn(refuse_and_break))
                    .to(HttpResponse::Ok),
            )
            .service(
                web::resource("/refuse-both")
                    .wrap(from_fn(refuse))
                    .wrap(from_fn(async |request: ServiceRequest, next: Next<_>| {
                        let admin = request.named_session::<Admin>().await?;
                        admin.log_in("root")?;
                        next.call(request).await
                    }))
                    .to(HttpResponse::Ok),
            )
            .route("/change-and-break", web::get().to(change_and_break))
            .route("/boxed/everywhere", web::get().to(everywhere))
            .route("/boxed/value", web::get().to(undecodable_value))
            .route("/boxed/opened", web::get().to(open_session))
            .route(
                "/boxed/opened-in-a-function",
                web::get().to(opened_in_a_function),
            )
            .route("/boxed/cause", web::get().to(as_a_cause))
            .route("/boxed/reserved", web::get().to(reserved))
            .route("/boxed/else", web::get().to(something_else))
            .route("/{act:.*}", web::get().to(act)),
    )
    .await;
    Browser::at_service(service)
}

#[test]
fn each_error_has_its_status() {
    use session_core::Error as Session;
    let cause = || "a secret".into();
    for (error, status) in [
        (Session::backend("redis", "down"), 503),
        (Session::corrupt("torn"), 503),
        (
            Session::Timeout {
                budget: Duration::from_secs(1),
            },
            503,
        ),
        (Session::LaterVersion, 503),
        (Session::Unknown, 503),
        (Session::Missing, 503),
        (Session::Expired, 503),
        (Session::NotLoaded, 503),
        (Session::Contended, 503),
        (Session::TooLarge { size: 2, limit: 1 }, 413),
        (Session::Conflict, 409),
        (Session::ReservedKey, 400),
        (Session::OwnerTooLong { limit: 512 }, 400),
        (Session::NoOwnerIndex, 500),
        (Session::HeadSent, 500),
        (Session::Reentrant, 500),
        (Session::Encode { source: cause() }, 500),
        (Session::Decode { source: cause() }, 500),
    ] {
        assert_eq!(error.status_code().as_u16(), status, "{error}");
    }
}

#[tokio::test]
async fn an_error_of_inner_middleware_is_unchanged_and_carries_the_sessions_headers() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let mut browser = application(sessions(settings(), &store), &store, &observed).await;
    let response = browser.get("/refuse").await;
    assert_eq!(observed.take(), ["teapot"]);
    assert_eq!(
        (response.status.as_u16(), &*response.body),
        (418, "no coffee")
    );
    assert_eq!(response.set_cookies().len(), 2, "its own and the session's");
    assert_eq!(response.header("vary"), Some("Cookie"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/get/kept").await.body, "1");
}

#[tokio::test]
async fn an_error_carries_the_headers_of_all_sessions_around_it() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let mut browser = application(sessions(settings(), &store), &store, &observed).await;
    let response = browser.get("/refuse-both").await;
    assert_eq!(observed.take(), ["teapot"]);
    let names: Vec<_> = response
        .set_cookies()
        .iter()
        .map(|it| it.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["pot", "__Host-session", "__Host-admin"]);
    assert_eq!(response.header("vary"), Some("Cookie"));
}

#[tokio::test]
async fn a_failed_save_is_a_response_with_its_error() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let mut browser = application(sessions(settings(), &store), &store, &observed).await;
    let response = browser.get("/change-and-break").await;
    assert_eq!(observed.take(), ["session"]);
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(response.body, "Service Unavailable");
    assert_eq!(response.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_failed_save_replaces_an_inner_error_and_keeps_its_cookies() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let mut browser = application(sessions(settings(), &store), &store, &observed).await;
    let response = browser.get("/refuse-and-break").await;
    assert_eq!(observed.take(), ["session"]);
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(response.body, "Service Unavailable");
    assert_eq!(response.set_cookies(), ["pot=tea"]);
    assert_eq!(response.header("vary"), Some("Cookie"));
}

#[tokio::test]
async fn a_boxed_error_of_the_session_has_its_status_and_shows_nothing() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let unlisted = Sessions::builder(settings(), std::sync::Arc::new(store.clone()));
    let unlisted = unlisted.without_owner_lists().build().unwrap();
    let mut browser = application(unlisted, &store, &observed).await;
    for (path, status, body) in [
        ("/boxed/everywhere", 500, "Internal Server Error"),
        ("/refuse-boxed", 500, "Internal Server Error"),
        ("/boxed/value", 500, "Internal Server Error"),
        ("/boxed/cause", 500, "Internal Server Error"),
        ("/boxed/reserved", 400, "Bad Request"),
    ] {
        let response = browser.get(path).await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (status, body),
            "{path}"
        );
        assert_eq!(
            observed.take(),
            ["boxed"],
            "{path}: a logger still finds the cause"
        );
        assert_eq!(response.header("vary"), Some("Cookie"), "{path}");
        let content = response.header("content-type").unwrap_or("text/plain");
        assert!(content.starts_with("text/plain"), "{path}: {content}");
    }
    assert_eq!(
        browser.get("/get/kept").await.body,
        "1",
        "the change is saved"
    );

    store.set_down(true);
    for path in ["/boxed/opened", "/boxed/opened-in-a-function"] {
        let response = browser.get(path).await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (503, "Service Unavailable"),
            "{path}"
        );
        assert_eq!(response.header("retry-after"), Some("1"), "{path}");
    }
}

#[tokio::test]
async fn a_boxed_error_of_the_application_is_unchanged() {
    let (store, observed) = (ObservedStore::default(), Observed::default());
    let mut browser = application(sessions(settings(), &store), &store, &observed).await;
    let response = browser.get("/boxed/else").await;
    assert_eq!(
        (response.status.as_u16(), &*response.body),
        (500, "out of tea")
    );
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(browser.get("/get/a").await.body, "1");
}
