//! What the application and the driver read from a request's session.

use super::{Ending, Goal, Machine, Origin, PendingCookie, Saved, State, run::Run};
use crate::{
    content::Content,
    error::Result,
    expiry::Millis,
    key::StoreKey,
    op::Op,
    rules::{Form, Live, Rules},
};

impl Machine {
    /// The session with all changes of this request.
    pub(crate) fn view<'m>(&'m self, rules: &'m Rules) -> &'m Content {
        self.view.as_ref().unwrap_or_else(|| self.base(rules))
    }

    /// The live record as it was last loaded or written.
    pub(crate) fn live(&self) -> Option<&Live> {
        match self.visible_origin() {
            Origin::Live(live) => Some(live),
            _ => None,
        }
    }

    /// The origin as the application sees it: if it logged out during a run, nothing is left of the
    /// session.
    pub(super) fn visible_origin(&self) -> &Origin {
        match &self.run {
            Some(run) if run.logged_out && !matches!(self.origin, Origin::NotLoaded) => {
                &Origin::New
            }
            _ => &self.origin,
        }
    }

    /// Whether the response may show data of a user. The user may have logged out since.
    pub(crate) fn had_owner(&self, rules: &Rules) -> bool {
        self.had_owner || self.view(rules).owner.is_some()
    }

    pub(crate) fn is_opened(&self) -> bool {
        !matches!(self.origin, Origin::Unopened)
    }

    pub(crate) fn is_late(&self) -> bool {
        matches!(self.visible_origin(), Origin::Late(..))
    }

    /// Whether another request ended the session, as far as this request knows.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(
            self.visible_origin(),
            Origin::Ended | Origin::OtherOwner(..)
        )
    }

    pub(crate) fn is_head_sent(&self) -> bool {
        self.head_sent
    }

    /// Whether the session could not be loaded.
    pub(crate) fn is_not_loaded(&self) -> bool {
        matches!(self.origin, Origin::NotLoaded)
    }

    /// The key of this request's live session, or of the renewed id that it presented.
    pub(crate) fn key(&self) -> Option<(&StoreKey, Form)> {
        match self.visible_origin() {
            Origin::Live(live) => Some((&live.key, live.form)),
            Origin::Late(key, form) => Some((key, *form)),
            _ => None,
        }
    }

    /// Whether the request presented the id of a session that has expired, was renewed long ago, or
    /// cannot be read, and has no session of its own.
    pub(crate) fn is_expired(&self) -> bool {
        self.no_rights && !self.others.is_empty() && matches!(self.visible_origin(), Origin::New)
    }

    /// Whether this machine ended a session.
    pub(crate) fn has_ended_one(&self) -> bool {
        self.ended
    }

    /// Whether anything is left to save.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.ops.is_empty() || self.renew || self.extend || !self.endings.is_empty()
    }

    /// How many changes, renewals and log-outs are lost if the last handle is dropped now.
    /// `save_continues` says whether the [background save](Self::has_background_save) continues.
    pub(crate) fn unsaved_changes(&self, save_continues: bool) -> usize {
        // The error was reported.
        if self.write_unknown {
            return 0;
        }
        // The save of a log-out or of a renewal has no changes, and counts as one.
        let begun = self.saving().map_or(0, |run| run.ops.len().max(1));
        let rest = begun + self.endings.len();
        let waiting = self.ops.len() + usize::from(self.renew);
        waiting + if save_continues { 0 } else { rest }
    }

    /// The save under way.
    fn saving(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.goal == Goal::Save)
    }

    /// Whether the call under way moves only the expiry.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_refreshing(&self) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.state == State::Refreshing)
    }

    /// Whether other requests may write on the record that the next call stores before the store has
    /// answered it. Not if that ends the session, or changes whose it is: should the call fail, they
    /// must not have dropped their changes because of it.
    pub(crate) fn others_can_write_behind(&self) -> bool {
        self.run.as_ref().is_some_and(|run| {
            run.state == State::Updating && run.written.is_some() && Op::login(&run.ops).is_none()
        })
    }

    /// Whether the end of the request is under way. Its caller reports the result.
    pub(crate) fn is_finishing(&self) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.goal == Goal::Finish)
    }

    /// Whether something is to continue after the last handle is dropped: a save under way, or the
    /// log-out of a handler that was cut off. A log-out is always safe to complete.
    pub(crate) fn has_background_save(&self) -> bool {
        let ends = !self.head_sent && !self.endings.is_empty();
        !self.write_unknown && (self.saving().is_some() || ends)
    }

    /// Whether the end of the request needs no store call.
    pub(crate) fn is_settled(&self, rules: &Rules, now: Millis) -> bool {
        let failed = |it: &(u64, Result<Saved>)| it.1.is_err();
        let undelivered_error = self.result.iter().chain(&self.results).any(failed);
        let idle = self.run.is_none()
            && self.unreported.is_none()
            && !self.write_unknown
            && !undelivered_error;
        let refreshes =
            |live| (!self.expiry_moved && rules.refreshes(live, now)) || rules.rotates(live, now);
        idle && !self.is_dirty() && !self.sends_id() && !self.live().is_some_and(refreshes)
    }

    /// The value of the `Set-Cookie` header that the response needs, as far as is known.
    pub(crate) fn cookie(&self, rules: &Rules, now: Millis) -> Option<String> {
        match self.pending_cookie {
            PendingCookie::Nothing => None,
            PendingCookie::Removal => Some(rules.removal()),
            PendingCookie::Id | PendingCookie::NewId => {
                rules.set_cookie(self.live().or(self.unended())?, now)
            }
        }
    }

    /// Whether the response removes the cookie: the session was logged out.
    pub(crate) fn removes_cookie(&self) -> bool {
        self.pending_cookie == PendingCookie::Removal
    }

    /// The key of the id that the response's head is to carry.
    pub(super) fn pending_key(&self) -> Option<&StoreKey> {
        let live = match &self.origin {
            Origin::Live(live) => Some(&**live),
            _ => self.unended().or(self.run.as_ref()?.live.as_deref()),
        };
        live.map(|live| &live.key)
    }

    /// The live record that is to end and has not ended yet.
    pub(super) fn unended(&self) -> Option<&Live> {
        self.endings.iter().find_map(|ending| match ending {
            Ending::Live(live) => Some(&**live),
            _ => None,
        })
    }

    /// Whether the response's head is to carry the session's id.
    pub(super) fn sends_id(&self) -> bool {
        matches!(
            self.pending_cookie,
            PendingCookie::Id | PendingCookie::NewId
        )
    }

    /// The session without the changes that no save has taken up.
    pub(super) fn base<'m>(&'m self, rules: &'m Rules) -> &'m Content {
        self.live().map_or(&rules.blank, |live| &live.content)
    }
}
