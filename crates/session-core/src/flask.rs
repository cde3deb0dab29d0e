//! Everything that is different in Flask-Session's form. Only `rules.rs` calls it; the rest of this
//! crate asks [`Form`] and [`Rules`].

#[cfg(feature = "flask-cookie")]
mod built_in;
mod cookie;
mod login;
mod record;
mod settings;

#[cfg(feature = "flask-cookie")]
pub use self::built_in::FlaskCookie;
#[cfg(feature = "flask-cookie")]
pub(crate) use self::built_in::{
    Import, ListedLogOuts, LogOut, PresentedCookies, import, note_log_out, note_log_out_of,
};
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

/// The content of a new session. A permanent session has the mark from the start.
pub(crate) fn blank(settings: &Settings) -> Content {
    let mut content = Content::default();
    if settings.permanent {
        let yes = Value::encode(&true, settings.format).expect("a truth value can be encoded");
        content.payload.insert_value(PERMANENT, yes);
    }
    content
}

/// Whether each use is written. The end of a cookie is not stored in Flask's form, so each response
/// carries the cookie, as in Flask.
pub(crate) fn each_use_counts(rules: &Rules, live: &Live) -> bool {
    rules.settings.form == Form::Flask || rules.permanent(Form::Flask, &live.content)
}

/// With each refresh Flask sends the cookie of a permanent session.
pub(crate) fn refresh_sends_cookie(rules: &Rules, live: &Live) -> bool {
    live.outdated || rules.permanent(Form::Flask, &live.content)
}
