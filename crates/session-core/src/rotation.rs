//! Rotation: the id of a session changes by itself after a while. Pure functions of the settings
//! and a `now`.
//!
//! A rotation is a renewal whose new id the old one leads to. The old record's tombstone has a
//! nonce, and the new id is an HMAC of the nonce, keyed by the old id. So nothing stores the new
//! id, and a browser that did not get it, because its request was under way or the answer was lost,
//! gets it with its next answer. That ends when a request presents the new id: then the browser has
//! it. For 30 seconds more, the browser's requests that were under way by then go on.

use std::{sync::Arc, time::Duration};

use crate::{
    codec::{Forwarding, Rotation},
    content::Content,
    expiry::Millis,
    header::IdUse,
    key::StoreKey,
    machine::table::rule_holds,
    rules::{Form, Live, Presented, Rules, TOMBSTONE_LIFE},
};

/// How long requests with a rotated id go on once the id after it was presented.
const GRACE: Duration = Duration::from_secs(30);

/// A presented id that was rotated, while the ids after it are tried.
#[derive(Debug)]
pub(crate) struct Rotated {
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) lineage: [u8; 16],
    /// The best that the ids tried so far allow.
    access: Access,
}

/// A presented id that was rotated so long ago that it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) lineage: [u8; 16],
    /// Until when a request with it is one that arrived late.
    pub(crate) late_until: Millis,
}

/// What a request may do with the record that its id leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// It goes on in the session, and gets no id.
    WithoutId,
    /// It goes on in the session, and gets its id.
    WithId,
    /// It presented the record's own id.
    Own,
}

impl Rules {
    /// Whether the id of `live` is to be rotated at `now`, at the end of a request.
    pub(crate) fn rotates(&self, live: &Live, now: Millis) -> bool {
        let Some(period) = self.settings.rotation else {
            return false;
        };
        let since = match live.times.id_use {
            // A request that was rotated must not rotate before the browser has the id.
            Some(IdUse::NotYet) => None,
            Some(IdUse::Since(first)) => Some(first),
            None => live.content.started_at(),
        };
        live.presented
            && live.form.has_tombstones()
            && since.is_some_and(|since| now.since(since) >= period)
            && !self.is_over(live, &live.content, now)
    }

    /// Whether the request is the first that presents the id of `live`, which a rotation made.
    pub(crate) fn is_first_use(live: &Live) -> bool {
        live.presented && live.times.id_use == Some(IdUse::NotYet) && rule_holds!(FirstUseIsNoted)
    }

    /// The use of the id of `live` after a write of a request.
    pub(crate) fn id_use_after(live: &Live, now: Millis) -> Option<IdUse> {
        let notes = Self::is_first_use(live)
            || (live.times.id_use == Some(IdUse::NotYet) && !rule_holds!(OnlyItsUseIsNoted));
        if notes {
            Some(IdUse::Since(now))
        } else {
            live.times.id_use
        }
    }

    /// The use of the new id of `content`, which no rotation makes.
    pub(crate) fn id_use_of_new(&self, content: &Content, now: Millis) -> Option<IdUse> {
        // If the session begins with it, that time is in the record already.
        let later = self.settings.rotation.is_some() && content.started_at() != Some(now);
        later.then_some(IdUse::Since(now))
    }

    /// The latest end that a session may have which is used at `now`, as far as is known: its
    /// absolute timeout, or one idle timeout from now.
    pub(crate) fn longest_end(&self, live: &Live, now: Millis) -> Millis {
        let idle = now.after(self.timeouts(&live.content).idle);
        self.deadline(&live.content).unwrap_or(idle)
    }

    /// The id that `forwarding`, the tombstone of a rotation under the key of `old`, leads to.
    /// `None` if the id was renewed and not rotated, or if the settings make another one of it.
    pub(crate) fn successor(&self, old: &Presented, forwarding: &Forwarding) -> Option<Presented> {
        let nonce = forwarding.rotation.as_ref()?.nonce;
        let id = old.id.successor(&nonce, self.settings.id_bytes);
        let key = self.key_of(old.form, &id);
        (key == forwarding.successor).then_some(Presented {
            id,
            key,
            form: old.form,
            outdated: false,
            unsent: false,
        })
    }
}

impl Rotated {
    /// An id that `rotation` leads on from. `before` is the presented id, if it is another one, and
    /// `access` what that may do here.
    pub(crate) fn by(
        rotation: Rotation,
        before: Option<Self>,
        access: Access,
        (key, form): (StoreKey, Form),
    ) -> Self {
        Self {
            key,
            form,
            owner: rotation.owner,
            lineage: rotation.lineage,
            access: before.map_or(Access::WithId, |_| access),
        }
    }

    /// What the request may do with the record of the next id, whose owner and use these are. The
    /// error says why it is refused.
    pub(crate) fn access(
        &self,
        owner: Option<&Arc<str>>,
        id_use: Option<IdUse>,
        now: Millis,
    ) -> Result<Access, Refused> {
        let first = match id_use {
            Some(IdUse::NotYet) => None,
            Some(IdUse::Since(first)) => Some(first),
            None => Some(Millis::default()),
        };
        let over = first.is_some_and(|first| now.since(first) >= GRACE);
        if owner != self.owner.as_ref() || (over && rule_holds!(GraceEnds)) {
            let until = first.unwrap_or_default();
            return Err(self.refused(until.after(TOMBSTONE_LIFE)));
        }
        Ok(if first.is_none() {
            self.access
        } else {
            Access::WithoutId
        })
    }

    /// Why the request is refused, if the id after this one was renewed more than the grace ago. A
    /// tombstone of a renewal is heeded `until` then.
    pub(crate) fn refused_after_renewal(&self, until: Millis, now: Millis) -> Option<Refused> {
        let over = until.since(now) <= TOMBSTONE_LIFE.saturating_sub(GRACE);
        over.then(|| self.refused(until))
    }

    fn refused(&self, late_until: Millis) -> Refused {
        Refused {
            key: self.key.clone(),
            form: self.form,
            owner: self.owner.clone(),
            lineage: self.lineage,
            late_until,
        }
    }
}
