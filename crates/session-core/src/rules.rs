//! The settings as pure rules: which id a cookie presents, how a record is built, when a session
//! ends, when a cookie is due.
//!
//! This is the only file that tells the two forms of sessions apart. The answers for Flask's form
//! are in `flask/`, which is compiled only with the feature `flask`.
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
    codec::{self, Dead, Forwarding, Stored, Successor, Times},
    config::{ConfigError, Refresh, Settings},
    content::{Content, PERMANENT},
    cookie::{self, CookieLifetime},
    encryption::EncryptionKeys,
    error::{Error, Result},
    expiry::{Millis, Timeouts, cookie_age, cookie_end},
    header::Header,
    id::SessionId,
    key::StoreKey,
    machine::table::rule_holds,
    payload::{Dynamic, Value},
    record::{IndexEntry, Loaded, Record, Revision},
    secret_keys::SecretKeys,
    security_events::SecurityEvents,
    short_list::ShortList,
    signer::Signer,
};

/// How a session is stored, and how the cookie with its id is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// This library's own form: hashed keys, HMAC-SHA-256, and tombstones for sessions that were
    /// renewed or ended. The default.
    Native,
    /// Flask-Session's form, to share live sessions with a running Flask application.
    #[cfg(feature = "flask")]
    Flask,
}

/// Chooses by form: `by_form!(form, native, flask)`. Without the feature `flask` the last one is
/// not compiled.
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
    /// A list of this form only.
    pub(crate) fn only_this(self) -> &'static [Self] {
        by_form!(self, &[Self::Native], &[Self::Flask])
    }

    /// Whether a record has a header beside the data. The header has the times, the owner and the
    /// lineage. So a session without data can still have a record.
    pub(crate) fn has_header(self) -> bool {
        by_form!(self, true, false)
    }

    /// Whether a tombstone replaces a session that was renewed or ended. Flask would read a
    /// tombstone as a session.
    pub(crate) fn has_tombstones(self) -> bool {
        self.has_header()
    }

    /// Whether a change to an equal value counts as a change: then the session is written, and its
    /// cookie sent or removed.
    pub(crate) fn every_change_counts(self) -> bool {
        by_form!(self, false, true)
    }

    /// Whether clearing a session stores that it is not permanent.
    pub(crate) fn says_not_permanent(self) -> bool {
        by_form!(self, false, true)
    }

    /// Whether cookies are signed by default, so that a missing key is an error.
    pub(crate) fn signs_by_default(self) -> bool {
        by_form!(self, true, false)
    }

    /// The signing key from the environment.
    pub(crate) fn key(self, secret: &str) -> Result<SecretKeys, ConfigError> {
        by_form!(
            self,
            SecretKeys::from_env_text(secret),
            SecretKeys::of_flask(secret)
        )
    }

    /// Adds an older key from the environment.
    pub(crate) fn older_key(self, keys: SecretKeys, key: &str) -> Result<SecretKeys, ConfigError> {
        by_form!(self, keys.with_fallback(key), keys.with_flask_fallback(key))
    }
}

/// How long requests that arrive with the id heed a tombstone.
pub(crate) const TOMBSTONE_LIFE: Duration = Duration::from_secs(90);

/// How many valid cookies of the session's name are considered.
const MAX_CANDIDATES: usize = 4;

/// The rules of one application's sessions: pure functions of the settings and their arguments.
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    /// The content of a new session.
    pub(crate) blank: Content,
    /// The largest record that the store accepts, in bytes.
    store_limit: usize,
    signer: Option<Signer<Hmac<Sha256>>>,
    pub(crate) events: SecurityEvents,
    #[cfg(feature = "flask")]
    flask_signer: Option<flask::Signer>,
}

/// The id that a request presented, and the record it opens.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Whether an older key signed it.
    pub(crate) outdated: bool,
    /// Whether the browser does not have it yet: it was made from what the request presented.
    pub(crate) unsent: bool,
}

/// A live record as it was last loaded or written.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Unknown if another request renewed the session while this one ran.
    pub(crate) id: Option<SessionId>,
    pub(crate) content: Content,
    pub(crate) times: Times,
    /// The encoded payload of the record.
    pub(crate) encoded: Bytes,
    pub(crate) revision: Revision,
    /// Whether an older key signed the cookie.
    pub(crate) outdated: bool,
    /// Whether the request came with this id: it did not get it by a rotation or a renewal.
    pub(crate) presented: bool,
}

/// What a load found under a key.
#[derive(Debug)]
pub(crate) enum LoadedRecord {
    Live(Arc<Live>),
    Forwarded(Forwarding),
    Ended(Dead),
    Absent,
    Unreadable(Error),
}

impl Rules {
    pub(crate) fn of(settings: Settings, limit: usize) -> Self {
        let header = settings.id_header.as_ref().map(|it| it.signed_name());
        let name = header.as_ref().unwrap_or(&settings.cookie.name);
        let native = |keys: &SecretKeys| Signer::native(keys, name);
        Self {
            signer: settings.keys.as_ref().map(native),
            #[cfg(feature = "flask")]
            flask_signer: settings.flask_keys().map(flask::signer),
            blank: by_form!(settings.form, Content::default(), flask::blank(&settings)),
            events: SecurityEvents::default(),
            store_limit: limit,
            settings,
        }
    }

    /// The largest record that the store accepts, in bytes.
    pub(crate) fn store_limit(&self) -> usize {
        self.store_limit
    }

    /// The form to which a session of `form` moves with its next change or new id, if it moves.
    pub(crate) fn next_form(&self, form: Form) -> Option<Form> {
        by_form!(form, None, self.settings.flask.next_form)
    }

    pub(crate) fn key_of(&self, form: Form, id: &SessionId) -> StoreKey {
        let prefix = &self.settings.prefix;
        by_form!(form, prefix.hashed_key(id), prefix.plain_key(id))
    }

    /// The ids that a request presents in these headers, in their order. No I/O.
    pub(crate) fn presented(
        &self,
        headers: &mut dyn Iterator<Item = &[u8]>,
    ) -> ShortList<Presented> {
        if let Some(header) = &self.settings.id_header {
            // A program sends one id. With several, whatever is in front may have judged another.
            let mut ids = headers.filter_map(|it| header.id_in(it));
            let only = ids.next();
            if ids.next().is_some() {
                tracing::debug!("a request has several ids in its header; none of them is used");
                return ShortList::default();
            }
            return self.verified(only.into_iter());
        }
        let name = &self.settings.cookie.name;
        self.verified(headers.flat_map(|it| cookie::values(it, name)))
    }

    fn verified<'h>(&self, values: impl Iterator<Item = &'h [u8]>) -> ShortList<Presented> {
        let mut candidates = ShortList::<Presented>::default();
        let verified = values.filter_map(|value| {
            let presented = self.verify_value(value);
            if presented.is_none() {
                self.events.signature_refused();
            }
            presented
        });
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
                "a request has several valid session cookies; the first one whose session is live is used"
            );
        }
        candidates
    }

    /// The id in a cookie's value, if it is well formed and its signature is valid.
    fn verify_value(&self, value: &[u8]) -> Option<Presented> {
        // No id with a signature is longer.
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
            unsent: false,
        })
    }

    /// Decodes the record that was loaded from `key`. Does not check whether a live session has
    /// expired; see [`Self::is_expired`].
    pub(crate) fn read(&self, key: &StoreKey, form: Form, loaded: Option<Loaded>) -> LoadedRecord {
        let Some(loaded) = loaded else {
            return LoadedRecord::Absent;
        };
        let stored = self.decoded(key, form, &loaded);
        self.found(key, form, loaded, stored)
    }

    /// Like [`read`](Self::read), for a session that is to end. For that its data may be damaged, or
    /// encrypted by an unknown key.
    pub(crate) fn read_to_end(
        &self,
        key: &StoreKey,
        form: Form,
        loaded: Option<Loaded>,
    ) -> LoadedRecord {
        let Some(loaded) = loaded else {
            return LoadedRecord::Absent;
        };
        let stored = self.decoded(key, form, &loaded).or_else(|error| {
            let header = form
                .has_header()
                .then(|| codec::decode_header(key, &loaded.bytes));
            let header = header.and_then(Result::ok);
            header.map(Some).ok_or(error)
        });
        self.found(key, form, loaded, stored)
    }

    fn decoded(&self, key: &StoreKey, form: Form, loaded: &Loaded) -> Result<Option<Stored>> {
        by_form!(
            form,
            codec::decode(key, &loaded.bytes, self.settings.encryption.as_ref()).map(Some),
            flask::decode(loaded, self.settings.format),
        )
    }

    fn found(
        &self,
        key: &StoreKey,
        form: Form,
        loaded: Loaded,
        stored: Result<Option<Stored>>,
    ) -> LoadedRecord {
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
                presented: false,
            })),
            Ok(Some(Stored::Forwarded(forwarding))) => LoadedRecord::Forwarded(forwarding),
            Ok(Some(Stored::Ended(dead))) => LoadedRecord::Ended(dead),
            Ok(None) => LoadedRecord::Absent,
            Err(error) => {
                self.events.record_unreadable(&error);
                LoadedRecord::Unreadable(error)
            }
        }
    }

    /// When the session of `live` ends unless it is used. Unknown if a Flask layout cannot tell it.
    ///
    /// This is the earlier of the end in the record and the end by the settings in force, so a
    /// lowered timeout applies at once.
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

    /// Whether the session has expired for a request that arrives `now`.
    pub(crate) fn is_expired(&self, live: &Live, now: Millis) -> bool {
        self.end(live).is_some_and(|end| end <= now)
    }

    /// Whether it is too late at `now` to store `content`, for a request that loaded the session in
    /// time.
    ///
    /// An idle timeout that ran out meanwhile does not count, because the session was in use. This
    /// holds as long as every store keeps the record. The absolute timeout always counts.
    pub(crate) fn is_over(&self, live: &Live, content: &Content, now: Millis) -> bool {
        let reclaimed = self.end(live).map(|end| end.after(Record::KEPT_AFTER_END));
        [reclaimed, self.deadline(content)]
            .into_iter()
            .flatten()
            .any(|end| end <= now)
    }

    /// The end by the absolute timeout, if there is one.
    pub(crate) fn deadline(&self, content: &Content) -> Option<Millis> {
        let deadline = self.timeouts(content).deadline(content.started_at()?);
        deadline.filter(|_| rule_holds!(AbsoluteTimeoutIsKept))
    }

    /// The times of a record of `content` that is written `now`. `sends_cookie` says whether the
    /// response carries the cookie.
    ///
    /// `before` are the times of the record that it replaces.
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
            // The entry lasts longer than needed, so that not every change writes the index.
            _ => Some(reclaimed.after(timeouts.idle / 2)),
        };
        Times {
            expires_at: Some(end),
            used_at: Some(now),
            cookie_until,
            indexed_until,
            provisional: false,
            id_use: before.id_use,
        }
    }

    /// The record of `new`, which has the times `before` so far, and takes the place of `replaced`.
    /// `encoded` is the payload, if it did not change since the load. Sets `new.encoded`.
    ///
    /// The limits of the settings stop what makes a session larger. So a session from before a limit
    /// was lowered can be renewed, used and made smaller.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] and [`Error::TooManyKeys`] if the session is beyond a limit,
    /// [`Error::Encode`] if the payload cannot be encoded.
    pub(crate) fn record(
        &self,
        new: &mut Live,
        replaced: Option<&Live>,
        before: &Times,
        write_tag: [u8; 8],
        encoded: Option<&Bytes>,
    ) -> Result<Record> {
        // A session that is not stored yet has no name that anybody could know.
        let lineage = replaced.and_then(|it| it.content.lineage);
        let (count, limit) = (new.content.payload.len(), self.settings.max_keys);
        let is_more = || replaced.is_none_or(|it| count > it.content.payload.len());
        if count > limit && is_more() {
            self.events.limit_reached(lineage, "keys");
            return Err(Error::TooManyKeys { count, limit });
        }
        let keys = self.settings.encryption.as_ref();
        let (bytes, encoded) = by_form!(
            new.form,
            codec::live(&new.key, &new.content, &new.times, write_tag, encoded, keys),
            flask::live(&self.settings, &new.content, encoded).map(|it| (it.clone(), it)),
        )?;
        let is_longer = replaced.is_none_or(|it| encoded.len() > it.encoded.len());
        let limit = if is_longer {
            self.store_limit.min(self.settings.max_bytes)
        } else {
            self.store_limit
        };
        let size = bytes.len();
        if size > limit {
            self.events.limit_reached(lineage, "bytes");
            return Err(Error::TooLarge { size, limit });
        }
        new.encoded = encoded;
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

    /// What replaces the record of `live`: a tombstone, forwarding if there is a `successor`. In
    /// Flask's form it is nil.
    pub(crate) fn tombstone(
        &self,
        live: &Live,
        successor: Option<&Successor<'_>>,
        now: Millis,
        write_tag: [u8; 8],
    ) -> Record {
        let until = now.after(TOMBSTONE_LIFE);
        // Requests with a rotated id come as long as there is the session.
        let kept_until = match successor {
            Some(successor) if successor.rotation.is_some() => self.longest_end(live, now),
            _ => until,
        };
        // The entry of a renewed session leads to its successor. The entry of an ended session is
        // not needed any more.
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
            expires_at: reclaimed(live.form, kept_until),
            entry,
        }
    }

    /// Whether a live record with this header is more than a damaged one: one that is not encrypted
    /// may be, if the settings say so.
    pub(crate) fn may_open(&self, header: &Header<'_>) -> bool {
        let keys = self.settings.encryption.as_ref();
        header.is_encrypted || keys.is_none_or(EncryptionKeys::accepts_plain)
    }

    /// Whether a session of `owner` counts to a limit.
    pub(crate) fn counts(&self, owner: Option<&Arc<str>>) -> bool {
        self.settings.max_per_user.is_some() && owner.is_some()
    }

    /// Whether a new record of `content`, which replaces one of the owner `before`, is another
    /// session of its owner, whose number is limited.
    pub(crate) fn is_limited(&self, content: &Content, before: Option<&Arc<str>>) -> bool {
        self.counts(content.owner.as_ref()) && content.owner.as_ref() != before
    }

    fn entry(&self, content: &Content, until: Millis) -> Option<IndexEntry> {
        Some(IndexEntry {
            owner: self.settings.prefix.owner_key(content.owner.as_deref()?),
            provider_session: content
                .provider_session
                .as_ref()
                .map(|digest| self.settings.prefix.key_of_sid(digest))
                .filter(|_| rule_holds!(ProviderSessionIsListed)),
            expires_at: until.into(),
        })
    }

    /// Whether the response carries the cookie, if a write replaces `live` by `content` at `now`.
    ///
    /// The cookie's end moves only when the cookie is sent. So it is sent when that end lags,
    /// whether the record's expiry moved or not.
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

    /// Whether an end that lags by `lag` behind `end` is to be moved. Small lags are not worth a
    /// write. But the end by the absolute timeout is written once, because later requests would not
    /// write it.
    fn is_worth_a_write(
        &self,
        content: &Content,
        lag: Duration,
        end: Millis,
        tolerance: Duration,
    ) -> bool {
        lag > tolerance || (!lag.is_zero() && self.deadline(content) == Some(end))
    }

    /// Whether a request that arrived with the id of `live`, and changed nothing, is to refresh it
    /// at `now`.
    pub(crate) fn refreshes(&self, live: &Live, now: Millis) -> bool {
        live.id.is_some() && !self.is_over(live, &live.content, now) && self.refresh_due(live, now)
    }

    /// Whether a refresh of `live` is due at `now`.
    pub(crate) fn refresh_due(&self, live: &Live, now: Millis) -> bool {
        let undated =
            self.settings.absolute_timeout.is_some() && live.content.started_at().is_none();
        if live.outdated || undated || live.times.provisional || Self::is_first_use(live) {
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

    /// Whether the time of last use is too old for the list of the user's sessions.
    fn last_seen_is_due(&self, live: &Live, now: Millis) -> bool {
        let listed = live.form.has_header() && live.content.owner.is_some();
        let used = live.times.used_at.unwrap_or(now);
        listed && now.since(used) > self.settings.last_seen
    }

    /// Whether the response carries the cookie with a refresh of `live`.
    pub(crate) fn refresh_sends_cookie(&self, live: &Live, now: Millis) -> bool {
        by_form!(
            live.form,
            self.cookie_due(live, &live.content, now),
            flask::refresh_sends_cookie(self, live),
        )
    }

    /// Whether the cookie outlives the browser. If the session does not say it, Flask's answer is
    /// no.
    pub(crate) fn permanent(&self, form: Form, content: &Content) -> bool {
        // Without a cookie there is no end of a cookie to keep up to date.
        if self.settings.id_header.is_some() {
            return false;
        }
        match content.payload.value(PERMANENT) {
            Some(value) => is_truthy(&value),
            None => by_form!(form, self.settings.permanent, false),
        }
    }

    /// The value of the `Set-Cookie` header, or of the one in its place, with the id of `live`, if
    /// the id is known.
    pub(crate) fn set_cookie(&self, live: &Live, now: Millis) -> Option<String> {
        let id = live.id.as_ref()?.as_str();
        let value = by_form!(
            live.form,
            Signer::signed(self.signer.as_ref(), id),
            Signer::signed(self.flask_signer.as_ref(), id),
        );
        if self.settings.id_header.is_some() {
            return Some(value.into_owned());
        }
        // A Flask layout that cannot tell the end was written a moment ago.
        let idle = self.timeouts(&live.content).idle;
        let end = live.times.expires_at.unwrap_or(now.after(idle));
        // `Max-Age` is rounded down to seconds. The milliseconds of the write must not cost a whole
        // second.
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

    /// The value of the `Set-Cookie` header that removes the cookie, or of the one in its place.
    pub(crate) fn removal(&self) -> String {
        if self.settings.id_header.is_some() {
            return String::new();
        }
        let (form, cookie) = (self.settings.form, &self.settings.cookie);
        by_form!(form, cookie::removal(cookie), flask::removal(cookie))
    }

    pub(crate) fn timeouts(&self, content: &Content) -> Timeouts {
        self.settings.timeouts(content.idle)
    }
}

/// When the store may drop the record of a session that ends at `end`. In Flask's form this is the
/// end itself.
fn reclaimed(form: Form, end: Millis) -> SystemTime {
    by_form!(form, end.after(Record::KEPT_AFTER_END), end).into()
}

/// Whether Python would take the value for true, because Flask may have written it.
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
