//! What the store notes about Flask's cookies: that one has started a session, and when a user
//! logged out. Flask's cookies cannot be ended, so the notes say which count no more.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::try_join;

use super::cookie::{CLOCK_TOLERANCE, SignedCookie};
use crate::{
    codec,
    config::Settings,
    error::{Error, Result},
    expiry::Millis,
    key::{CookieDigest, StoreKey},
    measure::{Operation, timed},
    record::{Record, Write},
    shared::Shared,
};

/// A log-out that is to be noted: of whom, and of the cookie that started the session.
pub(crate) type LogOut = (Option<Arc<str>>, Option<CookieDigest>);

/// Notes a log-out, if the settings start sessions from Flask's cookies.
///
/// # Errors
///
/// If the store fails.
pub(crate) async fn note_log_out(shared: &Shared, (owner, cookie): LogOut) -> Result<()> {
    let of_owner = async {
        match &owner {
            Some(owner) => note_log_out_of(shared, owner).await,
            None => Ok(()),
        }
    };
    let of_cookie = async {
        match cookie {
            Some(cookie) => note(shared, &cookie_key(shared, &cookie), |_| true).await,
            None => Ok(()),
        }
    };
    try_join(of_owner, of_cookie).await.map(drop)
}

/// The same, of a user.
///
/// # Errors
///
/// If the store fails.
pub(crate) async fn note_log_out_of(shared: &Shared, owner: &str) -> Result<()> {
    let now = shared.now();
    note(shared, &owner_key(shared, owner), |noted| noted >= now).await
}

/// Notes that the cookie counts no more.
pub(super) async fn note_cookie(shared: &Shared, cookie: &SignedCookie) -> Result<()> {
    note(shared, &cookie_key(shared, &cookie.name()), |_| true).await
}

/// Whether a note says that the cookie starts no session: it has started one, or was signed before a
/// log-out of its user.
pub(super) async fn counts_no_more(shared: &Shared, cookie: &SignedCookie) -> Result<bool> {
    let of_cookie = noted(shared, cookie_key(shared, &cookie.name()));
    let of_owner = is_before_log_out(shared, cookie);
    let (of_cookie, is_before_log_out) = try_join(of_cookie, of_owner).await?;
    Ok(of_cookie.is_some() || is_before_log_out)
}

/// Whether the cookie was signed before a log-out of its user.
pub(super) async fn is_before_log_out(shared: &Shared, cookie: &SignedCookie) -> Result<bool> {
    let Some(owner) = &cookie.user else {
        return Ok(false);
    };
    let noted = noted(shared, owner_key(shared, owner)).await?;
    Ok(noted.is_some_and(|at| cookie.signed_at <= at.seconds().saturating_add(CLOCK_TOLERANCE)))
}

fn owner_key(shared: &Shared, owner: &str) -> StoreKey {
    let prefix = &shared.rules.settings.prefix;
    prefix.note_key("flask log-out", owner.as_bytes())
}

fn cookie_key(shared: &Shared, cookie: &[u8]) -> StoreKey {
    // Each cookie of ours has sessions of its own.
    let settings = &shared.rules.settings;
    let name = [settings.cookie.name.as_bytes(), &[0], cookie].concat();
    settings.prefix.note_key("flask cookie", &name)
}

/// When what the note says happened. What cannot be read counts as now: no log-out is forgotten.
async fn noted(shared: &Shared, key: StoreKey) -> Result<Option<Millis>> {
    let load = timed(&shared.metrics, Operation::Load, shared.store.load(&key));
    let Some(found) = load.await? else {
        return Ok(None);
    };
    match codec::read_note(&key, &found.bytes) {
        Ok((at, _)) => Ok(Some(at)),
        Err(error) if error.others_can_read() => Err(error),
        Err(error) => {
            shared.rules.events.record_unreadable(&error);
            Ok(Some(shared.now()))
        }
    }
}

/// Notes that it happens now, unless there is a note whose time `is_enough`. A note lives as long as
/// Flask may accept a cookie that was signed by now.
async fn note(shared: &Shared, key: &StoreKey, is_enough: impl Fn(Millis) -> bool) -> Result<()> {
    let Some(flask) = &shared.rules.settings.flask.cookie else {
        return Ok(());
    };
    let at = shared.now();
    let tolerance = Duration::from_secs(2 * CLOCK_TOLERANCE);
    // A shorter lifetime may become a longer one.
    let lifetime = flask.lifetime.max(Settings::DEFAULT_IDLE_TIMEOUT);
    let until = at.after(lifetime).after(tolerance);
    loop {
        let found = timed(&shared.metrics, Operation::Load, shared.store.load(key)).await?;
        let read = found.as_ref().map(|it| codec::read_note(key, &it.bytes));
        let until = match read {
            Some(Ok((noted, _))) if is_enough(noted) => return Ok(()),
            Some(Ok((_, noted))) => until.max(noted),
            Some(Err(error)) if error.others_can_read() => return Err(error),
            Some(Err(_)) | None => until,
        };
        let mut write_tag = [0; 8];
        getrandom::fill(&mut write_tag).map_err(|error| Error::backend("random", error))?;
        let record = Record {
            bytes: codec::note(key, at, until, write_tag),
            expires_at: until.into(),
            entry: None,
        };
        let written = match &found {
            None => {
                timed(
                    &shared.metrics,
                    Operation::Insert,
                    shared.store.insert(key, &record),
                )
                .await?
            }
            Some(found) => {
                let update = shared.store.update(key, &record, &found.revision);
                timed(&shared.metrics, Operation::Update, update).await?
            }
        };
        if matches!(written, Write::Stored(_)) {
            return Ok(());
        }
    }
}

/// Notes the log-outs of listed sessions, each user's once.
#[derive(Debug, Default)]
pub(crate) struct ListedLogOuts(HashSet<Box<str>>);

impl ListedLogOuts {
    /// For sessions of `owner`, whose log-out has been noted.
    pub(crate) fn of(owner: &str) -> Self {
        Self(HashSet::from([owner.into()]))
    }

    /// Notes the log-out of a session of `owner` that was started from `cookie`.
    ///
    /// # Errors
    ///
    /// If the store fails. Then it must not be used any more.
    pub(crate) async fn note(
        &mut self,
        shared: &Shared,
        owner: Option<&str>,
        cookie: Option<CookieDigest>,
    ) -> Result<()> {
        let owner = owner.filter(|owner| self.0.insert((*owner).into()));
        note_log_out(shared, (owner.map(Arc::from), cookie)).await
    }
}
