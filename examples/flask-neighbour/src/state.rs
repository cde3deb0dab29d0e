//! The session as an answer shows it: its values, whether it is permanent, whether it is stored.

use actix_server_sessions::{Session, session_core::Result};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde_json::{Map, Value};

use crate::{error::ApiError, tagged::tagged};

/// The whole session as an answer shows it; [`crate::sid`] adds the id.
pub(crate) struct State {
    pub(crate) session: Map<String, Value>,
    pub(crate) permanent: bool,
    /// Whether the id that the request came with is the session's.
    pub(crate) stored: bool,
}

impl State {
    pub(crate) fn of(session: &Session) -> std::result::Result<Self, ApiError> {
        let pairs = session.keys().into_iter().filter_map(|key| {
            let value = session.value(&key)?;
            Some(value.to_dynamic().map(|value| (key, tagged(&value))))
        });
        Ok(Self {
            session: pairs.collect::<Result<_>>()?,
            permanent: session.is_permanent(),
            stored: !session.is_new(),
        })
    }
}

impl From<State> for HttpResponse {
    fn from(state: State) -> Self {
        let mut response = HttpResponse::Ok().content_type("application/json").finish();
        response.extensions_mut().insert(state);
        response
    }
}

impl Responder for State {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.into()
    }
}
