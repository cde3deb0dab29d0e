//! The two routes of Device Bound Session Credentials. What they answer is decided in
//! `session-core`.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, ContentType, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE},
    },
    web::{self, ServiceConfig},
};
use session_core::{
    Error, Sessions,
    config::ConfigError,
    dbsc::{DeviceAnswer, DeviceBinding},
};

use crate::{DefaultSession, Session};

const RESPONSE: HeaderName = HeaderName::from_static("secure-session-response");
const ID: HeaderName = HeaderName::from_static("sec-secure-session-id");
const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");

/// How an application without a [`DeviceBinding`] is told so.
pub(crate) fn binding_of(sessions: &Sessions) -> Result<&DeviceBinding, ConfigError> {
    let binding = sessions.settings().device_binding();
    binding.ok_or_else(|| {
        ConfigError::new(
            "the device binding",
            "must be set for its routes and guards: call Settings::with_device_binding",
        )
    })
}

/// The two routes that bind sessions to devices and let browsers prove them, at the paths of the
/// [`DeviceBinding`]. For `App::configure`, inside of the
/// [`SessionMiddleware`](crate::SessionMiddleware).
///
/// ```
/// use actix_web::App;
/// use session_actix::{
///     SessionMiddleware, device_routes,
///     session_core::{Sessions, config::ConfigError},
/// };
///
/// fn bound(sessions: Sessions) -> Result<(), ConfigError> {
///     let routes = device_routes(&sessions)?;
///     App::new()
///         .configure(routes)
///         .wrap(SessionMiddleware::new(sessions));
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// If the settings have no [`DeviceBinding`].
pub fn device_routes(
    sessions: &Sessions,
) -> Result<impl Fn(&mut ServiceConfig) + Clone + use<>, ConfigError> {
    named_device_routes::<DefaultSession>(sessions)
}

/// As [`device_routes`], for the session named `N`.
///
/// # Errors
///
/// As [`device_routes`].
pub fn named_device_routes<N: 'static>(
    sessions: &Sessions,
) -> Result<impl Fn(&mut ServiceConfig) + Clone + use<N>, ConfigError> {
    let binding = binding_of(sessions)?;
    let registration = binding.registration_path().to_owned();
    let refresh = binding.refresh_path().to_owned();
    Ok(move |config: &mut ServiceConfig| {
        config
            .route(&registration, web::post().to(register::<N>))
            .route(&refresh, web::post().to(prove::<N>));
    })
}

async fn register<N>(session: Session<N>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let answer = session.register_device(header(&request, &RESPONSE)).await?;
    Ok(response(answer))
}

async fn prove<N>(session: Session<N>, request: HttpRequest) -> HttpResponse {
    let (id, proof) = (header(&request, &ID), header(&request, &RESPONSE));
    match session.refresh_device(id, proof).await {
        Ok(answer) => response(answer),
        Err(error) if error.status() == 503 => error.error_response(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a device could not prove itself"
            );
            // With any other status the browser would give up the binding.
            unavailable().finish()
        }
    }
}

fn header<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r [u8]> {
    request.headers().get(name).map(HeaderValue::as_bytes)
}

fn unavailable() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::ServiceUnavailable();
    response.insert_header((RETRY_AFTER, "1"));
    response
}

fn response(answer: DeviceAnswer) -> HttpResponse {
    let mut response = match StatusCode::from_u16(answer.status) {
        Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => unavailable(),
        Ok(status) => HttpResponse::build(status),
    };
    response.insert_header((CACHE_CONTROL, "no-store"));
    if let Some(challenge) = answer.challenge {
        response.insert_header((CHALLENGE, challenge));
    }
    if let Some(cookie) = answer.set_cookie {
        response.append_header((SET_COOKIE, cookie));
    }
    match answer.body {
        Some(json) => response.content_type(ContentType::json()).body(json),
        None => response.finish(),
    }
}
