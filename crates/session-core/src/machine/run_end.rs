//! What the end of a run means: the result for its callers, the session's new origin, and the
//! cookie.

use std::{
    mem::{replace, take},
    sync::Arc,
};

use super::{
    Ending, Goal, Inputs, Machine, Origin, PendingCookie, Saved,
    run::{NotAllowed, Run},
    table::{Event, RunEnd, State, rule_holds},
};
use crate::{
    error::{Error, Result},
    key::StoreKey,
    op::Op,
    rotation::Refused,
    rules::{Form, Live},
    security_events,
};

/// The data of a run that ended.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct FinishedRun {
    login: bool,
    /// The session got its first record.
    inserted: bool,
    sends_cookie: bool,
    was_ending: bool,
    /// A login was not admitted.
    withdrawn: bool,
    /// The new record is stored, and the request has its id.
    has_new_id: bool,
    ended: bool,
    may_be_dead: bool,
    ends_rotated: Option<Refused>,
    rotates: bool,
    /// A presented id was rotated long ago.
    refused: bool,
    error: Option<Error>,
    live: Option<Arc<Live>>,
    written: Option<Arc<Live>>,
    key: Option<(StoreKey, Form)>,
    not_allowed: Option<NotAllowed>,
}

impl FinishedRun {
    /// The session that the run was to end, and that has not ended.
    fn unended(&self) -> Option<Ending> {
        if !self.was_ending {
            return None;
        }
        match (&self.ends_rotated, &self.key, &self.live) {
            (Some(refused), ..) => Some(Ending::Rotated(refused.clone())),
            (None, Some((key, form)), _) if self.may_be_dead => {
                Some(Ending::Presented(key.clone(), *form))
            }
            (None, _, Some(live)) => Some(Ending::Live(live.clone())),
            (None, Some((key, form)), None) => Some(Ending::Unloaded(key.clone(), *form)),
            (None, None, None) => None,
        }
    }
}

/// Reports what a security log records.
fn report(end: RunEnd, finished: &FinishedRun, inputs: &Inputs<'_>) {
    let events = &inputs.rules.events;
    let lineage = |live: &Option<Arc<Live>>| live.as_ref().and_then(|it| it.content.lineage);
    // What a visitor does who is not logged in concerns no user, and anybody could do it often.
    let has_owner = finished
        .written
        .as_ref()
        .is_some_and(|it| it.content.owner.is_some());
    let has_new_id = match end {
        RunEnd::StoredUnderNewId | RunEnd::StoredElsewhere => true,
        // The answer is an error, and the browser has the new id.
        RunEnd::Failed => finished.has_new_id,
        _ => false,
    };
    match end {
        _ if finished.login && (has_new_id || end == RunEnd::Stored) => {
            security_events::login(lineage(&finished.written));
        }
        _ if has_new_id && has_owner && finished.rotates => {
            security_events::rotation(lineage(&finished.written));
        }
        _ if has_new_id && has_owner && !finished.inserted => {
            security_events::renewal(lineage(&finished.written));
        }
        RunEnd::Late if !finished.refused => events.late_id(),
        RunEnd::ChangesDropped
            if matches!(finished.not_allowed, Some(NotAllowed::OtherOwner))
                && !finished.rotates =>
        {
            events.foreign_owner(lineage(&finished.live));
        }
        _ => {}
    }
}

/// The result for those who wait for the run.
fn result_for_callers(end: RunEnd, finished: &mut FinishedRun) -> Result<Saved> {
    let error = finished.error.take();
    match end {
        RunEnd::Stored | RunEnd::StoredUnderNewId | RunEnd::StoredElsewhere => Ok(Saved::Stored),
        RunEnd::ChangesDropped if finished.login => Err(Error::Conflict),
        RunEnd::ChangesDropped => Ok(Saved::Ended),
        RunEnd::Missing => Err(error.unwrap_or_else(|| {
            let form = finished.key.as_ref().map(|(_, form)| *form);
            let form = form.or(finished.live.as_ref().map(|live| live.form));
            if form.is_none_or(Form::has_tombstones) {
                Error::Missing
            } else {
                // Without tombstones nobody can tell whether the session ended or was renewed.
                Error::Conflict
            }
        })),
        RunEnd::Unchanged if finished.ended => Ok(Saved::Stored),
        RunEnd::HeadSent => Err(Error::HeadSent),
        RunEnd::Conflict => Err(Error::Conflict),
        RunEnd::NotLoaded => Err(Error::NotLoaded),
        RunEnd::Unreadable | RunEnd::Failed => Err(error.unwrap_or(Error::Unknown)),
        RunEnd::NotRefreshed => {
            if let Some(error) = error {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the expiry of a session could not be moved; a later request tries again"
                );
            }
            Ok(Saved::Unchanged)
        }
        RunEnd::Opened
        | RunEnd::Late
        | RunEnd::Anonymous
        | RunEnd::Damaged
        | RunEnd::Unchanged
        | RunEnd::Refreshed
        | RunEnd::StillLive
        | RunEnd::Reloaded
        | RunEnd::Followed
        | RunEnd::NotEnded => Ok(Saved::Unchanged),
    }
}

impl Machine {
    /// Ends the run with the end that the table says.
    pub(super) fn finish(&mut self, end: RunEnd, inputs: Option<&mut Inputs<'_>>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let changes = !run.ops.is_empty();
        let mut finished = FinishedRun {
            login: Op::login(&run.ops).is_some(),
            inserted: run.state == State::Inserting,
            sends_cookie: run.sends_cookie,
            was_ending: matches!(run.state, State::LoadingToEnd | State::Ending),
            withdrawn: run.state == State::Withdrawing,
            has_new_id: matches!(run.state, State::Confirming | State::CheckingNew),
            ended: run.ended,
            may_be_dead: run.may_be_dead,
            ends_rotated: run.ends_rotated.take(),
            rotates: run.rotates.is_some(),
            refused: run.refused.is_some(),
            error: run.error.take(),
            live: run.live.take(),
            written: run.written.take(),
            key: run.key.take(),
            not_allowed: run.not_allowed.take(),
        };
        // As in Flask, a browser forgets the cookie of a session that was emptied.
        if end == RunEnd::Unchanged
            && changes
            && matches!(self.origin, Origin::New)
            && inputs
                .as_ref()
                .is_some_and(|inputs| inputs.rules.settings.form.every_change_counts())
        {
            self.pending_cookie = PendingCookie::Removal;
        }
        self.others.append(&mut run.others);
        if let Some(inputs) = &inputs {
            report(end, &finished, inputs);
        }
        let result = result_for_callers(end, &mut finished);
        #[cfg(feature = "dbsc")]
        if finished.login && end == RunEnd::StoredUnderNewId {
            self.offer_device();
        }
        self.apply_end(end, finished);
        match (result, inputs) {
            (Ok(saved), Some(inputs)) => {
                if self.restart_for_log_out() {
                    self.plan(inputs);
                } else if self.restart_for_rotation(saved, inputs) {
                    self.transition(Event::RotationDue, inputs);
                } else {
                    self.end_run(Ok(saved));
                }
            }
            (Err(error), Some(inputs)) => self.refuse(error, inputs),
            (result, None) => self.end_run(result),
        }
    }

    /// Ends the run with an error. If the request ends and an earlier save is to send a new id, the
    /// run first checks that the id is still the session's, unless the store failed.
    pub(super) fn refuse(&mut self, error: Error, inputs: &mut Inputs<'_>) {
        let sends = self.pending_cookie == PendingCookie::NewId && !self.head_sent;
        let key = match &self.origin {
            Origin::Live(live) if sends && error.changed_nothing() => (live.key.clone(), live.form),
            _ => return self.end_run(Err(error)),
        };
        let ends_request = |run: &&mut Run| {
            run.goal == Goal::Finish && run.rotates.is_none() && run.refusal.is_none()
        };
        let Some(run) = self.run.as_mut().filter(ends_request) else {
            return self.end_run(Err(error));
        };
        *run = Run {
            awaited: run.awaited,
            logged_out: run.logged_out,
            forgets_id: run.forgets_id,
            key: Some(key),
            refusal: Some(error),
            ..Run::new(run.number, run.goal)
        };
        self.transition(Event::CookiePending, inputs);
    }

    /// Sets the session's origin and the pending cookie.
    fn apply_end(&mut self, end: RunEnd, finished: FinishedRun) {
        let unended = finished.unended();
        let (live, written, key) = (finished.live, finished.written, finished.key);
        match end {
            RunEnd::Opened | RunEnd::Reloaded => {
                self.origin = live.map_or(Origin::New, Origin::Live);
                self.send_id_if(finished.sends_cookie);
                self.drop_unknown_id();
            }
            RunEnd::Late => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Late(key, form));
            }
            RunEnd::Damaged => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Damaged(key, form));
            }
            RunEnd::Anonymous => self.origin = Origin::New,
            RunEnd::Stored | RunEnd::Refreshed => {
                self.expiry_moved = true;
                if let Some(written) = written {
                    self.origin = Origin::Live(written);
                    self.send_id_if(finished.sends_cookie);
                } else {
                    // In Flask's form: the session is empty and its record deleted.
                    self.origin = Origin::New;
                    self.pending_cookie = PendingCookie::Removal;
                }
                self.drop_unknown_id();
            }
            RunEnd::StoredUnderNewId => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.expiry_moved = true;
                self.pending_cookie = PendingCookie::NewId;
            }
            RunEnd::StoredElsewhere => {
                self.origin = written.map_or(Origin::Ended, |mut written| {
                    Arc::make_mut(&mut written).id = None;
                    Origin::Live(written)
                });
                self.expiry_moved = true;
                self.forget_pending_id();
            }
            RunEnd::StillLive => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.send_id_if(finished.sends_cookie);
            }
            RunEnd::NotRefreshed => {
                self.expiry_moved = true;
                self.forget_pending_id();
            }
            RunEnd::Followed => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.forget_pending_id();
                if let Origin::Live(live) = &mut self.origin {
                    let live = Arc::make_mut(live);
                    live.id = None;
                    live.presented = false;
                }
            }
            RunEnd::ChangesDropped => {
                self.origin = match (finished.not_allowed, live) {
                    (Some(NotAllowed::OtherOwner), Some(live)) => {
                        Origin::OtherOwner(live.key.clone(), live.form)
                    }
                    // The session continues under an id that another response carries.
                    (Some(NotAllowed::LoginOvertaken), Some(live)) => {
                        self.drop_changes_of_a_login();
                        Origin::Live(live)
                    }
                    _ => match replace(&mut self.origin, Origin::Ended) {
                        other @ Origin::OtherOwner(..) => other,
                        _ => Origin::Ended,
                    },
                };
                self.forget_pending_id();
            }
            RunEnd::Missing | RunEnd::Unreadable | RunEnd::Failed => {
                if end == RunEnd::Missing {
                    self.forget_pending_id();
                }
                if finished.withdrawn {
                    self.drop_changes_of_a_login();
                }
                self.endings.extend(unended);
            }
            RunEnd::Unchanged
            | RunEnd::NotEnded
            | RunEnd::HeadSent
            | RunEnd::Conflict
            | RunEnd::NotLoaded => {}
        }
    }

    /// Drops the changes that were made meanwhile for the user whose login failed. The next save
    /// says so.
    fn drop_changes_of_a_login(&mut self) {
        if !self.ops.is_empty() {
            self.ops.clear();
            self.unreported = Some(Error::Conflict);
        }
    }

    fn send_id_if(&mut self, due: bool) {
        if due && !self.sends_id() {
            self.pending_cookie = PendingCookie::Id;
        }
    }

    /// If the application logged out during the save, prepares the run to end the session, and
    /// returns true.
    fn restart_for_log_out(&mut self) -> bool {
        let Some(run) = self.run.as_mut().filter(|run| run.logged_out) else {
            return false;
        };
        if run.goal == Goal::Reload || !rule_holds!(LogOutDuringSaveHolds) {
            return false;
        }
        let forgets_id = run.forgets_id;
        *run = Run {
            awaited: run.awaited,
            ops: take(&mut self.ops),
            renew: take(&mut self.renew),
            refusal: run.refusal.take(),
            ..Run::new(run.number, run.goal)
        };
        self.log_out_origin();
        if forgets_id {
            self.forget_pending_id();
        }
        true
    }

    /// Sends no id, because the session may have another one by now.
    pub(super) fn forget_pending_id(&mut self) {
        if self.sends_id() {
            self.pending_cookie = PendingCookie::Nothing;
        }
    }

    pub(super) fn drop_unknown_id(&mut self) {
        let known = matches!(&self.origin, Origin::Live(live) if live.id.is_some());
        if !known {
            self.forget_pending_id();
        }
    }

    pub(super) fn end_run(&mut self, result: Result<Saved>) {
        let Some(Run {
            number,
            awaited,
            goal,
            logged_out,
            forgets_id,
            rotates,
            refusal,
            ..
        }) = self.run.take()
        else {
            return;
        };
        let result = refusal.map_or(result, Err);
        // A response that failed could not check that the id is still the session's. Nor could one
        // whose rotation failed; its new id is not needed, because the old one leads to it.
        let unchecked = self.pending_cookie == PendingCookie::Id || rotates.is_some();
        if result.is_err() && goal == Goal::Finish && unchecked {
            self.forget_pending_id();
        }
        // The session goes on under its old id, or both ids lead to it.
        let result = match (rotates, result) {
            (Some(saved), Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session's id could not be rotated; a later request tries again"
                );
                Ok(saved)
            }
            (Some(saved), Ok(_)) => Ok(saved),
            (None, result) => result,
        };
        if let Err(error) = &result
            && goal != Goal::Reload
            && !error.changed_nothing()
        {
            self.write_unknown = rule_holds!(UnknownStaysUnknown);
        }
        if logged_out && rule_holds!(LogOutDuringSaveHolds) {
            self.log_out_origin();
            if forgets_id {
                self.forget_pending_id();
            }
        }
        if self.ops.is_empty() {
            self.view = None;
        }
        self.had_owner |= self.live().is_some_and(|live| live.content.owner.is_some());
        match result {
            Err(error) if !awaited && goal != Goal::Reload => {
                self.unreported = Some(error).filter(|_| rule_holds!(UnreportedErrorIsReported));
            }
            result if awaited => {
                let earlier = self.result.replace((number, result));
                self.results.extend(earlier);
            }
            _ => {}
        }
    }
}
