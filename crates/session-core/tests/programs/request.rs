//! Runs one request of a program: the handler's steps, the end of the request, and the steps after
//! the head.

#[path = "request/answer.rs"]
mod answer;
#[path = "request/events.rs"]
mod events;

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use session_core::{Finish, Result, Saved, Session, Sessions, StoreKey};

use crate::{
    history::{End, Kind, Promise, State},
    program::{Limit, Open, Step, USERS, Use},
    runner::{Run, moving},
};

/// The most values that a program adds; each has a digit of the counter.
pub(crate) const ITEMS: usize = 30;

/// The answer to a call on a user's sessions, and the records that it loaded.
struct Listed<T> {
    answer: Result<T>,
    loaded_at: HashMap<StoreKey, u64>,
}

type Held<'s> = Vec<Pin<Box<dyn Future<Output = Result<Saved>> + 's>>>;

/// Serves request `r` as an adapter does: the handler, the end of the request, the answer,
/// and what comes after the head.
pub(crate) async fn serve(run: &Run<'_>, r: usize) {
    let request = &run.program.requests[r];
    let header = run.browsers.borrow_mut()[request.browser].header(run.browser_now());
    run.arrives(r, &header);
    let request_session = run.sessions[request.process].begin_request();
    let mut session = None;
    match request.open {
        Open::First => {
            session = open(run, r, &request_session, &header).await;
        }
        Open::Never if run.program.config.refresh == Use::EveryRequest => {
            let opened = request_session.open_untouched(&mut std::iter::once(header.as_bytes()));
            if run.within(r, 0, opened).await.is_err() {
                run.history.borrow_mut().requests[r].failures += 1;
            }
        }
        Open::Never | Open::AfterHead => {}
    }
    let opened = session.clone();
    let mut held = Held::new();
    if let Some(session) = &opened {
        for step in &request.steps {
            perform(run, r, 0, session, *step, &mut held).await;
        }
    }
    let (taken, ended) = run.finish_begins(r);
    let finished = match request_session.finish() {
        Finish::Ready(outcome) => Ok(outcome),
        Finish::Pending(saving) => run.within(r, 0, saving).await,
    };
    let answer = match &finished {
        Ok(outcome) => outcome.clone(),
        Err(_) => request_session.failed(),
    };
    if request.open == Open::Never {
        session = request_session.loaded();
        if let Some(session) = &session {
            run.opened(r, session);
        }
    }
    run.answers(
        r,
        session.as_ref(),
        (&taken, &ended),
        finished.as_ref().err(),
        answer.set_cookie,
    );
    if request.open == Open::AfterHead {
        session = open(run, r, &request_session, &header).await;
    }
    if let Some(session) = &session {
        for step in &request.after {
            perform(run, r, 0, session, *step, &mut held).await;
        }
    }
    drop(held);
}

/// What another task of request `r` does with a clone of the session.
pub(crate) async fn assist(run: &Run<'_>, r: usize, session: Session) {
    let mut held = Held::new();
    for step in &run.program.requests[r].task {
        perform(run, r, 1, &session, *step, &mut held).await;
    }
}

async fn open(
    run: &Run<'_>,
    r: usize,
    request_session: &session_core::RequestSession,
    header: &str,
) -> Option<Session> {
    let opening = request_session.session(&mut std::iter::once(header.as_bytes()));
    match run.within(r, 0, opening).await {
        Ok(session) => {
            run.opened(r, &session);
            *run.published[r].borrow_mut() = Some(session.clone());
            Some(session)
        }
        Err(error) => {
            run.failed(r, &error);
            None
        }
    }
}

async fn perform<'s>(
    run: &Run<'_>,
    r: usize,
    thread: usize,
    session: &'s Session,
    step: Step,
    held: &mut Held<'s>,
) {
    let number = 2 * r + thread;
    run.history
        .borrow_mut()
        .add_trace(|| format!("thread {number}: {step:?}"));
    match step {
        Step::Read => {
            let _number = session.get::<u64>("n");
            run.record_read(r, session);
        }
        Step::Mark => run.adds(r, thread, session, Kind::Mark, |session, item| {
            session.insert(&format!("m{item}"), &1)
        }),
        Step::Count => run.adds(r, thread, session, Kind::Count, |session, item| {
            let digit = 1_u64 << (2 * item);
            let add = move |found: Option<u64>| found.unwrap_or(0).wrapping_add(digit);
            session.update("n", add).map(drop)
        }),
        Step::Put => run.adds(r, thread, session, Kind::Put, |session, item| {
            session.insert("a", &item)
        }),
        Step::Flash => run.adds(r, thread, session, Kind::Flash, |session, item| {
            session.flash("info", &item.to_string())
        }),
        Step::TakeFlashes => run.changes(r, thread, session, Kind::TakeFlashes, |session| {
            session.take_flashes().map(drop)
        }),
        Step::Remove => run.changes(r, thread, session, Kind::Remove, |session| {
            session.remove("a");
            Ok(())
        }),
        Step::Clear => run.changes(r, thread, session, Kind::Clear, |session| {
            session.clear();
            Ok(())
        }),
        Step::LogIn(user) => log_in(run, r, thread, session, (user, false)),
        Step::LogInFrom(user) => log_in(run, r, thread, session, (user, true)),
        Step::Save => {
            let taken = run.history.borrow_mut().take_up(r);
            let ended = run.ended_sessions(r);
            let saved = run.within(r, thread, session.save()).await;
            run.saved(r, session, &taken, &ended, &saved);
        }
        Step::SaveDropped(polls) | Step::SaveHeld(polls) => {
            let taken = run.history.borrow_mut().take_up(r);
            let ended = run.ended_sessions(r);
            let mut saving: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(session.save());
            let polled = polled(saving.as_mut(), polls);
            if let Some(saved) = run.within(r, thread, polled).await {
                run.saved(r, session, &taken, &ended, &saved);
            } else {
                // It may have taken up what was changed since it was made.
                run.history.borrow_mut().take_up_too(r, &taken);
                if matches!(step, Step::SaveHeld(_)) {
                    held.push(saving);
                    for change in &mut run.history.borrow_mut().changes {
                        change.held |= change.request == Some(r) && change.state == State::Pending;
                    }
                }
            }
        }
        Step::Reload => {
            let began = run.tick();
            let reloaded = run.within(r, thread, session.reload()).await;
            run.reloaded(r, session, began, &reloaded);
        }
        Step::Renew => session.renew(),
        Step::Extend => session.extend(),
        Step::LogOut => {
            run.record_log_out(r, session);
            session.log_out();
        }
        Step::Everywhere { .. }
        | Step::EndOne(_)
        | Step::EndAllOf(_)
        | Step::EndFrom(_)
        | Step::List => {
            owned(run, r, number, session, step).await;
        }
        Step::Carry => carry(run, r).await,
        Step::Lifetime(own) => session.set_lifetime(own.map(Duration::from_secs)),
        Step::Permanent(permanent) => session.set_permanent(permanent),
        Step::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        Step::Pause => {
            let mut paused = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut paused, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        Step::Reenter => reenter(run, session),
    }
}

/// What concerns all sessions of a user.
async fn owned(run: &Run<'_>, r: usize, thread: usize, session: &Session, step: Step) {
    let began = run.tick();
    match step {
        Step::Everywhere { keep } => {
            let user = run.authorised_user(r, session);
            let presented = run.history.borrow().requests[r].presented;
            let late = session.is_new() && presented.is_some();
            let own = run.own_group(r).filter(|_| keep);
            run.tries_to_end_all(r, user, own);
            let Listed {
                answer: ended,
                loaded_at,
            } = run.within_list_time(session.log_out_everywhere(keep)).await;
            if user.is_none() {
                // Somebody may have logged in meanwhile.
                run.tries_to_end_all(r, user, own);
            }
            if ended.is_ok() && !keep {
                run.record_loaded(thread, loaded_at);
            }
            if ended.is_ok() && !keep && (user.is_some() || late) {
                run.record_log_out(r, session);
            }
            if user.is_none() {
                // Nobody knows whose session it was, if anybody's.
                run.history.borrow_mut().requests[r].ending.clear();
            }
            if let (Ok(_), Some(user)) = (ended, user) {
                run.claims(
                    r,
                    End::User {
                        user,
                        only: None,
                        keep: own,
                        began,
                    },
                );
            }
        }
        Step::EndOne(seed) => {
            let Some((group, lineage)) = run.seed_lineage(seed) else {
                return;
            };
            let user = run.authorised_user(r, session);
            run.history.borrow_mut().groups[group].end_tried = true;
            // Whether it is this session is decided once the end is done.
            let mut own = false;
            let mut call = pin!(session.end_owner_session(&lineage));
            let call = poll_fn(|cx| {
                own = session.lineage().as_ref() == Some(&lineage);
                call.as_mut().poll(cx)
            });
            let Listed {
                answer: ended,
                loaded_at,
            } = run.within_list_time(call).await;
            if ended.is_ok() && own && user.is_some() {
                run.record_loaded(thread, loaded_at);
                run.record_log_out(r, session);
                let mut history = run.history.borrow_mut();
                if history.logins_of(group).any(|it| Some(it) != user) {
                    // It may be another user's by then, and is left alone.
                    history.requests[r].ending.pop();
                }
            }
            if let (Ok(_), Some(user)) = (ended, user) {
                run.claims(
                    r,
                    End::User {
                        user,
                        only: Some(group),
                        keep: None,
                        began,
                    },
                );
            }
        }
        Step::EndAllOf(user) | Step::EndFrom(user) => {
            end_all_of(run, r, user, step, began).await;
        }
        _ => {
            let _listed = run.within_list_time(session.owner_sessions()).await;
        }
    }
}

/// Logs a user in; whether the identity provider vouches for them.
fn log_in(
    run: &Run<'_>,
    r: usize,
    thread: usize,
    session: &Session,
    (user, from_provider): (usize, bool),
) {
    run.changes(r, thread, session, Kind::LogIn(user), |session| {
        if from_provider {
            session.log_in_from_provider(USERS[user], USERS[user])
        } else {
            session.log_in(USERS[user])
        }
    });
    let mut history = run.history.borrow_mut();
    if let Some(login) = history.changes.last_mut() {
        login.from_provider = from_provider;
    }
    // What has expired by the clock is ended, although a request still uses it.
    let ends = |it: Limit| !it.refuses || run.may_be_slow;
    if run.program.config.limit.is_some_and(ends) {
        history.ended_users.push((user, None));
    }
    if session.owner().as_deref() == Some(USERS[user]) {
        history.requests[r].logged_in = true;
    }
}

/// Ends the sessions of a user, or those that came from the provider's session of the user.
async fn end_all_of(run: &Run<'_>, r: usize, user: usize, step: Step, began: u64) {
    let sessions: &Sessions = &run.sessions[run.program.requests[r].process];
    let from_provider = step == Step::EndFrom(user);
    if from_provider {
        run.history.borrow_mut().ended_by_provider.push(user);
    } else {
        run.history.borrow_mut().ended_users.push((user, None));
    }
    let ending = async {
        if from_provider {
            sessions.end_provider_session(USERS[user]).await
        } else {
            sessions.log_out_everywhere(USERS[user]).await
        }
    };
    if run.within_list_time(ending).await.answer.is_ok() {
        let end = if from_provider {
            End::From { user, began }
        } else {
            End::User {
                user,
                only: None,
                keep: None,
                began,
            }
        };
        run.claims(r, end);
    }
}

/// Moves all that are still in the old store. What fails is left where it is.
async fn carry(run: &Run<'_>, r: usize) {
    let sessions: &Sessions = &run.sessions[run.program.requests[r].process];
    let moving = moving(&run.bench.store);
    let mut next = None;
    let carrying = async {
        loop {
            next = sessions.carry(&moving, next.as_ref(), 1).await?.next;
            if next.is_none() {
                return Ok(());
            }
        }
    };
    // Nobody waits for it, so it may take its time.
    let _answer = run.without_its_time(carrying).await;
}

/// Changes the session inside of the closure of an update; it has to end, one way or the other.
fn reenter(run: &Run<'_>, session: &Session) {
    let runs = Arc::new(AtomicU32::new(0));
    let (inner, counted) = (session.clone(), runs.clone());
    let update = move || {
        let clone = inner.clone();
        inner.update("r", move |found: Option<u64>| {
            if counted.fetch_add(1, Ordering::Relaxed) == 20 {
                // It would spin for ever.
                resume_unwind(Box::new("spins"));
            }
            let _inserted = clone.insert("s", &1);
            found.unwrap_or(0)
        })
    };
    if catch_unwind(AssertUnwindSafe(update)).is_err() {
        let text = "an update whose closure changes the session never ends";
        run.history.borrow_mut().violate(Promise::Bounded, text);
    }
}

/// Polls `future` so often at most.
async fn polled<F: Future + ?Sized>(mut future: Pin<&mut F>, times: u8) -> Option<F::Output> {
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
