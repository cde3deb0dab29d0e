//! The application's settings as rules: which id a cookie presents, how a record is written, when a session ends.
//!
//! The one file that tells the two forms of sessions apart. The answers for Flask's are in `flask`, which is compiled with
//! the feature of that name alone.
#![cfg_attr(
    not(feature = "flask"),
    expect(
        clippy::unused_self,
        reason = "some answers need it for Flask's form alone"
    )
)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hmac::Hmac;
use sha2::Sha256;

#[cfg(feature = "flask")]
use crate::flask;
use crate::{
    codec::{self, Stored, Times},
    config::{ConfigError, Refresh, Settings},
    content::{Content, PERMANENT},
    cookie::{self, CookieLifetime},
    error::{Error, Result},
    expiry::{Millis, Timeouts, cookie_age, cookie_end},
    id::SessionId,
    key::StoreKey,
    machine::table::rule_holds,
    payload::{Dynamic, Value},
    record::{IndexEntry, Loaded, Record, Revision},
    secret_keys::SecretKeys,
    signer::Signer,
};

/// How a session is stored, and how the cookie with its id is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// This library's own: hashed keys, HMAC-SHA-256, tombstones for what was renewed or ended. The default.
    Native,
    /// Flask-Session's, to share live sessions with a running Flask application.
    #[cfg(feature = "flask")]
    Flask,
}

/// The answer for the native form, and the one for Flask's.
macro_rules! by_form {
    ($form:expr, $native:expr, $flask:expr $(,)?) => {
        match $form {
            Form::Native => $native,
            #[cfg(feature = "flask")]
            Form::Flask => $flask,
        }
    };
}

impl Form {
    /// No other form than this one.
    pub(crate) fn only_this(self) -> &'static [Self] {
        by_form!(self, &[Self::Native], &[Self::Flask])
    }

    /// Whether a record has a header beside the data. It says when the session and its cookie end, and whose it is; it
    /// names the session, and may be all of one that is empty.
    pub(crate) fn has_header(self) -> bool {
        by_form!(self, true, false)
    }

    /// Whether a tombstone takes the place of what was renewed or ended: Flask would take one for a session.
    pub(crate) fn has_tombstones(self) -> bool {
        self.has_header()
    }

    /// Whether a change counts that leaves everything as it was: then the session is written, and its cookie sent or
    /// removed, all the same.
    pub(crate) fn every_change_counts(self) -> bool {
        by_form!(self, false, true)
    }

    /// Whether a session that was cleared says that it is not permanent.
    pub(crate) fn says_not_permanent(self) -> bool {
        by_form!(self, false, true)
    }

    /// Whether cookies are signed although no key was given.
    pub(crate) fn signs_by_default(self) -> bool {
        by_form!(self, true, false)
    }

    /// The environment's key that signs.
    pub(crate) fn key(self, secret: &str) -> Result<SecretKeys, ConfigError> {
        by_form!(
            self,
            SecretKeys::from_env_text(secret),
            SecretKeys::of_flask(secret)
        )
    }

    /// The same with an older key of the environment's.
    pub(crate) fn older_key(self, keys: SecretKeys, key: &str) -> Result<SecretKeys, ConfigError> {
        by_form!(self, keys.with_fallback(key), keys.with_flask_fallback(key))
    }
}

/// How long a tombstone tells requests that arrive of a session that was renewed or ended.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(90);

/// How many cookies of the session's name are tried before the request counts as anonymous.
const MAX_CANDIDATES: usize = 4;

/// The rules of one application's sessions; pure functions of what they are given.
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    /// What a new session starts from.
    pub(crate) blank: Content,
    /// The largest record that the store accepts, in bytes.
    limit: usize,
    signer: Option<Signer<Hmac<Sha256>>>,
    #[cfg(feature = "flask")]
    flask_signer: Option<flask::Signer>,
}

/// The id that a request presented, and the record it opens.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Signed with an older key.
    pub(crate) outdated: bool,
}

/// A live record as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Unknown if the session was renewed by another request while this one ran.
    pub(crate) id: Option<SessionId>,
    pub(crate) content: Content,
    pub(crate) times: Times,
    /// Its payload as it is encoded in the record.
    pub(crate) encoded: Bytes,
    pub(crate) revision: Revision,
    /// The cookie's signature is by an older key.
    pub(crate) outdated: bool,
}

/// What a look at a key found.
#[derive(Debug)]
pub(crate) enum LoadedRecord {
    Live(Arc<Live>),
    /// Until then, a request that arrives with the id is told that it was renewed.
    Forwarded(StoreKey, Millis),
    Ended,
    Absent,
    Unreadable(Error),
}

impl Rules {
    pub(crate) fn of(settings: Settings, limit: usize) -> Self {
        let native = |keys: &SecretKeys| Signer::native(keys, &settings.cookie.name);
        Self {
            signer: settings.keys.as_ref().map(native),
            #[cfg(feature = "flask")]
            flask_signer: settings.flask_keys().map(flask::signer),
            blank: by_form!(settings.form, Content::default(), flask::blank(&settings)),
            settings,
            limit,
        }
    }

    /// The form that a session of `form` moves to with its next change or new id, if that is another.
    pub(crate) fn next_form(&self, form: Form) -> Option<Form> {
        by_form!(form, None, self.settings.flask.next_form)
    }

    pub(crate) fn key_of(&self, form: Form, id: &SessionId) -> StoreKey {
        let prefix = &self.settings.prefix;
        by_form!(form, prefix.hashed_key(id), prefix.plain_key(id))
    }

    /// The ids that a request presents, the first first. No I/O.
    pub(crate) fn presented(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> Vec<Presented> {
        let name = &self.settings.cookie.name;
        let mut candidates: Vec<Presented> = Vec::new();
        let verified = headers
            .flat_map(|header| cookie::values(header, name))
            .filter_map(|value| self.verify_value(value));
        for presented in verified {
            if candidates.iter().all(|other| other.id != presented.id) {
                candidates.push(presented);
            }
            if candidates.len() == MAX_CANDIDATES {
                break;
            }
        }
        if candidates.len() > 1 {
            tracing::debug!(
                count = candidates.len(),
                "a request carries several valid session cookies; the first that is live counts"
            );
        }
        candidates
    }

    /// The id in a cookie's value, if it is well formed and signed as it must be.
    fn verify_value(&self, value: &[u8]) -> Option<Presented> {
        // The longest id and signature there are; nothing longer is worth a look.
        if value.len() > 256 {
            return None;
        }
        let value = std::str::from_utf8(value).ok()?;
        let mut forms = self.settings.forms.iter();
        forms.find_map(|form| self.verify_in_form(*form, value))
    }

    fn verify_in_form(&self, form: Form, value: &str) -> Option<Presented> {
        let (id, outdated) = by_form!(
            form,
            {
                let found = Signer::verified(self.signer.as_ref(), value)?;
                let id = SessionId::from_native(found.id, self.settings.id_bytes)?;
                (id, found.outdated)
            },
            flask::id_in(value, self.flask_signer.as_ref())?,
        );
        Some(Presented {
            key: self.key_of(form, &id),
            id,
            form,
            outdated,
        })
    }

    /// What `loaded`, found under `key`, says; whether a live session has expired is for [`Self::is_expired`] to say.
    pub(crate) fn read(&self, key: &StoreKey, form: Form, loaded: Option<Loaded>) -> LoadedRecord {
        let Some(loaded) = loaded else {
            return LoadedRecord::Absent;
        };
        let stored = by_form!(
            form,
            codec::decode(key, &loaded.bytes).map(Some),
            flask::decode(&loaded, self.settings.format),
        );
        match stored {
            Ok(Some(Stored::Live(content, times, encoded))) => LoadedRecord::Live(Arc::new(Live {
                key: key.clone(),
                form,
                id: None,
                content,
                times,
                encoded,
                revision: loaded.revision,
                outdated: false,
            })),
            Ok(Some(Stored::Forwarded(successor, until))) => {
                LoadedRecord::Forwarded(successor, until)
            }
            Ok(Some(Stored::Ended)) => LoadedRecord::Ended,
            Ok(None) => LoadedRecord::Absent,
            Err(error) => LoadedRecord::Unreadable(error),
        }
    }

    /// When the session of `live` ends unless it is used; unknown in a layout of Flask's that does not tell it.
    ///
    /// By what its last write computed, and by the settings in force: a timeout that was lowered holds at once.
    pub(crate) fn end(&self, live: &Live) -> Option<Millis> {
        let timeouts = self.timeouts(&live.content);
        let used = live.times.used_at.map(|used| used.after(timeouts.idle));
        let used = used.filter(|_| rule_holds!(LoweredTimeoutHolds));
        let deadline = self.deadline(&live.content);
        [live.times.expires_at, used, deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether a request that arrives `now` finds the session ended by time.
    pub(crate) fn is_expired(&self, live: &Live, now: Millis) -> bool {
        self.end(live).is_some_and(|end| end <= now)
    }

    /// Whether a request that found the session live is too late by `now` to store `content` in its place.
    ///
    /// An idle timeout that ran out meanwhile does not count, because the session was in use; but only for as long as
    /// every store keeps the record. The absolute timeout always counts.
    pub(crate) fn is_over(&self, live: &Live, content: &Content, now: Millis) -> bool {
        let reclaimed = self.end(live).map(|end| end.after(Record::KEPT_AFTER_END));
        [reclaimed, self.deadline(content)]
            .into_iter()
            .flatten()
            .any(|end| end <= now)
    }

    /// The end that no use moves, if there is one.
    fn deadline(&self, content: &Content) -> Option<Millis> {
        let deadline = self.timeouts(content).deadline(content.started_at()?);
        deadline.filter(|_| rule_holds!(AbsoluteTimeoutIsKept))
    }

    /// The instants of a record of `content` that is written `now`, and whether the browser is to be sent the cookie.
    ///
    /// `before` are those of the record it replaces.
    pub(crate) fn times(
        &self,
        form: Form,
        content: &Content,
        before: &Times,
        sends_cookie: bool,
        now: Millis,
    ) -> Times {
        let timeouts = self.timeouts(content);
        let end = timeouts.end(content.started_at().unwrap_or(now), now);
        let cookie_until = if !sends_cookie {
            before.cookie_until
        } else if form.has_header() && self.permanent(form, content) {
            Some(cookie_end(end, now))
        } else {
            None
        };
        let indexed = content.owner.is_some() && form.has_header();
        let reclaimed = end.after(Record::KEPT_AFTER_END);
        let indexed_until = match before.indexed_until {
            _ if !indexed => None,
            Some(until) if until >= reclaimed => Some(until),
            // Later than need be, so that not every change writes the index too.
            _ => Some(reclaimed.after(timeouts.idle / 2)),
        };
        Times {
            expires_at: Some(end),
            used_at: Some(now),
            cookie_until,
            indexed_until,
        }
    }

    /// The record of `new`, which takes the place of one with the instants `before`; `encoded` is its payload, if that did
    /// not change since it was loaded. Completes `new` by what only the bytes tell.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the store does not accept it, [`Error::Encode`] if it cannot be written.
    pub(crate) fn record(
        &self,
        new: &mut Live,
        before: &Times,
        write_tag: [u8; 8],
        encoded: Option<&Bytes>,
    ) -> Result<Record> {
        let bytes = by_form!(
            new.form,
            codec::live(&new.key, &new.content, &new.times, write_tag, encoded),
            flask::live(&self.settings, &new.content, encoded),
        )?;
        self.check_size(&bytes)?;
        new.encoded = by_form!(new.form, codec::payload_in(&bytes), bytes.clone());
        let end = new.times.expires_at.unwrap_or_default();
        let until = new.times.indexed_until;
        let entry = (until != before.indexed_until && rule_holds!(IndexIsWritten))
            .then(|| self.entry(&new.content, until?))
            .flatten();
        Ok(Record {
            bytes,
            expires_at: reclaimed(new.form, end),
            entry,
        })
    }

    /// What replaces the record of `live`, a tombstone where its form has any: forwarded to `successor`, or ended.
    pub(crate) fn tombstone(
        &self,
        live: &Live,
        successor: Option<&StoreKey>,
        now: Millis,
        write_tag: [u8; 8],
    ) -> Record {
        let until = now.after(TOMBSTONE_LIFE);
        // Behind the tombstone of a renewed session there is one to list; behind that of an ended session is none.
        let listed_until = successor.map_or(now, |_| until);
        let entry = live
            .times
            .indexed_until
            .and_then(|_| self.entry(&live.content, listed_until));
        Record {
            bytes: by_form!(
                live.form,
                codec::tombstone(&live.key, &live.content, successor, until, write_tag),
                flask::nil(),
            ),
            expires_at: reclaimed(live.form, until),
            entry,
        }
    }

    fn check_size(&self, bytes: &Bytes) -> Result<()> {
        let (size, limit) = (bytes.len(), self.limit);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }

    fn entry(&self, content: &Content, until: Millis) -> Option<IndexEntry> {
        Some(IndexEntry {
            owner: self.settings.prefix.owner_key(content.owner.as_deref()?),
            expires_at: until.into(),
        })
    }

    /// Whether the browser is to be sent the cookie with a write that replaces `live` by `content` at `now`.
    ///
    /// The cookie has an end of its own, which only another cookie moves: it is sent when that end lags behind, whatever
    /// became of the record's expiry.
    pub(crate) fn cookie_due(&self, live: &Live, content: &Content, now: Millis) -> bool {
        if !live.form.has_header() || live.outdated {
            return true;
        }
        let permanent = self.permanent(live.form, content);
        let cookie_until = if rule_holds!(CookieHasItsOwnEnd) {
            live.times.cookie_until
        } else {
            live.times.expires_at.filter(|_| permanent)
        };
        match cookie_until {
            Some(until) if permanent => {
                let timeouts = self.timeouts(content);
                let end = timeouts.end(content.started_at().unwrap_or(now), now);
                let end = cookie_end(end, now);
                match self.settings.refresh {
                    Refresh::EveryAccess | Refresh::EveryRequest => true,
                    Refresh::OnChange => end.seconds() != until.seconds(),
                    Refresh::WhenDue => {
                        let lag = end.since(until).max(until.since(end));
                        self.is_worth_a_write(content, lag, end, timeouts.cookie_tolerance())
                    }
                }
            }
            until => permanent != until.is_some(),
        }
    }

    /// Whether an end that lags so far behind `end` is to be moved there: not for every request, but once to the end that
    /// no use moves, because it would lag behind that one for good.
    fn is_worth_a_write(
        &self,
        content: &Content,
        lag: Duration,
        end: Millis,
        tolerance: Duration,
    ) -> bool {
        lag > tolerance || (!lag.is_zero() && self.deadline(content) == Some(end))
    }

    /// Whether the request that came with the id of `live` is to move its expiry at `now`, without a change.
    pub(crate) fn refreshes(&self, live: &Live, now: Millis) -> bool {
        live.id.is_some() && !self.is_over(live, &live.content, now) && self.refresh_due(live, now)
    }

    /// Whether using the session of `live` at `now`, without a change, is worth a write.
    fn refresh_due(&self, live: &Live, now: Millis) -> bool {
        let undated =
            self.settings.absolute_timeout.is_some() && live.content.started_at().is_none();
        if live.outdated || undated {
            return true;
        }
        match self.settings.refresh {
            Refresh::OnChange => false,
            Refresh::EveryAccess | Refresh::EveryRequest => true,
            Refresh::WhenDue if by_form!(live.form, false, flask::each_use_counts(self, live)) => {
                true
            }
            Refresh::WhenDue => {
                let Some(end) = self.end(live) else {
                    return true;
                };
                let timeouts = self.timeouts(&live.content);
                let gained = timeouts.end(live.content.started_at().unwrap_or(now), now);
                let lag = gained.since(end);
                self.is_worth_a_write(&live.content, lag, gained, timeouts.tolerance())
                    || self.last_seen_is_due(live, now)
                    || (live.form.has_header()
                        && live.id.is_some()
                        && self.cookie_due(live, &live.content, now))
            }
        }
    }

    /// Whether a list of the user's sessions would say for too long when this one was last used.
    fn last_seen_is_due(&self, live: &Live, now: Millis) -> bool {
        let listed = live.form.has_header() && live.content.owner.is_some();
        let used = live.times.used_at.unwrap_or(now);
        listed && now.since(used) > self.settings.last_seen
    }

    /// Whether a refresh of `live` sends the cookie.
    pub(crate) fn refresh_sends_cookie(&self, live: &Live, now: Millis) -> bool {
        by_form!(
            live.form,
            self.cookie_due(live, &live.content, now),
            flask::refresh_sends_cookie(self, live),
        )
    }

    /// Whether the cookie outlives the browser. Where the session says nothing, Flask takes it for one that does not.
    pub(crate) fn permanent(&self, form: Form, content: &Content) -> bool {
        match content.payload.value(PERMANENT) {
            Some(value) => is_truthy(&value),
            None => by_form!(form, self.settings.permanent, false),
        }
    }

    /// The value of the `Set-Cookie` header that gives the browser the id of `live`, if it is known.
    pub(crate) fn set_cookie(&self, live: &Live, now: Millis) -> Option<String> {
        let id = live.id.as_ref()?.as_str();
        let value = by_form!(
            live.form,
            Signer::signed(self.signer.as_ref(), id),
            Signer::signed(self.flask_signer.as_ref(), id),
        );
        // Where a store of Flask's cannot tell the end, it was moved a moment ago.
        let idle = self.timeouts(&live.content).idle;
        let end = live.times.expires_at.unwrap_or(now.after(idle));
        // The milliseconds that the write took are not to cost a whole second.
        let written = live.times.used_at.unwrap_or(now);
        let from = if now.since(written) < Duration::from_secs(1) {
            written.min(now)
        } else {
            now
        };
        let lifetime = if self.permanent(live.form, &live.content) {
            by_form!(
                live.form,
                CookieLifetime::seconds(cookie_age(end, from)),
                flask::cookie_lifetime(end),
            )
        } else {
            CookieLifetime::BROWSER_SESSION
        };
        Some(cookie::set_cookie(&self.settings.cookie, &value, lifetime))
    }

    /// The value of the `Set-Cookie` header that removes the cookie.
    pub(crate) fn removal(&self) -> String {
        let (form, cookie) = (self.settings.form, &self.settings.cookie);
        by_form!(form, cookie::removal(cookie), flask::removal(cookie))
    }

    fn timeouts(&self, content: &Content) -> Timeouts {
        self.settings.timeouts(content.idle)
    }
}

/// When the store may drop a record of a session that ends at `end`. In Flask's form its expiry is the end itself.
fn reclaimed(form: Form, end: Millis) -> SystemTime {
    by_form!(form, end.after(Record::KEPT_AFTER_END), end).into()
}

/// Python's idea of truth, because Flask may have written the value.
fn is_truthy(value: &Value) -> bool {
    match value.to_dynamic() {
        Err(_) | Ok(Dynamic::Nil | Dynamic::Bool(false) | Dynamic::Int(0) | Dynamic::UInt(0)) => {
            false
        }
        Ok(Dynamic::Float(number)) => number != 0.0,
        Ok(Dynamic::Text(text)) => !text.is_empty(),
        Ok(Dynamic::Array(items)) => !items.is_empty(),
        Ok(_) => true,
    }
}
