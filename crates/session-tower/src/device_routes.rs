//! The two routes of Device Bound Session Credentials, for axum. What they answer is decided in
//! `session-core`.

use axum::{Router, body::Body, routing::post};
use http::{HeaderMap, HeaderValue, Response, request::Parts};
use session_core::{
    Result, Sessions,
    adapter::{device_binding, refresh_device, register_device},
    config::ConfigError,
};

use crate::{DefaultSession, Session, SessionExt};

/// The two routes that bind sessions to devices and let browsers prove them, at the paths of the
/// [`DeviceBinding`](session_core::dbsc::DeviceBinding). For `Router::merge`, inside of the
/// [`SessionLayer`](crate::SessionLayer). In a nested router they would be at other paths, where no
/// browser asks for them.
///
/// ```
/// use axum::Router;
/// use session_tower::{
///     SessionLayer, device_routes,
///     session_core::{Sessions, config::ConfigError},
/// };
///
/// fn bound(sessions: Sessions) -> Result<Router, ConfigError> {
///     Ok(Router::new()
///         .merge(device_routes(&sessions)?)
///         .layer(SessionLayer::new(sessions)))
/// }
/// ```
///
/// # Errors
///
/// If the settings have no [`DeviceBinding`](session_core::dbsc::DeviceBinding).
pub fn device_routes<S>(sessions: &Sessions) -> Result<Router<S>, ConfigError>
where
    S: Clone + Send + Sync + 'static,
{
    named_device_routes::<DefaultSession, S>(sessions)
}

/// As [`device_routes`], for the session named `N`.
///
/// # Errors
///
/// As [`device_routes`].
pub fn named_device_routes<N, S>(sessions: &Sessions) -> Result<Router<S>, ConfigError>
where
    N: 'static,
    S: Clone + Send + Sync + 'static,
{
    let binding = device_binding(sessions)?;
    Ok(Router::new()
        .route(binding.registration_path(), post(register::<N>))
        .route(binding.refresh_path(), post(refresh::<N>)))
}

async fn register<N>(session: Session<N>, headers: HeaderMap) -> Result<Response<Body>> {
    let answer = register_device(&session, |name| header(&headers, name)).await?;
    Ok(answer.to_response())
}

async fn refresh<N: 'static>(request: Parts) -> Response<Body> {
    let session = request.named_session::<N>().await;
    let answer = refresh_device(session, |name| header(&request.headers, name)).await;
    answer.to_response()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}
