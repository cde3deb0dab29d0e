//! The two routes of Device Bound Session Credentials. What they answer is decided in
//! `session-core`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, ServiceConfig},
};
use session_core::{
    Error, Sessions,
    adapter::{device_binding, refresh_device, register_device},
    config::ConfigError,
};

use crate::{DefaultSession, Session, SessionExt, request::header};

/// The two routes that bind sessions to devices and let browsers prove them, at the paths of the
/// [`DeviceBinding`](session_core::dbsc::DeviceBinding). For `App::configure`, inside of the
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
/// If the settings have no [`DeviceBinding`](session_core::dbsc::DeviceBinding).
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
    let binding = device_binding(sessions)?;
    let registration = binding.registration_path().to_owned();
    let refreshes = binding.refresh_path().to_owned();
    Ok(move |config: &mut ServiceConfig| {
        config
            .route(&registration, web::post().to(register::<N>))
            .route(&refreshes, web::post().to(refresh::<N>));
    })
}

async fn register<N>(session: Session<N>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let answer = register_device(&session, |name| header(&request, name)).await?;
    Ok(answer.actix_response())
}

async fn refresh<N: 'static>(request: HttpRequest) -> HttpResponse {
    let session = request.named_session::<N>().await;
    let answer = refresh_device(session, |name| header(&request, name)).await;
    answer.actix_response()
}
