use std::time::{Duration, SystemTime};

use tokio::{sync::MutexGuard, time::Instant};

use super::{Budget, MARKER_LIFE, MARKER_TRUST};
use crate::{
    codec::{Form, Stored},
    config::{FlaskSessions, Profile},
    content::Content,
    error::{Error, Result},
    expiry::after,
    id::SessionId,
    key::StoreKey,
    op::{Op, replay},
    record::{Record, Revision, Write},
    shared::Shared,
};

/// Where a request's session comes from, and so what becomes of its changes.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// No record: the first change makes one.
    New,
    Live(Live),
    /// The request came with an id that was renewed.
    Late,
    /// It was live when the request loaded it, and has ended since.
    Ended,
    /// Nothing is ever written.
    Detached,
}

/// A live record as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Unknown if the session was renewed by another request while this one ran.
    pub(crate) id: Option<SessionId>,
    pub(crate) content: Content,
    pub(crate) revision: Revision,
    pub(crate) expires_at: SystemTime,
    /// The cookie's signature is by an older key.
    pub(crate) outdated: bool,
}

/// What a save did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a session that ended meanwhile kept nothing"]
pub enum Saved {
    /// The changes are in the store.
    Stored,
    /// There was nothing to save.
    Unchanged,
    /// The session was ended by another request; the changes were dropped.
    Ended,
}

/// The result of a piece of work.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) origin: Origin,
    pub(crate) saved: Saved,
    pub(crate) cookie: Cookie,
}

/// What the browser is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Nothing.
    Leave,
    /// The id.
    Set,
    /// That there is no session any more.
    Remove,
}

impl Done {
    pub(crate) fn dropped() -> Self {
        Self {
            origin: Origin::Ended,
            saved: Saved::Ended,
            cookie: Cookie::Leave,
        }
    }

    pub(crate) fn unchanged(origin: Origin) -> Self {
        Self {
            origin,
            saved: Saved::Unchanged,
            cookie: Cookie::Leave,
        }
    }
}

/// What a look at a key found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Absent,
    Ended,
    Retired(StoreKey),
    Live(Live),
}

/// One piece of work on the store: whose, within which budget, since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'w> {
    pub(crate) shared: &'w Shared,
    pub(crate) budget: &'w Budget,
    /// When the session was first loaded.
    pub(crate) since: Instant,
}

impl<'w> Work<'w> {
    /// What is under `key`.
    pub(crate) async fn look(&self, key: &StoreKey, form: Form) -> Result<Found> {
        let loaded = match self.budget.spend(self.shared.store.load(key)).await? {
            Err(Error::Corrupt { source }) => {
                tracing::warn!(
                    ?key,
                    error = &*source as &dyn std::error::Error,
                    "a session record cannot be read and counts as absent"
                );
                None
            }
            loaded => loaded?,
        };
        Ok(loaded.map_or(Found::Absent, |loaded| self.read(key, form, loaded)))
    }

    /// What `loaded` says; a record that cannot be read counts as absent.
    pub(crate) fn read(&self, key: &StoreKey, form: Form, loaded: crate::Loaded) -> Found {
        let now = self.shared.now();
        let stored = self
            .shared
            .codec(form)
            .decode(key, loaded.bytes.to_vec(), now);
        match stored {
            Ok(Some(Stored::Live(content))) => {
                let deadline = content
                    .created_at
                    .and_then(|it| self.shared.settings.timeouts(None).deadline(it));
                let expires_at = loaded.expires_at.unwrap_or(now + Duration::from_secs(1));
                if expires_at.min(deadline.unwrap_or(expires_at)) <= now {
                    return Found::Absent;
                }
                Found::Live(Live {
                    key: key.clone(),
                    form,
                    id: None,
                    content,
                    revision: loaded.revision,
                    expires_at,
                    outdated: false,
                })
            }
            Ok(Some(Stored::Retired(successor))) => Found::Retired(successor),
            Ok(Some(Stored::Ended)) => Found::Ended,
            Ok(None) => Found::Absent,
            Err(error) => {
                let source = std::error::Error::source(&error).unwrap_or(&error);
                tracing::warn!(
                    ?key,
                    error = source,
                    "a session record cannot be read and counts as absent"
                );
                Found::Absent
            }
        }
    }

    pub(crate) fn replay(&self, content: &Content, ops: &[Op]) -> Result<Content> {
        replay(content, ops, self.shared.now(), self.shared.settings.format)
    }

    /// The record of a live session under `key`, used now.
    pub(crate) fn record(&self, key: &StoreKey, form: Form, content: &Content) -> Result<Record> {
        let now = self.shared.now();
        let expires_at = self.expires_at(content, now);
        Ok(Record {
            bytes: self.shared.codec(form).live(key, content)?.into(),
            expires_at,
            entry: self.entry(content, expires_at),
        })
    }

    pub(crate) fn expires_at(&self, content: &Content, now: SystemTime) -> SystemTime {
        let timeouts = self.shared.settings.timeouts(content.idle);
        timeouts.expires_at(content.created_at.unwrap_or(now), now)
    }

    /// The marker that replaces the record of `live`: ended, or retired in favour of `successor`.
    pub(crate) fn marker(&self, live: &Live, successor: Option<&StoreKey>) -> Result<Record> {
        let until = after(self.shared.now(), MARKER_LIFE);
        let codec = self.shared.codec(live.form);
        Ok(Record {
            bytes: match successor {
                Some(successor) => codec.retired(&live.key, &live.content, successor, until),
                None => codec.ended(&live.key, &live.content, until),
            }?
            .into(),
            expires_at: until,
            entry: self.entry(&live.content, until),
        })
    }

    pub(crate) async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        revision: &Revision,
    ) -> Result<Write> {
        self.budget
            .spend(self.shared.store.update(key, record, revision))
            .await?
    }

    /// Deletes a record whose id nobody was sent, or that was set to nil; one that stays hurts nobody.
    pub(crate) async fn discard(&self, key: &StoreKey) {
        if let Ok(Err(error)) | Err(error) = self.budget.spend(self.shared.store.delete(key)).await
        {
            tracing::debug!(
                ?key,
                error = &error as &dyn std::error::Error,
                "an unused record stays until it expires"
            );
        }
    }

    /// Waits until no other request of this process works at `key`, and a moment for those of other processes.
    pub(crate) async fn queue(&self, key: &StoreKey, attempt: usize) -> Result<MutexGuard<'w, ()>> {
        let lane = self.budget.spend(self.shared.lanes.enter(key)).await?;
        if attempt > 1 {
            self.budget
                .spend(tokio::time::sleep(jitter(attempt)))
                .await?;
        }
        Ok(lane)
    }

    /// An absent record means ended, unless a marker would have gone by now too.
    pub(crate) fn gone(&self) -> Result<()> {
        if self.since.elapsed() > MARKER_TRUST {
            return Err(Error::TooLate);
        }
        Ok(())
    }

    /// The form that a session's next record takes.
    pub(crate) fn next_form(&self, live: &Live) -> Form {
        match self.shared.settings.flask_sessions {
            FlaskSessions::Move => Form::Native,
            _ => live.form,
        }
    }

    pub(crate) fn keeps_markers(form: Form) -> bool {
        form == Form::Native
    }

    fn entry(&self, content: &Content, expires_at: SystemTime) -> Option<crate::IndexEntry> {
        let indexed = self.shared.settings.profile == Profile::Native;
        content
            .owner
            .as_deref()
            .filter(|_| indexed)
            .map(|it| crate::IndexEntry {
                owner: self.shared.settings.prefix.owner_key(it),
                expires_at,
            })
    }
}

/// Up to some milliseconds, more after more attempts.
fn jitter(attempt: usize) -> Duration {
    let mut random = [0; 2];
    getrandom::fill(&mut random).expect("the operating system gives random numbers");
    let most = 500 * u64::try_from(attempt.min(16)).expect("16 at most");
    Duration::from_micros(u64::from(u16::from_be_bytes(random)) % most)
}
