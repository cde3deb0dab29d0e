//! Everything that is different in Flask-Session's form. Only `rules.rs` asks for it: the rest of this crate asks
//! [`Form`] and [`Rules`].

mod cookie;
mod login;
mod record;
mod settings;

pub(crate) use self::{
    cookie::{Signer, cookie_lifetime, id_in, removal, signer},
    record::{decode, live, nil},
    settings::FlaskSettings,
};
pub use self::{login::flask_login_id, settings::FlaskSessions};

use crate::{
    config::Settings,
    content::{Content, PERMANENT},
    payload::Value,
    rules::{Form, Live, Rules},
};

/// What a new session starts from: a permanent one says so from the start.
pub(crate) fn blank(settings: &Settings) -> Content {
    let mut content = Content::default();
    if settings.permanent {
        let yes = Value::encode(&true, settings.format).expect("a truth value can be encoded");
        content.payload.insert_value(PERMANENT, yes);
    }
    content
}

/// When the cookie ends is noted nowhere: each answer carries it, as Flask's own do.
pub(crate) fn each_use_counts(rules: &Rules, live: &Live) -> bool {
    rules.settings.form == Form::Flask || rules.permanent(Form::Flask, &live.content)
}

/// Flask sends a cookie that has an end of its own.
pub(crate) fn refresh_sends_cookie(rules: &Rules, live: &Live) -> bool {
    live.outdated || rules.permanent(Form::Flask, &live.content)
}
