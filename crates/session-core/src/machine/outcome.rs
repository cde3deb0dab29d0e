//! What the end of a run means for the request.

use std::mem::take;

use super::{
    Ending, Given, Goal, Machine, Origin, Pending, Saved,
    run::{Foreign, Run},
    table::{Outcome, State, holds},
};
use crate::{
    codec::Form,
    error::{Error, Result},
    op::Op,
    rules::Rules,
};

impl Machine {
    /// Ends the run as the table says.
    pub(super) fn finish(&mut self, outcome: Outcome, given: Option<&mut Given<'_>>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let login = Op::login(&run.ops).is_some();
        let changes = !run.ops.is_empty();
        let sends_cookie = run.sends_cookie;
        let error = run.error.take();
        let (live, written, key) = (run.live.take(), run.written.take(), run.key.take());
        let foreign = run.foreign.take();
        let was_ending = matches!(run.state, State::Finding | State::Ending);
        if was_ending
            && matches!(
                outcome,
                Outcome::Missing | Outcome::Unreadable | Outcome::Failed
            )
        {
            self.ending = match (&live, &key) {
                (Some(live), _) => Some(Ending::Live(live.clone())),
                (None, Some((key, form))) => Some(Ending::Unseen(key.clone(), *form)),
                (None, None) => None,
            };
        }
        let native = key
            .as_ref()
            .map(|(_, form)| *form)
            .or(live.as_ref().map(|live| live.form))
            .is_none_or(Rules::keeps_tombstones);
        let result = match outcome {
            Outcome::Opened | Outcome::Reloaded => {
                self.origin = live.map_or(Origin::New, Origin::Live);
                self.drop_unknown_id();
                Ok(Saved::Unchanged)
            }
            Outcome::Late => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Late(key, form));
                Ok(Saved::Unchanged)
            }
            Outcome::Damaged => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Damaged(key, form));
                Ok(Saved::Unchanged)
            }
            Outcome::Anonymous => {
                self.origin = Origin::New;
                Ok(Saved::Unchanged)
            }
            Outcome::Unchanged | Outcome::Kept => {
                let emptied = given.as_ref().is_some_and(|given| {
                    // Flask has a browser forget the cookie, if it has one, of a session that was emptied.
                    given.rules.form() == Form::Flask
                        && matches!(self.origin, Origin::New)
                        && changes
                });
                if emptied {
                    self.pending = Pending::Removal;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Stored => {
                match written {
                    Some(written) => self.origin = Origin::Live(written),
                    None => {
                        // Emptied, in Flask's form.
                        self.origin = Origin::New;
                        self.pending = Pending::Removal;
                    }
                }
                self.moved = true;
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                self.drop_unknown_id();
                Ok(Saved::Stored)
            }
            Outcome::StoredUnderNewId => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.moved = true;
                self.pending = Pending::NewId;
                Ok(Saved::Stored)
            }
            Outcome::Refreshed => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.moved = true;
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Verified => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Unrefreshed => {
                if let Some(error) = error {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a session's expiry was not moved"
                    );
                }
                self.moved = true;
                self.forget_pending_id();
                Ok(Saved::Unchanged)
            }
            Outcome::Followed => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.forget_pending_id();
                if let Origin::Live(live) = &mut self.origin {
                    live.id = None;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Dropped => {
                self.origin = match (foreign, live) {
                    (Some(Foreign::Taken), Some(live)) => Origin::Taken(live.key, live.form),
                    // The session goes on under an id that another answer carries.
                    (Some(Foreign::LoginLost), Some(live)) => {
                        // Made by the user that the request did not become.
                        if !self.ops.is_empty() {
                            self.ops.clear();
                            self.untold = Some(Error::Conflict);
                        }
                        Origin::Live(live)
                    }
                    _ => Origin::Ended,
                };
                self.forget_pending_id();
                if login {
                    Err(Error::Conflict)
                } else {
                    Ok(Saved::Ended)
                }
            }
            Outcome::Missing => {
                self.forget_pending_id();
                Err(error.unwrap_or(if native {
                    Error::Missing
                } else {
                    // Without tombstones nobody knows whether the session was ended or renewed.
                    Error::Conflict
                }))
            }
            Outcome::HeadSent => Err(Error::HeadSent),
            Outcome::Conflict => Err(Error::Conflict),
            Outcome::NotLoaded => Err(Error::NotLoaded),
            Outcome::Unreadable | Outcome::Failed => Err(error.unwrap_or(Error::Unknown)),
        };
        if result.is_ok()
            && let Some(given) = given
            && self.restart_destroyed()
        {
            self.plan(given);
        } else {
            self.end_run(result);
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
        *run = Run {
            awaited: run.awaited,
            ops: take(&mut self.ops),
            renew: take(&mut self.renew),
            ..Run::new(run.number, run.goal)
        };
        self.destroy_origin();
        true
    }

    /// No answer sends an id that the session may not have any more.
    pub(super) fn forget_pending_id(&mut self) {
        if self.sends_id() {
            self.pending = Pending::Nothing;
        }
    }

    pub(super) fn drop_unknown_id(&mut self) {
        if self.live().is_none_or(|live| live.id.is_none()) {
            self.forget_pending_id();
        }
    }

    pub(super) fn end_run(&mut self, result: Result<Saved>) {
        let Some(run) = self.run.take() else {
            return;
        };
        if let Err(error) = &result
            && run.goal != Goal::Reload
            && !error.is_known_outcome()
        {
            self.failed = holds!(UnknownStaysUnknown);
        }
        // An answer that failed could not look whether the id that the browser knows is still the session's.
        if result.is_err() && run.goal == Goal::Finish && self.pending == Pending::Id {
            self.forget_pending_id();
        }
        if run.destroyed && holds!(DestroyedWhileSaving) {
            self.destroy_origin();
        }
        if self.ops.is_empty() {
            self.view = None;
        }
        self.had_owner |= self.live().is_some_and(|live| live.content.owner.is_some());
        match result {
            Err(error) if !run.awaited && run.goal != Goal::Reload => {
                self.untold = Some(error).filter(|_| holds!(UntoldErrorIsTold));
            }
            result if run.awaited => {
                let earlier = self.result.replace((run.number, result));
                self.results.extend(earlier);
            }
            _ => {}
        }
    }
}
