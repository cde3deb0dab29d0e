//! What the end of a run means for the request.

use std::{
    mem::{replace, take},
    sync::Arc,
};

use super::{
    Ending, Goal, Inputs, Machine, Origin, Pending, Saved,
    run::{Foreign, Run},
    table::{RunEnd, State, holds},
};
use crate::{
    error::{Error, Result},
    key::StoreKey,
    op::Op,
    rules::{Form, Live},
};

/// What a run has come to.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Results {
    login: bool,
    sends_cookie: bool,
    was_ending: bool,
    ended: bool,
    ends_expired: bool,
    error: Option<Error>,
    live: Option<Arc<Live>>,
    written: Option<Arc<Live>>,
    key: Option<(StoreKey, Form)>,
    foreign: Option<Foreign>,
}

/// What whoever waits for the run is told.
fn told(outcome: RunEnd, found: &mut Results) -> Result<Saved> {
    let error = found.error.take();
    match outcome {
        RunEnd::Stored | RunEnd::StoredUnderNewId | RunEnd::StoredElsewhere => Ok(Saved::Stored),
        RunEnd::Dropped if found.login => Err(Error::Conflict),
        RunEnd::Dropped => Ok(Saved::Ended),
        RunEnd::Missing => Err(error.unwrap_or_else(|| {
            let form = found.key.as_ref().map(|(_, form)| *form);
            let form = form.or(found.live.as_ref().map(|live| live.form));
            if form.is_none_or(Form::has_tombstones) {
                Error::Missing
            } else {
                // Without tombstones nobody knows whether the session was ended or renewed.
                Error::Conflict
            }
        })),
        RunEnd::Unchanged if found.ended => Ok(Saved::Stored),
        RunEnd::HeadSent => Err(Error::HeadSent),
        RunEnd::Conflict => Err(Error::Conflict),
        RunEnd::NotLoaded => Err(Error::NotLoaded),
        RunEnd::Unreadable | RunEnd::Failed => Err(error.unwrap_or(Error::Unknown)),
        RunEnd::Unrefreshed => {
            if let Some(error) = error {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session's expiry was not moved"
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
        | RunEnd::Verified
        | RunEnd::Reloaded
        | RunEnd::Followed
        | RunEnd::Kept => Ok(Saved::Unchanged),
    }
}

impl Machine {
    /// Ends the run as the table says.
    pub(super) fn finish(&mut self, outcome: RunEnd, inputs: Option<&mut Inputs<'_>>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let changes = !run.ops.is_empty();
        let mut found = Results {
            login: Op::login(&run.ops).is_some(),
            sends_cookie: run.sends_cookie,
            was_ending: matches!(run.state, State::Finding | State::Ending),
            ended: run.ended,
            ends_expired: run.ends_expired,
            error: run.error.take(),
            live: run.live.take(),
            written: run.written.take(),
            key: run.key.take(),
            foreign: run.foreign.take(),
        };
        // Flask has a browser forget the cookie, if it has one, of a session that was emptied.
        if outcome == RunEnd::Unchanged
            && changes
            && matches!(self.origin, Origin::New)
            && inputs
                .as_ref()
                .is_some_and(|inputs| inputs.rules.settings.form.every_change_counts())
        {
            self.pending = Pending::Removal;
        }
        self.expired.append(&mut run.expired);
        let result = told(outcome, &mut found);
        self.take_over(outcome, found);
        if result.is_ok()
            && let Some(inputs) = inputs
            && self.restart_destroyed()
        {
            self.plan(inputs);
        } else {
            self.end_run(result);
        }
    }

    /// What the session is from now on, and what the answer's head says of the cookie.
    fn take_over(&mut self, outcome: RunEnd, found: Results) {
        let (live, written, key) = (found.live, found.written, found.key);
        match outcome {
            RunEnd::Opened | RunEnd::Reloaded => {
                self.origin = live.map_or(Origin::New, Origin::Live);
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
                self.moved = true;
                if let Some(written) = written {
                    self.origin = Origin::Live(written);
                    self.send_id_if(found.sends_cookie);
                } else {
                    // Emptied, in Flask's form.
                    self.origin = Origin::New;
                    self.pending = Pending::Removal;
                }
                self.drop_unknown_id();
            }
            RunEnd::StoredUnderNewId => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.moved = true;
                self.pending = Pending::NewId;
            }
            RunEnd::StoredElsewhere => {
                self.origin = written.map_or(Origin::Ended, |mut written| {
                    Arc::make_mut(&mut written).id = None;
                    Origin::Live(written)
                });
                self.moved = true;
                self.forget_pending_id();
            }
            RunEnd::Verified => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.send_id_if(found.sends_cookie);
            }
            RunEnd::Unrefreshed => {
                self.moved = true;
                self.forget_pending_id();
            }
            RunEnd::Followed => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.forget_pending_id();
                if let Origin::Live(live) = &mut self.origin {
                    Arc::make_mut(live).id = None;
                }
            }
            RunEnd::Dropped => {
                self.origin = match (found.foreign, live) {
                    (Some(Foreign::Taken), Some(live)) => {
                        Origin::Taken(live.key.clone(), live.form)
                    }
                    // The session goes on under an id that another answer carries.
                    (Some(Foreign::LoginLost), Some(live)) => {
                        // Made by the user that the request did not become.
                        if !self.ops.is_empty() {
                            self.ops.clear();
                            self.unreported = Some(Error::Conflict);
                        }
                        Origin::Live(live)
                    }
                    _ => match replace(&mut self.origin, Origin::Ended) {
                        taken @ Origin::Taken(..) => taken,
                        _ => Origin::Ended,
                    },
                };
                self.forget_pending_id();
            }
            RunEnd::Missing | RunEnd::Unreadable | RunEnd::Failed => {
                if outcome == RunEnd::Missing {
                    self.forget_pending_id();
                }
                if found.was_ending {
                    let ending = match (key, live) {
                        (Some((key, form)), _) if found.ends_expired => {
                            Some(Ending::Expired(key, form))
                        }
                        (_, Some(live)) => Some(Ending::Live(live)),
                        (Some((key, form)), None) => Some(Ending::Unseen(key, form)),
                        (None, None) => None,
                    };
                    self.endings.extend(ending);
                }
            }
            RunEnd::Unchanged
            | RunEnd::Kept
            | RunEnd::HeadSent
            | RunEnd::Conflict
            | RunEnd::NotLoaded => {}
        }
    }

    fn send_id_if(&mut self, due: bool) {
        if due && !self.sends_id() {
            self.pending = Pending::Id;
        }
    }

    /// The session was destroyed while it was saved: the run goes on and ends it. Whether that is so.
    fn restart_destroyed(&mut self) -> bool {
        let Some(run) = self.run.as_mut().filter(|run| run.destroyed) else {
            return false;
        };
        if run.goal == Goal::Reload || !holds!(DestroyedWhileSaving) {
            return false;
        }
        let forgets_id = run.forgets_id;
        *run = Run {
            awaited: run.awaited,
            ops: take(&mut self.ops),
            renew: take(&mut self.renew),
            ..Run::new(run.number, run.goal)
        };
        self.destroy_origin();
        if forgets_id {
            self.forget_pending_id();
        }
        true
    }

    /// No answer sends an id that the session may not have any more.
    pub(super) fn forget_pending_id(&mut self) {
        if self.sends_id() {
            self.pending = Pending::Nothing;
        }
    }

    pub(super) fn drop_unknown_id(&mut self) {
        let known = matches!(&self.origin, Origin::Live(live) if live.id.is_some());
        if !known {
            self.forget_pending_id();
        }
    }

    pub(super) fn end_run(&mut self, result: Result<Saved>) {
        let Some(&Run {
            number,
            awaited,
            goal,
            destroyed,
            forgets_id,
            ..
        }) = self.run.as_ref()
        else {
            return;
        };
        self.run = None;
        if let Err(error) = &result
            && goal != Goal::Reload
            && !error.changed_nothing()
        {
            self.failed = holds!(UnknownStaysUnknown);
        }
        // An answer that failed could not look whether the id that the browser knows is still the session's.
        if result.is_err() && goal == Goal::Finish && self.pending == Pending::Id {
            self.forget_pending_id();
        }
        if destroyed && holds!(DestroyedWhileSaving) {
            self.destroy_origin();
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
                self.unreported = Some(error).filter(|_| holds!(UntoldErrorIsTold));
            }
            result if awaited => {
                let earlier = self.result.replace((number, result));
                self.results.extend(earlier);
            }
            _ => {}
        }
    }
}
