//! Starts a session from a cookie of Flask's.
//!
//! **The cookies of one user** may come with several requests at once. All of them get the id that
//! the cookie makes, and only one of them can insert its record. The record is stored first, and
//! then the note that the cookie has started a session; the response with the id follows both. So
//! whoever has seen the session has its note. If a process stops between the two, the next request
//! finds the record, and notes.
//!
//! **A log-out** notes first, and then ends the sessions that it finds. The start of a session
//! stores first, and then looks for the note again. So one of the two sees the other.

use std::{pin::Pin, sync::Arc};

use tokio::time::{Instant, timeout_at};

use super::{
    cookie::{PresentedCookies, SignedCookie},
    log_outs::{counts_no_more, is_before_log_out, note_cookie},
};
use crate::{
    content::RESERVED,
    driver::{Aim, Drive, Request, after},
    error::{Error, Result},
    id::SessionId,
    key::StoreKey,
    machine::{EndCondition, Goal, Machine},
    op::Op,
    owned::end_record,
    payload::Value,
    rules::{Form, LoadedRecord, Presented},
    security_events,
    shared::Shared,
};

/// The start of a session, under way.
pub(crate) type Import = Pin<Box<dyn Future<Output = Result<Imported>> + Send>>;

/// What came of the cookies of a request.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The session that one of them has started.
    pub(crate) presented: Option<Presented>,
    /// Whether Flask would accept one of them.
    pub(crate) is_accepted: bool,
}

/// Starts a session from the first of `cookies` that may start one. Takes the request's store time.
pub(crate) fn import(request: Arc<Request>, cookies: PresentedCookies) -> Import {
    Box::pin(async move {
        let shared = request.shared().clone();
        let left = request.lock()?.time_left();
        let start = Instant::now();
        let imported = timeout_at(after(start, left), import_first(&shared, cookies)).await;
        request.lock()?.spend(start.elapsed());
        let budget = shared.rules.settings.store_timeout;
        imported.unwrap_or(Err(Error::Timeout { budget }))
    })
}

async fn import_first(shared: &Arc<Shared>, cookies: PresentedCookies) -> Result<Imported> {
    let mut imported = Imported::default();
    let Some(flask) = &shared.rules.settings.flask.cookie else {
        return Ok(imported);
    };
    for cookie in cookies.accepted(flask, shared.now()) {
        imported.is_accepted = true;
        imported.presented = session_of(shared, &cookie).await?;
        if imported.presented.is_some() {
            break;
        }
    }
    Ok(imported)
}

/// The session that the cookie has started, or starts now. `None` if it may not start one.
async fn session_of(shared: &Arc<Shared>, cookie: &SignedCookie) -> Result<Option<Presented>> {
    let rules = &shared.rules;
    let id = cookie.session_id(rules.settings.id_bytes);
    let key = rules.key_of(Form::Native, &id);
    let presented = || Presented {
        id: id.clone(),
        key: key.clone(),
        form: Form::Native,
        outdated: false,
        unsent: true,
    };
    loop {
        // Before the record: a session that another request starts after this is found below.
        let counts_no_more = counts_no_more(shared, cookie).await?;
        if cookie.user.is_some() {
            match rules.read(&key, Form::Native, shared.store.load(&key).await?) {
                LoadedRecord::Live(live) if rules.is_expired(&live, shared.now()) => {
                    return Ok(None);
                }
                LoadedRecord::Live(_) => {
                    note_cookie(shared, cookie).await?;
                    return Ok(Some(presented()));
                }
                // The id may have been rotated a moment ago.
                LoadedRecord::Forwarded(_) => return Ok(Some(presented())),
                LoadedRecord::Ended(_) => return Ok(None),
                LoadedRecord::Unreadable(error) => return Err(error),
                LoadedRecord::Absent => {}
            }
        }
        if counts_no_more {
            return Ok(None);
        }
        match insert(shared, cookie, id.clone()).await {
            Ok(()) => {}
            // Another request with the cookie was faster.
            Err(Error::Conflict) if cookie.user.is_some() => continue,
            Err(error) if error.changed_nothing() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session cookie of Flask's starts no session"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        if cookie.user.is_none() {
            return Ok(Some(presented()));
        }
        note_cookie(shared, cookie).await?;
        if is_before_log_out(shared, cookie).await? {
            end(shared, key.clone()).await?;
            return Ok(None);
        }
        return Ok(Some(presented()));
    }
}

/// Inserts the record of a new session with what the cookie holds.
///
/// # Errors
///
/// [`Error::Conflict`] if there is a record of the id.
async fn insert(shared: &Arc<Shared>, cookie: &SignedCookie, id: SessionId) -> Result<()> {
    let format = shared.rules.settings.format;
    let mut values: Vec<(&str, Value)> = Vec::with_capacity(cookie.values.len());
    let of_flask = cookie.values.iter().filter(|(key, _)| key != RESERVED);
    for (key, value) in of_flask {
        values.push((key, value.to_value(format)?));
    }
    let mut ops: Vec<Op> = values
        .into_iter()
        .map(|(key, value)| Op::Insert(key.into(), value))
        .collect();
    let user = cookie.user.as_deref().map(Into::into);
    ops.push(Op::StartedByFlask(user, cookie.digest()));
    let now = shared.now();
    let mut machine = Machine::blank();
    machine.given_id = Some(id);
    for op in ops {
        machine.change(op, &shared.rules, now)?;
    }
    let left = shared.rules.settings.store_timeout;
    let request = Arc::new(Request::new(shared.clone(), machine, left));
    let _stored = Drive::new(request.clone(), Aim::Reach(Goal::Save)).await?;
    if cookie.user.is_some() {
        let lineage = request.lock()?.live().and_then(|it| it.content.lineage);
        security_events::login_from_flask(lineage);
    }
    Ok(())
}

async fn end(shared: &Arc<Shared>, key: StoreKey) -> Result<()> {
    let left = shared.rules.settings.store_timeout;
    match end_record(shared, key, EndCondition::default(), left).await {
        // A log-out everywhere has found it first.
        Ok(_) | Err(Error::Missing) => Ok(()),
        Err(error) => Err(error),
    }
}
