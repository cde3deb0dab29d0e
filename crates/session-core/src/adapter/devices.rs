//! What the two routes of Device Bound Session Credentials answer, and which requests a guard lets
//! pass. `dbsc/` has the rules.

use std::{ops::Deref, sync::Arc};

use super::Refusal;
use crate::{
    Error, Result, Session, Sessions,
    config::ConfigError,
    dbsc::{DeviceAnswer, DeviceBinding, DevicePolicy, DeviceState},
};

const PROOF: &str = "secure-session-response";
const NAME: &str = "sec-secure-session-id";

const EXPLANATION: &str = "This page is only for a browser that proves on which device it runs, and this request came \
    without the proof. Log out and in again, with a browser that has Device Bound Session Credentials.\n";

/// Shown for a moment. The browser opens the address again as a link of this page, and before that it
/// proves its device.
const AGAIN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta http-equiv=\"refresh\" content=\"0\"><title>One moment</title>\
    <p>Your browser proves on which device it runs. <a href=\"\">Continue</a></html>\n";

/// How `sessions` bind devices, for the routes and the guards that an application adds.
///
/// # Errors
///
/// If the settings have no [`DeviceBinding`].
pub fn device_binding(sessions: &Sessions) -> Result<&DeviceBinding, ConfigError> {
    let binding = sessions.settings().device_binding();
    binding.ok_or_else(|| {
        ConfigError::new(
            "the device binding",
            "must be set for its routes and guards: call Settings::with_device_binding",
        )
    })
}

/// Lets only sessions pass that prove their device, as a [`DevicePolicy`] says.
#[derive(Clone, Debug)]
pub struct DeviceRule {
    policy: DevicePolicy,
    own_routes: [Arc<str>; 2],
}

impl DeviceRule {
    /// The rule with this policy.
    ///
    /// # Errors
    ///
    /// As [`device_binding`].
    pub fn new(sessions: &Sessions, policy: DevicePolicy) -> Result<Self, ConfigError> {
        let binding = device_binding(sessions)?;
        let own_routes = [binding.registration_path(), binding.refresh_path()];
        Ok(Self {
            policy,
            own_routes: own_routes.map(Arc::from),
        })
    }

    /// Whether this rule is about requests to `path`. It is not about the two routes of the binding:
    /// a browser without proof gets its proof there.
    pub fn is_about(&self, path: &str) -> bool {
        self.own_routes.iter().all(|it| **it != *path)
    }

    /// Whether a request with this `session` and `method` may pass.
    ///
    /// # Errors
    ///
    /// With what the request gets instead: 403 with an explanation, or 503 if another request has
    /// just renewed the session. If a link from elsewhere led to the page: 200 with a page that
    /// opens the address again, which the browser proves its device for.
    pub fn admit(&self, session: &Session, method: &str) -> Result<(), Refusal> {
        if session.device_state() == DeviceState::Proved {
            return Ok(());
        }
        if method == "GET" && session.can_prove_now(self.policy) {
            session.report_skipped_device(&["other_site"]);
            return Err(Refusal::OpenAgain(AGAIN));
        }
        session
            .require_device(self.policy)
            .map_err(|error| match error {
                Error::DeviceNeeded => Refusal::Explanation(EXPLANATION),
                error => Refusal::Error(error),
            })
    }
}

/// Answers a request to the [path of registration](DeviceBinding::registration_path). `header` has
/// the value of a request header.
///
/// # Errors
///
/// As [`Session::register_device`].
pub async fn register_device<'r>(
    session: &Session,
    header: impl Fn(&'static str) -> Option<&'r [u8]>,
) -> Result<DeviceAnswer> {
    session.register_device(header(PROOF)).await
}

/// Answers a request to the [path of refreshes](DeviceBinding::refresh_path), whose session is
/// `opened`. `header` has the value of a request header.
///
/// Any error is logged, and its answer is a 503: with another one the browser gives up the binding.
pub async fn refresh_device<'r, S>(
    opened: Result<S>,
    header: impl Fn(&'static str) -> Option<&'r [u8]>,
) -> DeviceAnswer
where
    S: Deref<Target = Session>,
{
    let answered = match opened {
        Ok(session) => session.refresh_device(header(NAME), header(PROOF)).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error: Error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a device could not prove itself"
        );
        DeviceAnswer::unavailable()
    })
}
