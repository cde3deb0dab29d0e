use std::mem::take;

use super::{
    Session,
    state::{Ending, State, Writes},
};
use crate::{
    codec::Form,
    cookie::{self, Lasting},
    error::{Error, Result},
    expiry::cookie_age,
    lifecycle::{Cookie, Done, EndTerms, Live, Origin, Saved, Terms},
    op::Op,
};

/// What is to be done in the store.
#[derive(Debug)]
struct Job {
    origin: Origin,
    ops: Vec<Op>,
    renew: bool,
    ending: Option<Ending>,
}

impl Session {
    /// Saves what changed so far, before the request is answered or while its body is streamed.
    ///
    /// Afterwards values are final, as they are in the store. Before the response's head is sent, a cookie that is
    /// needed goes into that head.
    ///
    /// # Errors
    ///
    /// If the store fails: the outcome is unknown, and stays so for every later save. If the session is too large, or
    /// the head was sent and a cookie is needed: the changes are dropped, and what was stored is intact.
    pub async fn save(&self) -> Result<Saved> {
        if self.state().head_sent {
            self.0.budget.refill();
        }
        self.settle(false).await
    }

    /// Whether the end of the request needs nothing of the store.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state();
        state.writes != Writes::Unknown && !state.is_dirty() && self.refreshable(&state).is_none()
    }

    /// The session whose expiry is to be moved, if that is due.
    fn refreshable<'s>(&self, state: &'s State) -> Option<&'s Live> {
        let work = self.work_since(state.since);
        state
            .live()
            .filter(|live| state.writes == Writes::None && work.refresh_due(live))
    }

    /// The value of the `Set-Cookie` header that the session needs so far.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.state().cookie.clone()
    }

    /// From now on no cookie can be set.
    pub(crate) fn close_head(&self) {
        self.state().head_sent = true;
    }

    /// Saves what changed; with `refresh`, moves the expiry of what did not, if that is due.
    pub(crate) async fn settle(&self, refresh: bool) -> Result<Saved> {
        let _turn = self.0.turn.lock().await;
        let job = {
            let mut state = self.state();
            if state.writes == Writes::Unknown {
                return Err(Error::Unknown);
            }
            Job {
                origin: state.origin.clone(),
                ops: take(&mut state.ops),
                renew: take(&mut state.renew),
                ending: take(&mut state.ending),
            }
        };
        match self.perform(&job, refresh).await {
            Ok(done) => {
                let saved = done.saved;
                self.accept(done);
                self.remake()?;
                Ok(saved)
            }
            Err(error) => {
                self.fail(job, &error);
                // A change made meanwhile stands; if it does not fit without the failed ones, its own save says so.
                let _fits = self.remake();
                Err(error)
            }
        }
    }

    async fn perform(&self, job: &Job, refresh: bool) -> Result<Done> {
        let work = self.work();
        let shared = &self.0.shared;
        let login = Op::login(&job.ops);
        match &job.ending {
            None => {}
            Some(Ending::NeverSeen) => return Err(Error::Unknown),
            Some(Ending::Record { key, form, seen }) => {
                let seen = seen.as_deref().cloned();
                Box::pin(work.end(key, *form, seen, EndTerms::default())).await?;
                let removal = self.removal();
                self.state().cookie = Some(removal);
            }
        }
        // After the end: a session that was destroyed is ended, whatever becomes of the one that follows it.
        self.check_head(job)?;
        match &job.origin {
            Origin::Detached => Ok(Done::unchanged(Origin::Detached)),
            Origin::New => Box::pin(work.insert(shared.form(), &job.ops)).await,
            // A login starts a session of its own: otherwise a lost answer would lock the user out.
            Origin::Late if login.is_some() => Box::pin(work.insert(shared.form(), &job.ops)).await,
            Origin::Late | Origin::Ended if job.ops.is_empty() => {
                Ok(Done::unchanged(job.origin.clone()))
            }
            Origin::Late => Err(Error::Conflict),
            Origin::Ended if login.is_some() => Err(Error::Conflict),
            Origin::Ended => Ok(Done::dropped()),
            Origin::Live(live) => {
                let moves = work.next_form(live) != live.form && !job.ops.is_empty();
                if job.renew || login.is_some() || moves {
                    Box::pin(work.renew(live, &job.ops)).await
                } else if !job.ops.is_empty() {
                    let owner = live.content.owner.as_deref();
                    let terms = Terms { owner, login: None };
                    work.write(live, &job.ops, terms).await
                } else if refresh && self.refreshable(&self.state()).is_some() {
                    let permanent = self.0.permanent(live.form, &live.content);
                    Ok(Box::pin(work.refresh(live.clone(), permanent)).await)
                } else {
                    Ok(Done::unchanged(job.origin.clone()))
                }
            }
        }
    }

    /// After the head no cookie can be set, so nothing may be stored that needs one.
    fn check_head(&self, job: &Job) -> Result<()> {
        let state = self.state();
        let fresh_id = match &job.origin {
            Origin::New => !state.view().is_empty(),
            Origin::Live(_) => job.renew || Op::login(&job.ops).is_some(),
            Origin::Late => Op::login(&job.ops).is_some(),
            Origin::Ended | Origin::Detached => false,
        };
        if state.head_sent && fresh_id {
            Err(Error::HeadSent)
        } else {
            Ok(())
        }
    }

    fn accept(&self, done: Done) {
        let cookie = match (done.cookie, &done.origin) {
            (_, Origin::Ended) => Some(None),
            (Cookie::Remove, _) => Some(Some(self.removal())),
            (Cookie::Set, Origin::Live(live)) => Some(self.cookie_of(live)),
            _ => None,
        };
        let mut state = self.state();
        if done.saved == Saved::Stored {
            state.writes = Writes::Stored;
        }
        if let Some(cookie) = cookie {
            state.cookie = cookie;
        }
        state.rebase(done.origin);
    }

    fn fail(&self, job: Job, error: &Error) {
        let mut state = self.state();
        let known = matches!(
            error,
            Error::TooLarge { .. }
                | Error::Conflict
                | Error::HeadSent
                | Error::Encode { .. }
                | Error::Decode { .. }
        );
        if !known {
            state.writes = Writes::Unknown;
        }
        state.rebase(job.origin);
    }

    fn cookie_of(&self, live: &Live) -> Option<String> {
        let shared = &self.0.shared;
        let value = shared.cookie_value(live.form, live.id.as_ref()?);
        let lasting = match live.form {
            _ if !self.0.permanent(live.form, &live.content) => Lasting::BrowserSession,
            Form::Native => Lasting::Seconds(cookie_age(live.expires_at, shared.now())),
            Form::Flask => Lasting::Until(live.expires_at),
        };
        Some(cookie::set_cookie(&shared.settings.cookie, &value, lasting))
    }

    pub(super) fn removal(&self) -> String {
        let settings = &self.0.shared.settings;
        match self.0.shared.form() {
            Form::Native => cookie::removal(&settings.cookie),
            Form::Flask => cookie::flask_removal(&settings.cookie),
        }
    }
}
