use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    mem::take,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use session_core::{Error, Finish, Result, Saved, Session, Sessions, StoreKey};
use tokio::time::Instant;

use crate::{
    checker::{self, LIST_TIME, STORE_TIME, TOLERANCE},
    history::{Change, End, Expected, Kind, Promise, State, Target, Told, told, user_of},
    program::{Layout, Open, Step, USERS, Use},
    runner::Run,
};

/// The most values that a program adds; each has a digit of the counter.
pub(crate) const ITEMS: usize = 30;

/// The answer to a call on a user's sessions, and what it told of their records.
struct Listed<T> {
    answer: Result<T>,
    told: HashMap<StoreKey, u64>,
}

type Held<'s> = Vec<Pin<Box<dyn Future<Output = Result<Saved>> + 's>>>;

/// Serves request `r` as an adapter does: the handler, the end of the visit, the answer, and what comes after the head.
pub(crate) async fn serve(run: &Run<'_>, r: usize) {
    let request = &run.program.requests[r];
    let header = run.browsers.borrow_mut()[request.browser].header(run.browser_now());
    run.arrives(r, &header);
    let visit = run.sessions[request.process].begin_request();
    let mut session = None;
    match request.open {
        Open::First => {
            session = open(run, r, &visit, &header).await;
        }
        Open::Never if run.program.config.refresh == Use::EveryRequest => {
            let opened = visit.open_untouched(&mut std::iter::once(header.as_bytes()));
            if run.within(r, 0, opened).await.is_err() {
                run.history.borrow_mut().visits[r].faults += 1;
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
    let (taken, destroyed) = run.finish_begins(r);
    let finished = match visit.finish() {
        Finish::Ready(outcome) => Ok(outcome),
        Finish::Pending(saving) => run.within(r, 0, saving).await,
    };
    let answer = match &finished {
        Ok(outcome) => outcome.clone(),
        Err(_) => visit.failed(),
    };
    if request.open == Open::Never {
        session = visit.loaded();
        if let Some(session) = &session {
            run.opened(r, session);
        }
    }
    run.answers(
        r,
        session.as_ref(),
        (&taken, &destroyed),
        finished.as_ref().err(),
        answer.set_cookie,
    );
    if request.open == Open::AfterHead {
        session = open(run, r, &visit, &header).await;
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
    visit: &Arc<session_core::RequestSession>,
    header: &str,
) -> Option<Session> {
    let opening = visit.session(&mut std::iter::once(header.as_bytes()));
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
        Step::Look => {
            let _number = session.get::<u64>("n");
            run.looks(r, session);
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
        Step::LogIn(user) => {
            run.changes(r, thread, session, Kind::LogIn(user), |session| {
                session.log_in(USERS[user])
            });
            if session.owner().as_deref() == Some(USERS[user]) {
                let mut history = run.history.borrow_mut();
                history.visits[r].logged_in = true;
            }
        }
        Step::Save => {
            let taken = run.history.borrow_mut().take_up(r);
            let destroyed = run.destroyed(r);
            let saved = run.within(r, thread, session.save()).await;
            run.saved(r, session, &taken, &destroyed, &saved);
        }
        Step::SaveDropped(polls) | Step::SaveHeld(polls) => {
            let taken = run.history.borrow_mut().take_up(r);
            let destroyed = run.destroyed(r);
            let mut saving: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(session.save());
            let polled = polled(saving.as_mut(), polls);
            if let Some(saved) = run.within(r, thread, polled).await {
                run.saved(r, session, &taken, &destroyed, &saved);
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
            run.destroys(r, session);
            session.log_out();
        }
        Step::Everywhere { .. } | Step::EndOne(_) | Step::EndAllOf(_) | Step::List => {
            owned(run, r, number, session, step).await;
        }
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
            let presented = run.history.borrow().visits[r].presented;
            let late = session.is_new() && presented.is_some();
            let own = run.own_group(r).filter(|_| keep);
            run.tries_to_end_all(r, user, own);
            let Listed {
                answer: ended,
                told,
            } = run.within_list_time(session.log_out_everywhere(keep)).await;
            if user.is_none() {
                // Somebody may have logged in meanwhile.
                run.tries_to_end_all(r, user, own);
            }
            if ended.is_ok() && !keep {
                run.hears(thread, told);
            }
            if ended.is_ok() && !keep && (user.is_some() || late) {
                run.destroys(r, session);
            }
            if user.is_none() {
                // Nobody knows whose session it was, if anybody's.
                run.history.borrow_mut().visits[r].ending.clear();
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
                told,
            } = run.within_list_time(call).await;
            if ended.is_ok() && own && user.is_some() {
                run.hears(thread, told);
                run.destroys(r, session);
                let mut history = run.history.borrow_mut();
                if history.logins_of(group).any(|it| Some(it) != user) {
                    // It may be another user's by then, and is left alone.
                    history.visits[r].ending.pop();
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
        Step::EndAllOf(user) => {
            run.history.borrow_mut().ended_users.push((user, None));
            let sessions: &Sessions = &run.sessions[run.program.requests[r].process];
            let ended = run
                .within_list_time(sessions.log_out_everywhere(USERS[user]))
                .await
                .answer;
            if ended.is_ok() {
                run.claims(
                    r,
                    End::User {
                        user,
                        only: None,
                        keep: None,
                        began,
                    },
                );
            }
        }
        _ => {
            let _listed = run.within_list_time(session.owner_sessions()).await;
        }
    }
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

impl Run<'_> {
    /// Counts the store time of one of the library's calls; a call before the head shares the request's, one after it
    /// has its own.
    async fn within<T>(&self, r: usize, thread: usize, call: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let before_head = !self.history.borrow().visits[r].head_sent;
        let answer = pin!(call).await;
        let elapsed = began.elapsed();
        let mut history = self.history.borrow_mut();
        let visit = &mut history.visits[r];
        let (spent, most) = if visit.head_sent {
            (elapsed, STORE_TIME * if before_head { 2 } else { 1 })
        } else {
            visit.spent[thread] += elapsed;
            (visit.spent[thread], STORE_TIME)
        };
        if spent > most + TOLERANCE {
            let text = format!("request {r} spent {spent:?} on the store");
            history.violate(Promise::Budget, text);
        }
        answer
    }

    /// Counts the time of a call on a user's sessions. What its answers told of single records the request does not hear.
    async fn within_list_time<T>(&self, call: impl Future<Output = Result<T>>) -> Listed<T> {
        let began = Instant::now();
        let mut call = pin!(call);
        let mut told = HashMap::new();
        let answer = poll_fn(|cx| {
            self.bench.store.world().told_aside = Some(take(&mut told));
            let polled = call.as_mut().poll(cx);
            told = (self.bench.store.world().told_aside.take()).unwrap_or_default();
            polled
        })
        .await;
        let elapsed = began.elapsed();
        if elapsed > LIST_TIME + TOLERANCE {
            let text = format!("a call on a user's sessions took {elapsed:?}");
            self.history.borrow_mut().violate(Promise::Budget, text);
        }
        Listed { answer, told }
    }

    /// The request's own session was among those that were ended.
    fn hears(&self, thread: usize, told: HashMap<StoreKey, u64>) {
        self.bench.store.world().told[thread].extend(told);
    }

    fn tick(&self) -> u64 {
        self.bench.store.world().tick()
    }

    fn arrives(&self, r: usize, header: &str) {
        let tick = self.tick();
        let mut history = self.history.borrow_mut();
        // One that is known to be dead counts only if there is no other.
        let stale = |it: &&str| {
            history
                .group_of(it)
                .is_some_and(|it| history.groups[it].stale)
        };
        let mut pairs = header.split("; ");
        let first = pairs.clone().find(|it| !stale(it)).or(pairs.next());
        let first = first.unwrap_or_default();
        let presented = history.group_of(first);
        let visit = &mut history.visits[r];
        visit.arrived = tick;
        first.clone_into(&mut visit.cookie);
        visit.presented = presented;
    }

    fn opened(&self, r: usize, session: &Session) {
        let user = user_of(session);
        let mut history = self.history.borrow_mut();
        let presented = history.visits[r].presented;
        let visit = &mut history.visits[r];
        visit.opened_at = Some(self.bench.wall.now());
        visit.users = user.into_iter().collect();
        visit.late = session.is_new() && presented.is_some();
        visit.came_late = visit.late;
        if !session.is_new() {
            let last = presented.and_then(|it| history.groups[it].last_use);
            let longest = self.program.longest_idle() + self.program.clock_steps() + 2;
            if self.sequential && last.is_some_and(|it| it.elapsed().as_secs() > longest) {
                let text = format!("request {r} opens a session that was not used for so long");
                history.violate(Promise::Expired, text);
            }
            if let (Some(absolute), Some(started)) =
                (self.program.config.absolute, session.created_at())
            {
                let most = Duration::from_secs(absolute + self.program.clock_steps() + 2);
                if self.bench.wall.now() > started + most {
                    let text = format!("request {r} opens a session that began at {started:?}");
                    history.violate(Promise::Expired, text);
                }
            }
            let visit = &mut history.visits[r];
            visit.group = presented;
            history.follow(r, session);
        }
        history.add_trace(|| format!("request {r}: opened {session:?} of {user:?}"));
        drop(history);
        self.check_expected(r, session);
    }

    /// An active user is still logged in.
    fn check_expected(&self, r: usize, session: &Session) {
        let browser = self.program.requests[r].browser;
        let mut history = self.history.borrow_mut();
        let Some(expected) = history.expected[browser].clone() else {
            return;
        };
        if !self.is_in_use(&expected) || history.may_have_ended(expected.group) {
            history.expected[browser] = None;
            return;
        }
        if session.is_new() || user_of(session) != expected.user {
            let text = format!(
                "request {r} of an active user is anonymous, or somebody else's: {:?}",
                session.owner()
            );
            history.violate(Promise::LoggedIn, text);
            history.expected[browser] = None;
        }
    }

    /// Whether the user has come back early enough to be still logged in.
    fn is_in_use(&self, expected: &Expected) -> bool {
        let idle = self.program.shortest_idle().min(400 * 86_400);
        let slack = 2 + self.program.clock_steps();
        let Some(limit) = (idle * 9 / 10).checked_sub(slack) else {
            return false;
        };
        let absolute = self.program.config.absolute.is_none_or(|absolute| {
            let end = expected.logged_in_at + Duration::from_secs(absolute);
            // It may end a tenth of the idle timeout before, because nothing moved its end that was worth a write.
            end > self.bench.wall.now()
                + Duration::from_secs(slack + self.program.longest_idle() / 10 + 1)
        });
        absolute && expected.last_use.elapsed() <= Duration::from_secs(limit)
    }

    fn looks(&self, r: usize, session: &Session) {
        let mut history = self.history.borrow_mut();
        let users = &history.visits[r].users;
        if let Some(now) = user_of(session)
            && !users.is_empty()
            && !users.contains(&now)
        {
            let text = format!("request {r} of user {users:?} goes on in a session of {now}");
            history.violate(Promise::Apart, text);
        }
    }

    fn adds(
        &self,
        r: usize,
        thread: usize,
        session: &Session,
        kind: Kind,
        make: impl FnOnce(&Session, usize) -> Result<()>,
    ) {
        let item = self.history.borrow().items;
        if item >= ITEMS {
            return;
        }
        self.history.borrow_mut().items += 1;
        self.change(r, thread, session, kind, item, |session| {
            make(session, item)
        });
    }

    fn changes(
        &self,
        r: usize,
        thread: usize,
        session: &Session,
        kind: Kind,
        make: impl FnOnce(&Session) -> Result<()>,
    ) {
        self.change(r, thread, session, kind, usize::MAX, make);
    }

    fn change(
        &self,
        r: usize,
        thread: usize,
        session: &Session,
        kind: Kind,
        item: usize,
        make: impl FnOnce(&Session) -> Result<()>,
    ) {
        let began = self.tick();
        let user = user_of(session);
        let result = make(session);
        let mut history = self.history.borrow_mut();
        if let Kind::LogIn(user) = kind
            && !history.visits[r].users.is_empty()
        {
            history.visits[r].users.push(user);
        }
        drop(history);
        self.looks(r, session);
        let mut history = self.history.borrow_mut();
        if matches!(kind, Kind::LogIn(_)) && result.is_ok() {
            // From now on it works on a session of its own.
            history.visits[r].late = false;
        }
        let group = history.visits[r].group;
        let empties = matches!(kind, Kind::Clear | Kind::Remove | Kind::TakeFlashes);
        if empties && self.program.config.layout != Layout::Native {
            // In Flask's form a session without data is none.
            history.visits[r].may_remove = true;
            if let Some(group) = group {
                history.groups[group].end_tried |= history.groups[group].flask;
            }
        }
        let state = if result.is_ok() {
            State::Pending
        } else {
            State::Absent
        };
        history.changes.push(Change {
            kind,
            item,
            request: Some(r),
            thread,
            user,
            group,
            began,
            done: result.is_err().then_some(began),
            answered: None,
            state,
            saves: 0,
            refused: false,
            held: false,
        });
    }

    /// The sessions that the request has destroyed by now.
    fn destroyed(&self, r: usize) -> Vec<Target> {
        self.history.borrow().visits[r].ending.clone()
    }

    /// Notes that the request's session is destroyed: what that has to end, once it is answered.
    fn destroys(&self, r: usize, session: &Session) {
        let mut history = self.history.borrow_mut();
        history.follow(r, session);
        let visit = &mut history.visits[r];
        visit.may_remove = true;
        visit.users.clear();
        visit.logged_in = false;
        let renewed = visit
            .presented
            .filter(|_| visit.late && self.late_ids_are_known());
        let cookie = visit.cookie.clone();
        let group = visit.group.take();
        let late = visit.presented.filter(|_| visit.came_late);
        visit.late = false;
        if let Some(group) = late {
            history.groups[group].end_tried = true;
        }
        if let Some(group) = group {
            let visit = &history.visits[r];
            let cookie = if visit.presented == Some(group) {
                Some(cookie)
            } else {
                visit.sent.clone()
            };
            let target = match cookie {
                Some(cookie) if history.groups[group].flask => Target::Cookie(cookie),
                _ => Target::Group(group),
            };
            history.groups[group].end_tried = true;
            history.visits[r].ending.push(target);
        } else if let Some(group) = renewed.filter(|it| !history.groups[*it].flask) {
            history.visits[r].ending.push(Target::Group(group));
        }
        for change in &mut history.changes {
            if change.request == Some(r) && change.state == State::Pending {
                change.state = State::Destroyed;
            }
        }
    }

    /// Whether so little time has passed that every marker is still there.
    fn late_ids_are_known(&self) -> bool {
        let passed = self.started.elapsed().as_secs() + self.program.clock_steps();
        let absolute = self.program.config.absolute.unwrap_or(u64::MAX);
        let life = self.program.shortest_idle().min(absolute).min(60);
        passed + 1 < life && !self.program.evicts()
    }

    /// The user for whose sessions a request speaks: a request with an id that was just renewed speaks for its user too.
    fn authorised_user(&self, r: usize, session: &Session) -> Option<usize> {
        let history = self.history.borrow();
        let visit = &history.visits[r];
        let user = user_of(session);
        let renewed = visit.presented.filter(|group| {
            visit.late && self.late_ids_are_known() && !history.may_have_ended(*group)
        });
        user.or_else(|| {
            let group = renewed?;
            let is_login = |it: &&Change| matches!(it.kind, Kind::LogIn(_));
            let may_be_in = |it: &&Change| history.may_be_in(it, group);
            let logins = history.changes.iter().filter(is_login).filter(may_be_in);
            let mut logins = logins.filter(|it| it.state != State::Absent);
            let first = logins.next()?;
            let is_answered = |it: &Change| {
                it.state == State::Stored && it.answered.is_some() && it.group == Some(group)
            };
            let one =
                is_answered(first) && logins.all(|it| is_answered(it) && it.kind == first.kind);
            match first.kind {
                Kind::LogIn(user) if one => Some(user),
                _ => None,
            }
        })
    }

    /// An end that counts once the request is answered; at once, if it is.
    fn claims(&self, r: usize, end: End) {
        let mut history = self.history.borrow_mut();
        if history.visits[r].head_sent {
            history.ends.push(end);
        } else {
            history.visits[r].claims.push(end);
        }
    }

    /// The session that the request works on, or that it would with a newer id.
    fn own_group(&self, r: usize) -> Option<usize> {
        let history = self.history.borrow();
        let visit = &history.visits[r];
        visit.group.or(visit.presented.filter(|_| visit.late))
    }

    fn tries_to_end_all(&self, r: usize, user: Option<usize>, keep: Option<usize>) {
        // A login that was dropped leaves a request that came late as it came.
        let came_late = self.history.borrow().visits[r].came_late && user.is_none();
        let presented = self.history.borrow().visits[r].presented;
        let own = self.own_group(r).or(presented.filter(|_| came_late));
        let mut history = self.history.borrow_mut();
        let mut users: Vec<_> = user.into_iter().collect();
        if let (None, Some(group)) = (user, own) {
            // Whoever has the session by then.
            users.extend(history.logins_of(group));
        }
        history
            .ended_users
            .extend(users.into_iter().map(|it| (it, keep)));
        if let Some(group) = own.filter(|_| keep.is_none()) {
            history.groups[group].end_tried = true;
        }
    }

    fn saved(
        &self,
        r: usize,
        session: &Session,
        taken: &[usize],
        destroyed: &[Target],
        saved: &Result<Saved>,
    ) {
        let tick = self.tick();
        self.looks(r, session);
        let mut history = self.history.borrow_mut();
        history.take_up_too(r, taken);
        history.follow(r, session);
        history.add_trace(|| format!("request {r}: a save says {saved:?}"));
        let visit = &history.visits[r];
        let emptied = visit.may_remove && session.is_new() && matches!(saved, Ok(Saved::Stored));
        if let Some(group) = visit.group.filter(|_| emptied)
            && history.groups[group].flask
        {
            // In Flask's form a session without data is none; what comes next is in another.
            history.visits[r].group = None;
        }
        match saved {
            Ok(Saved::Ended) => {
                history.refuse(r);
                history.resolve(taken, State::Absent, tick);
                checker::dropped(self.program, &mut history, r, taken);
            }
            Ok(saved) => {
                // Where there is nothing to save, another save has taken up everything before.
                let alone = |it: &usize| {
                    let change = &history.changes[*it];
                    !change.held && (*saved == Saved::Stored || change.saves == 1)
                };
                let taken: Vec<_> = taken.iter().copied().filter(alone).collect();
                history.resolve(&taken, State::Stored, tick);
                history.confirm(r, destroyed);
            }
            Err(error) => {
                let state = match told(error) {
                    Told::Nothing if history.visits[r].faults == 0 => State::Absent,
                    _ => State::Unknown,
                };
                history.refuse(r);
                history.resolve(taken, state, tick);
                drop(history);
                self.failed(r, error);
            }
        }
    }

    fn reloaded(&self, r: usize, session: &Session, began: u64, reloaded: &Result<()>) {
        self.looks(r, session);
        self.history.borrow_mut().follow(r, session);
        if reloaded.is_ok() {
            checker::reloaded(self, r, session, began);
        }
        if let Err(error) = reloaded {
            // It may be the error of a save that was dropped before.
            self.history.borrow_mut().refuse(r);
            self.failed(r, error);
        }
    }

    fn failed(&self, r: usize, error: &Error) {
        let mut history = self.history.borrow_mut();
        history.add_trace(|| format!("request {r}: {error}"));
        if told(error) == Told::Unknown {
            history.visits[r].faults += 1;
            let groups: Vec<_> = history.visits[r].groups.clone();
            for group in groups.into_iter().chain(history.visits[r].presented) {
                history.groups[group].unknown = true;
            }
        }
        if let Error::Timeout { .. } = error
            && !self.may_be_slow
        {
            let text =
                format!("request {r} ran out of store time, though the store was never slow");
            history.violate(Promise::Budget, text);
        }
    }

    fn finish_begins(&self, r: usize) -> (Vec<usize>, Vec<Target>) {
        let tick = self.tick();
        let mut history = self.history.borrow_mut();
        history.visits[r].finish_began = tick;
        history.visits[r].finishing = history.visits[r].group;
        history.visits[r].known = history.visits[r].groups.len();
        (history.take_up(r), history.visits[r].ending.clone())
    }

    fn answers(
        &self,
        r: usize,
        session: Option<&Session>,
        (taken, destroyed): (&[usize], &[Target]),
        error: Option<&Error>,
        set_cookie: Option<String>,
    ) {
        let tick = self.tick();
        let mut history = self.history.borrow_mut();
        if let Some(session) = session {
            history.follow(r, session);
        }
        history.take_up_too(r, taken);
        history.add_trace(|| format!("request {r}: answered {error:?}, {set_cookie:?}"));
        let visit = &mut history.visits[r];
        visit.head_sent = true;
        visit.answered = Some(tick);
        visit.ok = error.is_none();
        if let Some(error) = error {
            let state = match told(error) {
                Told::Nothing if visit.faults == 0 => State::Absent,
                _ => State::Unknown,
            };
            // What came while it was finished was taken up, too.
            history.refuse(r);
            history.resolve(taken, state, tick);
        } else {
            history.resolve(taken, State::Stored, tick);
            history.confirm(r, destroyed);
            let claims = std::mem::take(&mut history.visits[r].claims);
            history.ends.extend(claims);
            for change in &mut history.changes {
                if change.request == Some(r) {
                    change.answered = Some(tick);
                }
            }
        }
        drop(history);
        if let Some(error) = error {
            self.failed(r, error);
        }
        if let Some(header) = set_cookie {
            self.sends(r, session, &header);
        }
        self.relies(r, session, error.is_none());
    }

    /// The answer carries a `Set-Cookie` header.
    fn sends(&self, r: usize, session: Option<&Session>, header: &str) {
        let pair = header.split(';').next().unwrap_or_default();
        let opened = checker::live_now(self, pair);
        let (alive, lineage) = (opened.is_some(), opened.and_then(|it| it.lineage()));
        let mut history = self.history.borrow_mut();
        if pair.ends_with('=') {
            let visit = &history.visits[r];
            // In Flask's form a session that somebody emptied is none.
            let groups = &history.groups;
            let emptied = |it: &usize| groups[*it].flask && groups[*it].end_tried;
            let ends = visit.may_remove || visit.groups.iter().any(emptied);
            if !(ends || visit.groups.is_empty()) {
                let text = format!("answer {r} removes the cookie, though nothing was ended");
                history.violate(Promise::Removal, text);
            }
        } else {
            let known = history.group_of(pair);
            if known.is_none() {
                // One that was destroyed while it was saved is still the one that the cookie is for.
                let visit = &history.visits[r];
                let since = !visit.ok || visit.groups.len() > visit.known;
                let saved = visit.groups.last().copied().filter(|_| since);
                // In Flask's form nothing names a session, and after one that ended comes another.
                let saved = saved.filter(|it| !history.groups[*it].end_tried);
                let group = visit.group.or(visit.finishing).or(saved);
                let named = lineage.and_then(|it| history.named(it));
                let group = named.or(group).unwrap_or_else(|| {
                    let group = history.new_group();
                    history.groups[group].flask = alive && lineage.is_none();
                    history.visits[r].groups.push(group);
                    group
                });
                history.cookies.push((pair.to_owned(), group));
            }
            history.visits[r].sent = Some(pair.to_owned());
            let alive = session.and_then(Session::expires_at);
            drop(history);
            if alive.is_none_or(|end| end > self.bench.wall.now()) {
                checker::sent(self, r, pair);
            }
        }
        let request = &self.program.requests[r];
        if !request.answer_lost {
            self.browsers.borrow_mut()[request.browser].receive(header, self.browser_now());
        }
    }

    /// What the browser may rely on from now on.
    fn relies(&self, r: usize, session: Option<&Session>, ok: bool) {
        if !self.sequential {
            return;
        }
        let request = &self.program.requests[r];
        let mut history = self.history.borrow_mut();
        let changed = history
            .changes
            .iter()
            .any(|it| it.request == Some(r) && it.state == State::Stored && it.item != usize::MAX);
        let logged_in = history.visits[r].logged_in;
        let Some((session, group)) = session.zip(history.visits[r].group) else {
            // A request that does not look at the session ends none.
            if !ok || history.visits[r].may_remove {
                history.expected[request.browser] = None;
            }
            return;
        };
        let opened = history.visits[r].opened_at;
        let took = opened.and_then(|it| self.bench.wall.now().duration_since(it).ok());
        let tenth = Duration::from_secs(self.program.shortest_idle() / 10);
        // Nothing is expected of a handler that takes so long.
        let long = took.is_none_or(|it| it > tenth);
        let ended = history.may_have_ended(group) || session.is_new() || long;
        let before = history.expected[request.browser].take();
        let before = before.filter(|it| self.is_in_use(it) && it.group == group);
        if !ok || ended {
            return;
        }
        let moves = self.program.config.refresh != Use::OnChange || changed;
        let now = Expected {
            user: user_of(session),
            group,
            last_use: Instant::now(),
            logged_in_at: history.visits[r].opened_at.unwrap_or(self.bench.wall.now()),
        };
        history.expected[request.browser] = match before {
            _ if logged_in && changed_by_login(&history, r) => Some(now),
            Some(before) if moves => Some(Expected {
                logged_in_at: before.logged_in_at,
                ..now
            }),
            Some(before) => Some(before),
            None if changed && history.visits[r].presented != Some(group) => Some(now),
            None => None,
        };
    }
}

fn changed_by_login(history: &crate::history::History, r: usize) -> bool {
    history.changes.iter().any(|it| {
        it.request == Some(r) && it.state == State::Stored && matches!(it.kind, Kind::LogIn(_))
    })
}

impl crate::history::History {
    /// The store has confirmed these ends of request `r`.
    fn confirm(&mut self, r: usize, destroyed: &[Target]) {
        for target in destroyed {
            self.visits[r].ending.retain(|it| it != target);
            self.ends.push(End::One(target.clone()));
        }
    }
}
