//! What the application does with a request's session: it changes the view and notes what to save.

use std::mem::take;

use super::{Ending, Machine, Origin, PendingCookie};
use crate::{
    error::{Error, Result},
    expiry::Millis,
    op::Op,
    rules::Rules,
};

impl Machine {
    /// Applies a change and records it, so that it can be replayed on a newer record.
    ///
    /// # Errors
    ///
    /// If the change cannot be applied. Then nothing is recorded.
    pub(crate) fn change(&mut self, op: Op, rules: &Rules, now: Millis) -> Result<()> {
        if let Op::LogIn(..) = &op {
            match self.visible_origin() {
                Origin::Ended | Origin::OtherOwner(..) => return Err(Error::Conflict),
                Origin::NotLoaded => return Err(Error::NotLoaded),
                _ => {}
            }
        }
        let format = rules.settings.format;
        // What is stored already needs no write. After other changes this is not certain, because a
        // replay may find another record.
        let untouched = self.ops.is_empty() && self.run.is_none();
        if let Origin::Live(live) = &self.origin
            && untouched
            // In Flask every assignment is a change, also of an equal value.
            && !rules.settings.form.every_change_counts()
            && op.is_done_in(&live.content, format)
        {
            return Ok(());
        }
        let login = match &op {
            Op::LogIn(owner, _) => Some(owner.clone()),
            _ => None,
        };
        let before = self.view(rules).owner.clone();
        let base = self.view.is_none().then(|| self.base(rules).clone());
        // If the change fails, or its closure panics, the view stays as it was.
        let view = self.view.get_or_insert_with(|| base.unwrap_or_default());
        if !op.apply(view, now, format)? && untouched && matches!(self.origin, Origin::Live(_)) {
            return Ok(());
        }
        // A login of another user empties the session. A replay of the login must not bring earlier
        // changes back.
        if login.is_some_and(|login| before.is_some_and(|before| before != login)) {
            self.ops.retain(Op::outlives_a_login);
        }
        self.ops.push(op);
        Ok(())
    }

    pub(crate) fn renew(&mut self) {
        self.renew = true;
    }

    /// Makes the next save move the expiry, whether a refresh is due or not.
    pub(crate) fn extend(&mut self) {
        let may_go_on = matches!(self.origin, Origin::Live(_) | Origin::NotLoaded);
        self.extend = may_go_on || self.run.is_some();
    }

    /// Ends the session. The view is empty at once; the next save ends the record.
    pub(crate) fn log_out(&mut self, rules: &Rules) {
        #[cfg(any(feature = "dbsc", feature = "flask-cookie"))]
        {
            self.logged_out = true;
        }
        self.view = None;
        if let Some(run) = &mut self.run {
            run.logged_out = true;
            self.view = Some(rules.blank.clone());
        } else {
            self.log_out_origin();
        }
        self.ops.clear();
        self.renew = false;
        self.extend = false;
    }

    /// Like [`log_out`](Self::log_out), for a session that has ended in the store. No response
    /// sends its id any more.
    pub(crate) fn log_out_ended(&mut self, rules: &Rules) {
        self.log_out(rules);
        self.forget_pending_id();
        if let Some(run) = &mut self.run {
            run.forgets_id = true;
        }
    }

    pub(super) fn log_out_origin(&mut self) {
        // A browser may send several cookies of one name, whose paths or domains differ. If one of
        // their sessions stayed live, the browser would still be logged in.
        let others = take(&mut self.others).into_iter();
        let others = others.map(|(key, form)| Ending::Presented(key, form));
        self.endings.extend(others);
        let origin = std::mem::replace(&mut self.origin, Origin::New);
        let ending = match origin {
            Origin::Live(live) => Some(Ending::Live(live)),
            Origin::Late(key, form)
            | Origin::Damaged(key, form)
            | Origin::OtherOwner(key, form) => Some(Ending::Unloaded(key, form)),
            Origin::NotLoaded => {
                self.origin = Origin::NotLoaded;
                Some(Ending::NotLoaded)
            }
            Origin::Unopened | Origin::New | Origin::Ended => None,
        };
        // The request's own session ends first, whatever the others come to.
        self.endings.extend(ending);
        if self.endings.is_empty() {
            self.pending_cookie = PendingCookie::Removal;
        }
    }

    /// The head is sent. From now on no cookie can be set.
    pub(crate) fn close_head(&mut self) {
        self.head_sent = true;
    }

    /// Continues with an empty session that is never written, because none could be loaded.
    pub(crate) fn continue_unloaded(&mut self) {
        if !self.is_opened() {
            self.origin = Origin::NotLoaded;
        }
    }

    /// Drops everything but the [background save](Self::has_background_save). Unsaved changes of a
    /// handler that was cut off may be incomplete.
    pub(crate) fn keep_background_save(&mut self) {
        self.ops.clear();
        self.renew = false;
        self.extend = false;
        self.close_head();
    }
}
