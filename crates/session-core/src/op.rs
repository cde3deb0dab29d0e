//! The operations of a session: recorded changes, which can be replayed on a newer record.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "dbsc")]
use crate::dbsc::DeviceChange;
#[cfg(feature = "flask-cookie")]
use crate::key::CookieDigest;
use crate::{
    content::{Content, FLASHES, PERMANENT},
    error::{Error, Result},
    expiry::Millis,
    key::SidDigest,
    payload::{Format, Value},
    rules::Form,
    short_list::ShortList,
};

/// The closure of an `update`. It may run more than once.
pub(crate) type Change = Arc<dyn Fn(Option<&Value>) -> Result<Value> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Op {
    Insert(Box<str>, Value),
    Remove(Box<str>),
    /// Removes the value that `take` returned. If it is not there any more, another request may
    /// have taken it, too, and the change is refused.
    Take(Box<str>, Value),
    Update(Box<str>, Change),
    /// The form is the one of the session's records. In Flask's form a cleared session is marked as
    /// not permanent.
    Clear(Form),
    Flash(Message),
    /// Removes the messages that were returned, and none that were added since.
    TakeFlashes(Vec<Message>),
    /// Of an owner, and the identity provider's session if one vouches for them.
    LogIn(Arc<str>, Option<Arc<SidDigest>>),
    Lifetime(Option<Duration>),
    Permanent(bool),
    Label(Option<Arc<str>>),
    #[cfg(feature = "dbsc")]
    Device(Box<DeviceChange>),
    /// The start from a cookie of Flask's, with the user that it names.
    #[cfg(feature = "flask-cookie")]
    StartedByFlask(Option<Arc<str>>, Option<CookieDigest>),
}

/// A flash message: its category and its text, in Flask's order.
pub(crate) type Message = (String, String);

impl Op {
    /// Applies the change. If it fails, `content` stays as it was. Returns `false` if an update
    /// returned an equal value.
    pub(crate) fn apply(&self, content: &mut Content, now: Millis, format: Format) -> Result<bool> {
        let payload = &mut content.payload;
        match self {
            Self::Insert(key, value) => payload.insert_value(key, value.clone()),
            Self::Remove(key) => drop(payload.remove(key)),
            Self::Take(key, taken) => {
                if payload.value(key).as_ref() != Some(taken) {
                    return Err(Error::Conflict);
                }
                payload.remove(key);
            }
            Self::Update(key, change) => {
                let found = payload.value(key);
                let value = change(found.as_ref())?;
                if found.as_ref() == Some(&value) {
                    return Ok(false);
                }
                payload.insert_value(key, value);
            }
            Self::Clear(form) => {
                content.clear();
                if form.says_not_permanent() && !content.payload.contains(PERMANENT) {
                    Self::Permanent(false).apply(content, now, format)?;
                }
            }
            Self::Flash(message) => {
                let mut queue = flashes(content)?;
                queue.push(message.clone());
                set_flashes(content, &queue, format)?;
            }
            Self::TakeFlashes(taken) => {
                let mut queue = flashes(content)?;
                for message in taken {
                    if let Some(position) = queue.iter().position(|it| it == message) {
                        queue.remove(position);
                    }
                }
                set_flashes(content, &queue, format)?;
            }
            Self::LogIn(owner, provider_session) => {
                if content.owner.as_ref().is_some_and(|before| before != owner) {
                    content.clear();
                    content.provider_session = None;
                    content.device = None;
                }
                if provider_session.is_some() {
                    content.provider_session.clone_from(provider_session);
                }
                content.owner = Some(owner.clone());
                content.authenticated_at = Some(now);
            }
            Self::Lifetime(idle) => content.idle = *idle,
            Self::Label(label) => content.label.clone_from(label),
            #[cfg(feature = "dbsc")]
            Self::Device(change) => return change.apply(content),
            #[cfg(feature = "flask-cookie")]
            Self::StartedByFlask(owner, cookie) => {
                content.owner.clone_from(owner);
                content.flask_cookie = *cookie;
            }
            Self::Permanent(permanent) => {
                payload.insert_value(PERMANENT, Value::encode(permanent, format)?);
            }
        }
        Ok(true)
    }

    /// Whether the browser makes the change by itself, so that it tells nothing of a user.
    #[cfg(feature = "dbsc")]
    pub(crate) fn is_of_browser(&self) -> bool {
        matches!(self, Self::Device(change) if change.is_of_browser())
    }

    /// Whether `content` already has the change.
    pub(crate) fn is_done_in(&self, content: &Content, format: Format) -> bool {
        let holds = |key: &str, value: &Value| content.payload.value(key).as_ref() == Some(value);
        match self {
            Self::Insert(key, value) => holds(key, value),
            Self::Permanent(permanent) => {
                Value::encode(permanent, format).is_ok_and(|value| holds(PERMANENT, &value))
            }
            Self::Lifetime(idle) => content.idle == *idle,
            Self::Label(label) => content.label == *label,
            _ => false,
        }
    }

    /// Whether the change survives the login of another user, which empties the session.
    pub(crate) fn outlives_a_login(&self) -> bool {
        match self {
            Self::Lifetime(_) | Self::Permanent(_) | Self::Label(_) => true,
            Self::Insert(key, _) | Self::Remove(key) | Self::Update(key, _) => &**key == PERMANENT,
            _ => false,
        }
    }

    pub(crate) fn login(ops: &ShortList<Self>) -> Option<&Arc<str>> {
        ops.iter().rev().find_map(|op| match op {
            Self::LogIn(owner, _) => Some(owner),
            _ => None,
        })
    }
}

/// `content` after all of `ops`.
pub(crate) fn replay(
    content: &Content,
    ops: &ShortList<Op>,
    now: Millis,
    format: Format,
) -> Result<Content> {
    let mut content = content.clone();
    for op in ops.iter() {
        op.apply(&mut content, now, format)?;
    }
    Ok(content)
}

/// The queued messages.
pub(crate) fn flashes(content: &Content) -> Result<Vec<Message>> {
    Ok(content.payload.get(FLASHES)?.unwrap_or_default())
}

fn set_flashes(content: &mut Content, queue: &[Message], format: Format) -> Result<()> {
    if queue.is_empty() {
        content.payload.remove(FLASHES);
    } else {
        content
            .payload
            .insert_value(FLASHES, Value::encode(queue, format)?);
    }
    Ok(())
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insert(..) => "Insert",
            Self::Remove(_) => "Remove",
            Self::Take(..) => "Take",
            Self::Update(..) => "Update",
            Self::Clear(_) => "Clear",
            Self::Flash(_) => "Flash",
            Self::TakeFlashes(_) => "TakeFlashes",
            Self::LogIn(..) => "LogIn",
            Self::Lifetime(_) => "Lifetime",
            Self::Permanent(_) => "Permanent",
            Self::Label(_) => "Label",
            #[cfg(feature = "dbsc")]
            Self::Device(_) => "Device",
            #[cfg(feature = "flask-cookie")]
            Self::StartedByFlask(..) => "StartedByFlask",
        })
    }
}
