//! Records each step of a request in the history, and reports what breaks a promise.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    mem::take,
    pin::pin,
    time::Duration,
};

use session_core::{Error, Result, Saved, Session, StoreKey};
use tokio::time::Instant;

use crate::{
    checker::{self, LIST_TIME, STORE_TIME, TOLERANCE},
    history::{
        Change, End, ErrorMeaning, Expected, Kind, Promise, State, Target, meaning_of, user_of,
    },
    program::Layout,
    runner::Run,
};

use super::{ITEMS, Listed};

/// Less than the time for which a rotated id goes on.
const AT_ONCE: Duration = Duration::from_secs(25);

impl Run<'_> {
    /// Counts the store time of one of the library's calls; a call before the head shares the
    /// request's, one after it has its own.
    pub(super) async fn within<T>(
        &self,
        r: usize,
        thread: usize,
        call: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let before_head = !self.history.borrow().requests[r].head_sent;
        let answer = pin!(call).await;
        let elapsed = began.elapsed();
        let mut history = self.history.borrow_mut();
        let log = &mut history.requests[r];
        let (spent, most) = if log.head_sent {
            (elapsed, STORE_TIME * if before_head { 2 } else { 1 })
        } else {
            log.spent[thread] += elapsed;
            (log.spent[thread], STORE_TIME)
        };
        if spent > most + TOLERANCE {
            let text = format!("request {r} spent {spent:?} on the store");
            history.violate(Promise::Budget, text);
        }
        answer
    }

    /// Runs what is no part of a request, whose store calls the program schedules with it.
    pub(super) async fn without_its_time<T>(
        &self,
        call: impl Future<Output = Result<T>>,
    ) -> Listed<T> {
        let mut call = pin!(call);
        let mut loaded_at = HashMap::new();
        let answer = poll_fn(|cx| {
            self.bench.store.world().loaded_by_owner_call = Some(take(&mut loaded_at));
            let polled = call.as_mut().poll(cx);
            loaded_at = (self.bench.store.world().loaded_by_owner_call.take()).unwrap_or_default();
            polled
        })
        .await;
        Listed { answer, loaded_at }
    }

    /// Counts the time of a call on a user's sessions. The request does not get the records that
    /// such a call loads.
    pub(super) async fn within_list_time<T>(
        &self,
        call: impl Future<Output = Result<T>>,
    ) -> Listed<T> {
        let began = Instant::now();
        let listed = self.without_its_time(call).await;
        let elapsed = began.elapsed();
        if elapsed > LIST_TIME + TOLERANCE {
            let text = format!("a call on a user's sessions took {elapsed:?}");
            self.history.borrow_mut().violate(Promise::Budget, text);
        }
        listed
    }

    /// The request's own session was among those that were ended.
    pub(super) fn record_loaded(&self, thread: usize, loaded_at: HashMap<StoreKey, u64>) {
        self.bench.store.world().loaded_at[thread].extend(loaded_at);
    }

    pub(super) fn tick(&self) -> u64 {
        self.bench.store.world().tick()
    }

    pub(super) fn arrives(&self, r: usize, header: &str) {
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
        let log = &mut history.requests[r];
        log.arrived = tick;
        log.arrived_at = Some(Instant::now());
        first.clone_into(&mut log.cookie);
        log.presented = presented;
    }

    pub(super) fn opened(&self, r: usize, session: &Session) {
        let user = user_of(session);
        let mut history = self.history.borrow_mut();
        let presented = history.requests[r].presented;
        let log = &mut history.requests[r];
        log.opened_at = Some(self.bench.wall.now());
        log.users = user.into_iter().collect();
        log.late = session.is_new() && presented.is_some();
        log.came_late = log.late;
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
            let log = &mut history.requests[r];
            log.group = presented;
            history.follow(r, session);
        }
        history.add_trace(|| format!("request {r}: opened {session:?} of {user:?}"));
        drop(history);
        self.check_expected(r, session);
        self.check_rotation(r, session);
    }

    /// *A rotation makes no request anonymous*, whatever fails, if it came with the cookie that its
    /// browser got last.
    fn check_rotation(&self, r: usize, session: &Session) {
        let program = self.program;
        let mut history = self.history.borrow_mut();
        let log = &history.requests[r];
        let at_once = log.arrived_at.is_some_and(|it| it.elapsed() < AT_ONCE);
        let known = log.presented.is_some_and(|it| !history.groups[it].stale);
        let passed = self.started.elapsed().as_secs() + program.clock_steps() + 2;
        let absolute = program.config.absolute.unwrap_or(u64::MAX);
        let alive = passed < program.shortest_idle().min(absolute);
        if session.is_new()
            && (known && at_once && alive)
            && program.only_rotates()
            && !program.evicts()
            && !program.config.anonymous
        {
            let text = format!("request {r} is anonymous, and nothing but rotations happened");
            history.violate(Promise::LoggedIn, text);
        }
    }

    /// An active user is still logged in.
    pub(super) fn check_expected(&self, r: usize, session: &Session) {
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
    pub(super) fn is_in_use(&self, expected: &Expected) -> bool {
        let idle = self.program.shortest_idle().min(400 * 86_400);
        let slack = 2 + self.program.clock_steps();
        let Some(limit) = (idle * 9 / 10).checked_sub(slack) else {
            return false;
        };
        let absolute = self.program.config.absolute.is_none_or(|absolute| {
            let end = expected.logged_in_at + Duration::from_secs(absolute);
            // It may end a tenth of the idle timeout before, because nothing moved its end that was
            // worth a write.
            end > self.bench.wall.now()
                + Duration::from_secs(slack + self.program.longest_idle() / 10 + 1)
        });
        absolute && expected.last_use.elapsed() <= Duration::from_secs(limit)
    }

    pub(super) fn record_read(&self, r: usize, session: &Session) {
        let mut history = self.history.borrow_mut();
        let users = &history.requests[r].users;
        if let Some(now) = user_of(session)
            && !users.is_empty()
            && !users.contains(&now)
        {
            let text = format!("request {r} of user {users:?} goes on in a session of {now}");
            history.violate(Promise::Apart, text);
        }
    }

    pub(super) fn adds(
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

    pub(super) fn changes(
        &self,
        r: usize,
        thread: usize,
        session: &Session,
        kind: Kind,
        make: impl FnOnce(&Session) -> Result<()>,
    ) {
        self.change(r, thread, session, kind, usize::MAX, make);
    }

    pub(super) fn change(
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
            && !history.requests[r].users.is_empty()
        {
            history.requests[r].users.push(user);
        }
        drop(history);
        self.record_read(r, session);
        let mut history = self.history.borrow_mut();
        if matches!(kind, Kind::LogIn(_)) && result.is_ok() {
            // From now on it works on a session of its own.
            history.requests[r].late = false;
        }
        let group = history.requests[r].group;
        let empties = matches!(kind, Kind::Clear | Kind::Remove | Kind::TakeFlashes);
        if empties && self.program.config.layout != Layout::Native {
            // In Flask's form a session without data is none.
            history.requests[r].may_remove = true;
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
            from_provider: false,
        });
    }

    /// The sessions that the request has logged out of by now.
    pub(super) fn ended_sessions(&self, r: usize) -> Vec<Target> {
        self.history.borrow().requests[r].ending.clone()
    }

    /// Records that the request logs out of its session, and what this has to end once it is
    /// answered.
    pub(super) fn record_log_out(&self, r: usize, session: &Session) {
        let mut history = self.history.borrow_mut();
        history.follow(r, session);
        let log = &mut history.requests[r];
        log.may_remove = true;
        log.users.clear();
        log.logged_in = false;
        let renewed = log
            .presented
            .filter(|_| log.late && self.late_ids_are_known());
        let cookie = log.cookie.clone();
        let group = log.group.take();
        let late = log.presented.filter(|_| log.came_late);
        log.late = false;
        if let Some(group) = late {
            history.groups[group].end_tried = true;
        }
        if let Some(group) = group {
            let log = &history.requests[r];
            let cookie = if log.presented == Some(group) {
                Some(cookie)
            } else {
                log.sent.clone()
            };
            let target = match cookie {
                Some(cookie) if history.groups[group].flask => Target::Cookie(cookie),
                _ => Target::Group(group),
            };
            history.groups[group].end_tried = true;
            history.requests[r].ending.push(target);
        } else if let Some(group) = renewed.filter(|it| !history.groups[*it].flask) {
            history.requests[r].ending.push(Target::Group(group));
        }
        for change in &mut history.changes {
            if change.request == Some(r) && change.state == State::Pending {
                change.state = State::Destroyed;
            }
        }
    }

    /// Whether so little time has passed that every marker is still there.
    pub(super) fn late_ids_are_known(&self) -> bool {
        let passed = self.started.elapsed().as_secs() + self.program.clock_steps();
        let absolute = self.program.config.absolute.unwrap_or(u64::MAX);
        let life = self.program.shortest_idle().min(absolute).min(60);
        passed + 1 < life && !self.program.evicts()
    }

    /// The user for whose sessions a request speaks: a request with an id that was just renewed
    /// speaks for its user too.
    pub(super) fn authorised_user(&self, r: usize, session: &Session) -> Option<usize> {
        let history = self.history.borrow();
        let log = &history.requests[r];
        let user = user_of(session);
        let renewed = log.presented.filter(|group| {
            log.late && self.late_ids_are_known() && !history.may_have_ended(*group)
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
    pub(super) fn claims(&self, r: usize, end: End) {
        let mut history = self.history.borrow_mut();
        if history.requests[r].head_sent {
            history.ends.push(end);
        } else {
            history.requests[r].claims.push(end);
        }
    }

    /// The session that the request works on, or that it would with a newer id.
    pub(super) fn own_group(&self, r: usize) -> Option<usize> {
        let history = self.history.borrow();
        let log = &history.requests[r];
        log.group.or(log.presented.filter(|_| log.late))
    }

    pub(super) fn tries_to_end_all(&self, r: usize, user: Option<usize>, keep: Option<usize>) {
        // A login that was dropped leaves a request that came late as it came.
        let came_late = self.history.borrow().requests[r].came_late && user.is_none();
        let presented = self.history.borrow().requests[r].presented;
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

    pub(super) fn saved(
        &self,
        r: usize,
        session: &Session,
        taken: &[usize],
        ended: &[Target],
        saved: &Result<Saved>,
    ) {
        let tick = self.tick();
        self.record_read(r, session);
        let mut history = self.history.borrow_mut();
        history.take_up_too(r, taken);
        history.follow(r, session);
        history.add_trace(|| format!("request {r}: a save says {saved:?}"));
        let log = &history.requests[r];
        let emptied = log.may_remove && session.is_new() && matches!(saved, Ok(Saved::Stored));
        if let Some(group) = log.group.filter(|_| emptied)
            && history.groups[group].flask
        {
            // In Flask's form a session without data is none; what comes next is in another.
            history.requests[r].group = None;
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
                history.confirm(r, ended);
            }
            Err(error) => {
                let state = match meaning_of(error) {
                    ErrorMeaning::NothingStored if history.requests[r].failures == 0 => {
                        State::Absent
                    }
                    _ => State::Unknown,
                };
                history.refuse(r);
                history.resolve(taken, state, tick);
                drop(history);
                self.failed(r, error);
            }
        }
    }

    pub(super) fn reloaded(&self, r: usize, session: &Session, began: u64, reloaded: &Result<()>) {
        self.record_read(r, session);
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

    pub(super) fn failed(&self, r: usize, error: &Error) {
        if let Error::TooManySessions { .. } = error {
            checker::refused(self, r);
        }
        let mut history = self.history.borrow_mut();
        history.add_trace(|| format!("request {r}: {error}"));
        if meaning_of(error) == ErrorMeaning::Unknown {
            history.requests[r].failures += 1;
            let groups: Vec<_> = history.requests[r].groups.clone();
            for group in groups.into_iter().chain(history.requests[r].presented) {
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

    pub(super) fn finish_begins(&self, r: usize) -> (Vec<usize>, Vec<Target>) {
        let tick = self.tick();
        let mut history = self.history.borrow_mut();
        history.requests[r].finish_began = tick;
        history.requests[r].finishing = history.requests[r].group;
        history.requests[r].known = history.requests[r].groups.len();
        (history.take_up(r), history.requests[r].ending.clone())
    }
}
