//! Starts a session from a cookie of Flask's.
//!
//! **The cookies of one user** may come with several requests at once. All of them get the id that
//! the cookie makes, and only one of them can insert its record. The record is stored first, and
//! then the note that the cookie has started a session; the response with the id follows both. So
//! whoever has seen the session has its note. If a process stops between the two, the next request
//! finds the record, and notes.
//!
//! **The number of a user's sessions** may be limited. A start that was stored and not admitted yet
//! is found by other requests with the cookie, and any of them admits it. If it is refused, or its
//! request failed, what is left of it has no note, and the next request begins anew.
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
    content::{PERMANENT, RESERVED},
    driver::{Aim, Drive, Request, after},
    error::{Error, Result},
    id::SessionId,
    key::StoreKey,
    machine::{EndCondition, Goal, Login, Machine},
    measure::{Operation, timed},
    op::Op,
    owned::{Owned, end_record},
    payload::Value,
    record::Revision,
    rules::{Form, Live, LoadedRecord, Presented},
    security_events,
    shared::Shared,
};

/// How often the start is tried. Another try follows only if another request was faster, or had
/// failed.
const ATTEMPTS: usize = 8;

/// The start of a session, under way.
pub(crate) type Import = Pin<Box<dyn Future<Output = Result<Option<Presented>>> + Send>>;

/// Starts a session from the first of `cookies` that may start one. Takes the request's store time.
pub(crate) fn import(request: Arc<Request>, cookies: PresentedCookies) -> Import {
    Box::pin(async move {
        let shared = request.shared().clone();
        let left = request.lock()?.time_left();
        let start = Instant::now();
        let imported = timeout_at(after(start, left), import_first(&request, cookies)).await;
        request.lock()?.spend(start.elapsed());
        let budget = shared.rules.settings.store_timeout;
        imported.unwrap_or(Err(Error::Timeout { budget }))
    })
}

async fn import_first(request: &Request, cookies: PresentedCookies) -> Result<Option<Presented>> {
    let shared = request.shared();
    let Some(flask) = &shared.rules.settings.flask.cookie else {
        return Ok(None);
    };
    for cookie in cookies.accepted(flask, shared.now()) {
        let presented = session_of(request, &cookie).await?;
        if presented.is_some() {
            return Ok(presented);
        }
    }
    Ok(None)
}

/// The session that the cookie has started, or starts now. `None` if it may not start one.
async fn session_of(request: &Request, cookie: &SignedCookie) -> Result<Option<Presented>> {
    let shared = request.shared();
    let rules = &shared.rules;
    let id = cookie.session_id(&rules.settings);
    let key = rules.key_of(Form::Native, &id);
    let presented = Presented {
        id: id.clone(),
        key: key.clone(),
        form: Form::Native,
        outdated: false,
        unsent: true,
    };
    for _ in 0..ATTEMPTS {
        // Before the record: a session that another request starts after this is found below.
        let had_its_session = counts_no_more(shared, cookie).await?;
        let mut failed_start = None;
        if cookie.user.is_some() {
            let loaded = timed(&shared.metrics, Operation::Load, shared.store.load(&key)).await?;
            let revision = loaded.as_ref().map(|it| it.revision.clone());
            match rules.read(&key, Form::Native, loaded) {
                LoadedRecord::Live(live) if rules.is_expired(&live, shared.now()) => {
                    return Ok(None);
                }
                LoadedRecord::Live(live) if live.times.provisional => {
                    admit(shared, &live, &presented).await?;
                    continue;
                }
                LoadedRecord::Live(_) => {
                    note_cookie(shared, cookie).await?;
                    return Ok(Some(presented));
                }
                // The id may have been rotated a moment ago.
                LoadedRecord::Forwarded(_) => return Ok(Some(presented)),
                // It may have ended, and been noted, since the notes were read.
                LoadedRecord::Ended(_) if counts_no_more(shared, cookie).await? => {
                    return Ok(None);
                }
                // Without a note no response had its id: its login failed, or was refused.
                LoadedRecord::Ended(_) => failed_start = revision,
                LoadedRecord::Unreadable(error) => return Err(error),
                LoadedRecord::Absent => {}
            }
        }
        if had_its_session {
            return Ok(None);
        }
        match insert(request, cookie, id.clone(), failed_start).await {
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
            return Ok(Some(presented));
        }
        note_cookie(shared, cookie).await?;
        if is_before_log_out(shared, cookie).await? {
            end(shared, key).await?;
            return Ok(None);
        }
        return Ok(Some(presented));
    }
    Err(Error::Contended)
}

/// Does for a login that another request left unfinished, or is still at, what makes it an ordinary
/// one, or ends it if it is refused.
async fn admit(shared: &Arc<Shared>, live: &Live, presented: &Presented) -> Result<()> {
    let content = &live.content;
    if let (Some(owner), Some(lineage), Some(expires_at)) =
        (&content.owner, content.lineage, live.times.expires_at)
    {
        let login = Login {
            owner: owner.clone(),
            key: live.key.clone(),
            lineage,
            renews: false,
            expires_at,
        };
        match Owned::of(shared)?.admit(&login).await {
            Ok(()) => {}
            Err(Error::TooManySessions { .. } | Error::Conflict) => {
                return end(shared, live.key.clone()).await;
            }
            Err(error) => return Err(error),
        }
    }
    // Any write makes it an ordinary one.
    let left = shared.rules.settings.store_timeout;
    let request = Arc::new(Request::new(shared.clone(), Machine::new(), left));
    let _opened = Drive::new(request.clone(), Aim::Open(presented.clone().into())).await?;
    request.lock()?.extend();
    Drive::new(request, Aim::Reach(Goal::Save)).await.map(drop)
}

/// Stores the record of a new session with what the cookie holds: a first one, or in place of what is
/// left of a start that failed, which has this revision.
///
/// # Errors
///
/// [`Error::Conflict`] if there is another record of the id.
async fn insert(
    request: &Request,
    cookie: &SignedCookie,
    id: SessionId,
    failed_start: Option<Revision>,
) -> Result<()> {
    let shared = request.shared();
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
    // As Flask's cookie, the cookie of a session that is not permanent ends with the browser.
    if cookie.values.iter().all(|(key, _)| key != PERMANENT) {
        ops.push(Op::Permanent(false));
    }
    let user = cookie.user.as_deref().map(Into::into);
    ops.push(Op::StartedByFlask(user, cookie.digest()));
    let now = shared.now();
    let mut machine = Machine::blank();
    machine.given_id = Some((id, failed_start));
    for op in ops {
        machine.change(op, &shared.rules, now)?;
    }
    let request = Arc::new(request.beside(machine));
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
