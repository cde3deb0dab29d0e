//! One request of a scene, and its answer.

use session_core::{Error, Finish, RequestSession, Result, Session, Sessions};

use crate::store::PausingStore;

/// The identity provider's session that the owner of a scene came from.
pub(crate) const SID: &str = "s1";

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Set(&'static str, i64),
    Remove(&'static str),
    /// Removes the value `a`, which one request gets.
    Take,
    Inc,
    Clear,
    Touch,
    Renew,
    RenewInc,
    LogIn(&'static str),
    /// Logs in with a browser that has no cookie.
    LogInElsewhere(&'static str),
    LogOut,
    /// Logs the owner of the scene out everywhere, by name, as an administrator does.
    Everywhere,
    /// Ends the identity provider's session, as its back-channel log-out does.
    BackChannel,
    /// Logs the session's owner out everywhere else.
    Elsewhere,
}

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cookie: CookieChange,
    /// The request found no session.
    pub(crate) anonymous: bool,
}

/// What the answer says to the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CookieChange {
    Unchanged,
    Id(String),
    Removal,
}

impl CookieChange {
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Unchanged | Self::Removal => None,
        }
    }
}

/// Runs a request to its answer; with `pause`, its handler takes its time there.
pub(crate) async fn run(
    sessions: Sessions,
    pause: Option<PausingStore>,
    id: String,
    act: Act,
    owner: &'static str,
) -> Answer {
    let request_session = sessions.begin_request();
    let mut anonymous = false;
    let served = serve(
        &sessions,
        &request_session,
        pause,
        (&id, &mut anonymous),
        act,
        owner,
    )
    .await;
    let (status, cookie) = match &served {
        Ok(cookie) => (200, cookie.clone()),
        Err(error) => (status(error), request_session.failed().set_cookie),
    };
    Answer {
        status,
        cookie: cookie_change(cookie.as_deref()),
        anonymous,
    }
}

async fn serve(
    sessions: &Sessions,
    request_session: &RequestSession,
    pause: Option<PausingStore>,
    (id, anonymous): (&str, &mut bool),
    act: Act,
    owner: &str,
) -> Result<Option<String>> {
    if act == Act::Everywhere {
        sessions.log_out_everywhere(owner).await?;
        return Ok(None);
    }
    if act == Act::BackChannel {
        sessions.end_provider_session(SID).await?;
        return Ok(None);
    }
    let header = match act {
        Act::LogInElsewhere(_) => String::new(),
        _ => format!("session={id}"),
    };
    let session = request_session
        .session(&mut std::iter::once(header.as_bytes()))
        .await?;
    *anonymous = session.is_new();
    if let Some(store) = pause {
        store.handle().await;
    }
    if act == Act::Elsewhere {
        session.log_out_everywhere(true).await?;
    }
    change(&session, act)?;
    let outcome = match request_session.finish() {
        Finish::Ready(outcome) => outcome,
        Finish::Pending(saving) => saving.await?,
    };
    Ok(outcome.set_cookie)
}

fn change(session: &Session, act: Act) -> Result<()> {
    let increment = || {
        session
            .update("n", |n: Option<i64>| n.unwrap_or(0) + 1)
            .map(drop)
    };
    match act {
        Act::Set(key, value) => session.insert(key, &value)?,
        Act::Remove(key) => drop(session.remove(key)),
        Act::Take => drop(session.take::<i64>("a")?),
        Act::Inc => increment()?,
        Act::Clear => session.clear(),
        Act::Touch | Act::BackChannel | Act::Everywhere | Act::Elsewhere => {}
        Act::Renew => session.renew(),
        Act::RenewInc => {
            session.renew();
            increment()?;
        }
        Act::LogIn(owner) | Act::LogInElsewhere(owner) => session.log_in(owner)?,
        Act::LogOut => session.log_out(),
    }
    Ok(())
}

fn cookie_change(set_cookie: Option<&str>) -> CookieChange {
    match set_cookie.map(|it| it.split([';', '=']).nth(1).unwrap_or_default()) {
        None => CookieChange::Unchanged,
        Some("") => CookieChange::Removal,
        Some(id) => CookieChange::Id(id.to_owned()),
    }
}

fn status(error: &Error) -> u16 {
    match error {
        Error::Conflict => 409,
        Error::TooManySessions { .. } => 403,
        _ => 503,
    }
}
