//! Checks each promise on the history of a run. It knows the public API and the results that the
//! requests got, and nothing of the implementation.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use session_core::{Finish, Session, Sessions, dbsc::DeviceState};

use crate::{
    history::{Change, End, History, Kind, Promise, RequestLog, State, Target, user_of},
    program::{Program, Step, Turn, USERS},
    runner::Run,
};

/// The store time of a request before the head, and of each call after it.
pub(crate) const STORE_TIME: Duration = Duration::from_secs(1);
/// The time of a call on a user's sessions.
pub(crate) const LIST_TIME: Duration = Duration::from_secs(5);
/// Timers go by milliseconds.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(20);
/// For how many seconds a rotated id goes on once the next one was presented.
const GRACE: i64 = 30;
/// For how many seconds a user's list follows the tombstone of a renewal, and a little more. By then
/// no request can be at work on the new record.
const CUT_OFF: i64 = 92;
/// The most store calls that one step of a request may cost while three others are under way.
const CALLS_PER_STEP: u64 = 40;

/// What a cookie opens when all requests are over.
struct Probe {
    cookie: String,
    group: usize,
    user: Option<usize>,
    bound: bool,
    /// By item: whether it is there.
    items: u32,
    counter: u64,
}

/// Checks every promise that can be checked once all requests are over.
pub(crate) async fn check(run: &Run<'_>) {
    let mut live = Vec::new();
    let cookies = run.history.borrow().cookies.clone();
    for (cookie, group) in &cookies {
        if let Some(session) = opens(&run.sessions[0], cookie).await {
            let named = session
                .lineage()
                .and_then(|it| run.history.borrow().named(it));
            live.push(probe(cookie, named.unwrap_or(*group), &session));
        }
    }
    let mut broken = Vec::new();
    check_history(run, &live, &mut broken);
    if run.program.config.limit.is_some()
        && run.program.answers_everything()
        && run.program.only_logs_in()
    {
        failed_logins_take_no_place(run, &live, &mut broken).await;
    }
    if run.program.config.rotation.is_some() {
        ids_are_rotated(run, &live, &mut broken).await;
    }
    everything_ends(run, &live, &mut broken).await;
    let mut history = run.history.borrow_mut();
    for (promise, text) in broken {
        history.violate(promise, text);
    }
}

fn check_history(run: &Run<'_>, live: &[Probe], broken: &mut Broken) {
    let history = run.history.borrow();
    let check = Check {
        run,
        history: &history,
        live,
    };
    check.ended_means_ended(broken);
    // The old ids of a rotation open it, too, for a while.
    if run.program.config.rotation.is_none() {
        check.one_id_opens_a_session(broken);
    }
    check.no_user_has_too_many_sessions(broken);
    check.a_binding_is_kept(broken);
    check.an_id_from_before_a_login_is_dead(broken);
    check.stored_means_stored(broken);
    check.what_was_not_stored_is_not_there(broken);
    check.counters_count_once(broken);
    check.sessions_are_kept_apart(broken);
    check.requests_are_bounded(broken);
    check.a_taken_id_is_not_overwritten(broken);
    check.what_cannot_be_read_is_not_overwritten(broken);
}

/// *A login that failed takes no place.* When no request can be at work on it any more, a user's list
/// has only sessions that some cookie opens.
async fn failed_logins_take_no_place(run: &Run<'_>, live: &[Probe], broken: &mut Broken) {
    run.bench.wall.set(CUT_OFF);
    for (number, user) in USERS.into_iter().enumerate() {
        let Ok(listed) = run.sessions[0].owner_sessions(user).await else {
            continue;
        };
        for session in listed {
            let history = run.history.borrow();
            let group = history.named(*session.lineage());
            // If another request went on in what a lost renewal left, it is a session.
            let works = |it: &&RequestLog| group.is_some_and(|group| it.groups.contains(&group));
            let went_on = history.requests.iter().filter(works).count() > 1;
            drop(history);
            let is_known = |group| live.iter().any(|it| it.group == group);
            if !group.is_some_and(is_known) && !went_on {
                let text = format!("user {number} has a session that nobody has: {group:?}");
                broken.push((Promise::Limited, text));
            }
        }
    }
}

/// *What is not used ends.* After the longest idle timeout there is in the program, or the absolute
/// one, whatever is earlier, nothing is live any more; a wall clock that was set back may delay
/// that by as much.
async fn everything_ends(run: &Run<'_>, live: &[Probe], broken: &mut Broken) {
    let program = run.program;
    let absolute = program.config.absolute.unwrap_or(u64::MAX);
    let longest = program.longest_idle().min(absolute) + program.clock_steps() + 2;
    run.bench
        .wall
        .set(i64::try_from(longest).expect("no timeout is so long"));
    for probe in live {
        if opens(&run.sessions[0], &probe.cookie).await.is_some() {
            let text = format!("session {} is live {longest} seconds later", probe.group);
            broken.push((Promise::Expired, text));
        }
    }
}

/// *An id is rotated when it is due, and the old one is refused after a while.* If a browser uses
/// the newest id of a session, no other one opens it half a minute later. If it goes on, the id is
/// rotated again.
async fn ids_are_rotated(run: &Run<'_>, live: &[Probe], broken: &mut Broken) {
    // What is broken may show only now.
    let broken_rule = run.bench.broken.borrow().clone();
    let _broken = broken_rule.map(|it| it.apply(&run.bench.store));
    let mut cookies: Vec<_> = live
        .iter()
        .map(|it| (it.cookie.clone(), it.group))
        .collect();
    let mut number = 0;
    while number < cookies.len() {
        let (cookie, group) = cookies[number].clone();
        let newer = uses(&run.sessions[0], &cookie).await;
        if let Some(newer) = newer
            && cookies.iter().all(|(it, _)| *it != newer)
        {
            cookies.push((newer, group));
        }
        number += 1;
    }
    // The last one may have been found before a request presented it.
    for (cookie, _) in &cookies {
        uses(&run.sessions[0], cookie).await;
    }
    let clocks = i64::try_from(run.program.clock_steps()).expect("some seconds");
    run.bench.wall.set(GRACE + clocks);
    let mut found: Vec<(String, usize)> = Vec::new();
    for (cookie, group) in cookies {
        if opens(&run.sessions[0], &cookie).await.is_none() {
            continue;
        }
        if found.iter().any(|(_, it)| *it == group) {
            let text = format!("two ids of session {group} are live after a while");
            broken.push((Promise::Rotated, text));
        }
        found.push((cookie, group));
    }
    for (cookie, group) in found {
        let newer = uses(&run.sessions[0], &cookie).await;
        if newer.is_none_or(|newer| newer == cookie) {
            let text = format!("the id of session {group} is not rotated");
            broken.push((Promise::Rotated, text));
        }
    }
}

/// Sends a whole request with `cookie`. Returns the cookie that the answer sets.
async fn uses(sessions: &Sessions, cookie: &str) -> Option<String> {
    let request_session = sessions.begin_request();
    let opened = request_session.session(&mut std::iter::once(cookie.as_bytes()));
    opened.await.ok()?;
    let set_cookie = match request_session.finish() {
        Finish::Ready(outcome) => outcome.set_cookie,
        Finish::Pending(saving) => saving.await.ok()?.set_cookie,
    };
    set_cookie?.split(';').next().map(str::to_owned)
}

/// The session that `cookie` opens, if it is live.
async fn opens(sessions: &Sessions, cookie: &str) -> Option<Session> {
    let request_session = sessions.begin_request();
    let opened = request_session
        .session(&mut std::iter::once(cookie.as_bytes()))
        .await;
    opened.ok().filter(|session| !session.is_new())
}

/// The same of a store that answers at once.
fn opens_now(sessions: &Sessions, cookie: &str) -> Option<Session> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(opens(sessions, cookie)).poll(&mut cx) {
        Poll::Ready(session) => session,
        Poll::Pending => unreachable!("the store answers at once"),
    }
}

/// The session that `cookie` opens now, if it is live.
pub(crate) fn live_now(run: &Run<'_>, cookie: &str) -> Option<Session> {
    let open = std::mem::replace(&mut run.bench.store.world().open, true);
    let session = opens_now(&run.sessions[0], cookie);
    run.bench.store.world().open = open;
    session
}

fn probe(cookie: &str, group: usize, session: &Session) -> Probe {
    let counter = session.get::<u64>("n").ok().flatten().unwrap_or(0);
    let mut items = 0;
    for key in session.keys() {
        if let Some(item) = key.strip_prefix('m').and_then(|it| it.parse::<u32>().ok()) {
            items |= 1 << item;
        }
    }
    if let Ok(Some(item)) = session.get::<u32>("a") {
        items |= 1 << item;
    }
    for (_, item) in session.take_flashes().unwrap_or_default() {
        items |= item.parse::<u32>().map_or(0, |it| 1 << it);
    }
    for item in 0..32 {
        items |= u32::from(counter >> (2 * item) & 3 != 0) << item;
    }
    Probe {
        cookie: cookie.to_owned(),
        group,
        user: user_of(session),
        bound: session.device_state() != DeviceState::Unbound,
        items,
        counter,
    }
}

struct Check<'c, 'p> {
    run: &'c Run<'p>,
    history: &'c History,
    live: &'c [Probe],
}

type Broken = Vec<(Promise, String)>;

impl Check<'_, '_> {
    /// *Ended means ended.* Once a log-out is answered with a 2xx, or a save after it says so, no
    /// cookie that any browser ever had opens the session: not under an id that another request
    /// gives it, not through a change that was under way. Once the end of a user's sessions, or of
    /// one of them, is answered, none of them is that user's any more whose login was answered
    /// before the call began; logins still in flight then may survive it.
    ///
    /// What cannot be promised: in Flask's form, which has no markers, an end is one of the id that
    /// came with the request. A log-out that *arrives* with an id that was renewed more than a
    /// minute before finds nothing.
    fn ended_means_ended(&self, broken: &mut Broken) {
        for end in &self.history.ends {
            for probe in self.live {
                let alive = match end {
                    End::One(Target::Group(group)) => probe.group == *group,
                    End::One(Target::Cookie(cookie)) => probe.cookie == *cookie,
                    End::From { user, began } => {
                        probe.user == Some(*user)
                            && self.came_from_provider(*user, probe.group, *began)
                            && !self.login_in_flight(*user, probe.group, *began)
                            && !self.trace_is_lost(probe.group, *began)
                    }
                    End::User {
                        user,
                        only,
                        keep,
                        began,
                    } => {
                        probe.user == Some(*user)
                            && only.is_none_or(|it| it == probe.group)
                            && *keep != Some(probe.group)
                            && !self.login_in_flight(*user, probe.group, *began)
                            && !self.trace_is_lost(probe.group, *began)
                    }
                };
                if alive {
                    let text = format!("session {} is live after {end:?}", probe.group);
                    broken.push((Promise::Ended, text));
                }
            }
        }
    }

    /// Whether the provider vouched for the user in a login that was answered before, and the
    /// session was nobody else's.
    fn came_from_provider(&self, user: usize, group: usize, began: u64) -> bool {
        let vouched = self.history.changes.iter().any(|it| {
            it.from_provider
                && it.kind == Kind::LogIn(user)
                && it.group == Some(group)
                && it.state == State::Stored
                && it.answered.is_some_and(|answered| answered < began)
        });
        vouched && self.history.logins_of(group).all(|it| it == user)
    }

    /// Whether a login of the user on the session had not been answered before.
    fn login_in_flight(&self, user: usize, group: usize, began: u64) -> bool {
        self.history.changes.iter().any(|it| {
            it.kind == Kind::LogIn(user)
                && self.history.may_be_in(it, group)
                && it.answered.is_none_or(|answered| answered >= began)
        })
    }

    /// Whether the session was renewed after `began`, in a store that forgot records before their
    /// time: from the old record's tombstone the new one would have been found.
    fn trace_is_lost(&self, group: usize, began: u64) -> bool {
        let renewed = self.history.requests.iter().any(|it| {
            it.sent.is_some()
                && it.groups.contains(&group)
                && it.answered.is_some_and(|answered| answered >= began)
        });
        renewed && self.run.program.forgets()
    }

    /// *Of all ids of a session that were ever sent, one is live at most.* A renewal or a login
    /// that was answered ends the id before, and of two at once one wins.
    fn one_id_opens_a_session(&self, broken: &mut Broken) {
        for (index, probe) in self.live.iter().enumerate() {
            if self.live[..index].iter().any(|it| it.group == probe.group) {
                let text = format!("two ids of session {} are live", probe.group);
                broken.push((Promise::Ended, text));
            }
        }
    }

    /// *A user has no more sessions than the limit*, once all logins are answered. What is lost or
    /// damaged, or has expired by a clock that is set back later, is not counted.
    fn no_user_has_too_many_sessions(&self, broken: &mut Broken) {
        let program = self.run.program;
        let Some(limit) = program.config.limit else {
            return;
        };
        if program.evicts() || program.clock_steps() > 0 {
            return;
        }
        for user in 0..USERS.len() {
            let live = self.live.iter().filter(|it| it.user == Some(user));
            let groups: BTreeSet<_> = live.map(|it| it.group).collect();
            if groups.len() > limit.most {
                let text = format!("user {user} has the sessions {groups:?}, and {limit:?}");
                broken.push((Promise::Limited, text));
            }
        }
    }

    /// *A login gives a new id.* Once it is answered, the id that came with its request opens
    /// nothing.
    /// What is not a login keeps a session bound to its device, and a login of another user never
    /// does. No request of a program has the proof, so a login of the same user may free it.
    fn a_binding_is_kept(&self, broken: &mut Broken) {
        for probe in self.live {
            let group = &self.history.groups[probe.group];
            let Some(by) = group.bound_by else { continue };
            let logged_in = self.history.changes.iter().any(|it| {
                let login = it.request.is_some() && matches!(it.kind, Kind::LogIn(_));
                login && it.group.is_none_or(|it| it == probe.group)
            });
            let text = if probe.user != Some(by) && probe.bound {
                "is bound to another user's device"
            } else if !logged_in && !probe.bound {
                "is not bound any more"
            } else {
                continue;
            };
            broken.push((Promise::Bound, format!("session {} {text}", probe.group)));
        }
    }

    fn an_id_from_before_a_login_is_dead(&self, broken: &mut Broken) {
        for (r, log) in self.history.requests.iter().enumerate() {
            let stored = self.history.changes.iter().any(|it| {
                it.request == Some(r)
                    && it.state == State::Stored
                    && matches!(it.kind, Kind::LogIn(_))
            });
            if !(log.ok && log.logged_in && stored) {
                continue;
            }
            let same = |it: &Probe| it.cookie == log.cookie && Some(it.group) == log.group;
            if self.live.iter().any(same) {
                let text = format!("the id from before the login of request {r} is live");
                broken.push((Promise::Ended, text));
            }
        }
    }

    /// *2xx means stored.* What a request changed before it was answered with a 2xx, or before a
    /// `save` that said so, is in the session: through its live id it is read back, until a later
    /// or concurrent change replaces or removes it. A session that was ended, or is another user's
    /// by then, has dropped it. A session that nobody ended, that is in use and that nothing went
    /// wrong for is live under an id that was sent.
    fn stored_means_stored(&self, broken: &mut Broken) {
        for change in &self.history.changes {
            if change.item == usize::MAX || change.state != State::Stored {
                continue;
            }
            let Some(group) = change.group else {
                if !self.is_replaced(change) && !self.may_have_ended_unseen(change) {
                    let text = format!("{change:?} is said to be stored, and there is no session");
                    broken.push((Promise::Stored, text));
                }
                continue;
            };
            if self.history.may_have_ended(group)
                || self.is_replaced(change)
                || self.is_another_users(change, group)
            {
                continue;
            }
            let mut live = self.live.iter().filter(|it| it.group == group).peekable();
            if live.peek().is_none() {
                if !self.may_be_lost(group) {
                    let text = format!("{change:?} is said to be stored, and nobody has a live id");
                    broken.push((Promise::Stored, text));
                }
                continue;
            }
            if live.any(|it| it.items & 1 << change.item == 0) {
                let text = format!("{change:?} is said to be stored, and is not there");
                broken.push((Promise::Stored, text));
            }
        }
    }

    /// Whether the session that the change's request logged in to may have been ended before the
    /// request saw it.
    fn may_have_ended_unseen(&self, change: &Change) -> bool {
        let own = |it: &&Change| it.request == change.request;
        self.history.changes.iter().filter(own).any(|it| {
            let ended = |user| {
                self.history.ended_users.iter().any(|(it, _)| *it == user)
                    || self.history.ended_by_provider.contains(&user)
            };
            matches!(it.kind, Kind::LogIn(user) if ended(user))
        })
    }

    /// Whether another change that came later, or was under way at the same time, replaces or
    /// removes this one.
    fn is_replaced(&self, change: &Change) -> bool {
        self.history.changes.iter().any(|other| {
            let removes = match other.kind {
                Kind::Clear => true,
                Kind::Remove => change.kind == Kind::Put,
                Kind::Put => change.kind == Kind::Put && other.item != change.item,
                Kind::TakeFlashes => change.kind == Kind::Flash,
                Kind::Mark | Kind::Count | Kind::Flash | Kind::LogIn(_) => false,
            };
            let same = change
                .group
                .is_none_or(|group| self.history.may_be_in(other, group));
            removes && same && other.state != State::Absent && comes_later(other, change)
        })
    }

    /// Whether the session may have been another user's before the change was made in it: it was
    /// emptied first.
    fn is_another_users(&self, change: &Change, group: usize) -> bool {
        let arrived = change
            .request
            .map_or(0, |it| self.history.requests[it].arrived);
        let mut users: Vec<_> = self.history.logins_of(group).collect();
        users.sort_unstable();
        users.dedup();
        self.history.changes.iter().any(|other| {
            let takes = match (other.kind, change.user) {
                (Kind::LogIn(user), Some(before)) => user != before,
                (Kind::LogIn(_), None) => users.len() > 1,
                _ => false,
            };
            takes
                && other.state != State::Absent
                && self.history.may_be_in(other, group)
                && other.done.is_none_or(|done| done >= arrived)
        })
    }

    /// Whether a session may be without a live id that was sent: it may have expired, or something
    /// went wrong.
    fn may_be_lost(&self, group: usize) -> bool {
        let program = self.run.program;
        let passed = self.run.started.elapsed().as_secs() + program.clock_steps() + 2;
        let absolute = program.config.absolute.unwrap_or(u64::MAX);
        let dropped = |it: &Step| matches!(it, Step::SaveDropped(_) | Step::SaveHeld(_));
        !program.is_faultless()
            || self.history.groups[group].unknown
            || passed >= program.shortest_idle().min(absolute)
            || (program.dropped_calls_arrive && program.steps().any(dropped))
    }

    /// *What was answered as not stored is not stored.* A save that says that the session ended, or
    /// an error that says that nothing changed, left nothing of the request's changes.
    fn what_was_not_stored_is_not_there(&self, broken: &mut Broken) {
        for change in &self.history.changes {
            if change.item == usize::MAX || change.state != State::Absent {
                continue;
            }
            if self.live.iter().any(|it| it.items & 1 << change.item != 0) {
                let text = format!("{change:?} is said not to be stored, and is there");
                broken.push((Promise::Stored, text));
            }
        }
    }

    /// *A counter counts each increment once*, however often its closure ran.
    fn counters_count_once(&self, broken: &mut Broken) {
        let mut counts = 0_u64;
        for change in &self.history.changes {
            if change.kind == Kind::Count && change.item != usize::MAX {
                counts |= 1 << (2 * change.item);
            }
        }
        for probe in self.live.iter().filter(|it| it.counter & !counts != 0) {
            for item in 0..32 {
                let digit = probe.counter >> (2 * item) & 3;
                if digit > counts >> (2 * item) & 1 {
                    let text = format!("increment {item} was made {digit} times");
                    broken.push((Promise::Counted, text));
                }
            }
        }
    }

    /// *Sessions are kept apart.* Nothing that was put into one session is in another, and nothing
    /// that was put there for one user is there for the next.
    fn sessions_are_kept_apart(&self, broken: &mut Broken) {
        for probe in self.live {
            for change in &self.history.changes {
                if change.item == usize::MAX || probe.items & 1 << change.item == 0 {
                    continue;
                }
                let one = |group| self.history.may_be_one(group, probe.group);
                let elsewhere =
                    !self.history.may_be_in(change, probe.group) && !change.group.is_some_and(one);
                let foreign = change.user.is_some() && probe.user != change.user;
                if elsewhere || foreign {
                    let text = format!(
                        "{change:?} is in session {} of {:?}",
                        probe.group, probe.user
                    );
                    broken.push((Promise::Apart, text));
                }
            }
        }
    }

    /// *A request costs so much and no more.* Its calls are bounded by its steps and by what others
    /// do meanwhile.
    fn requests_are_bounded(&self, broken: &mut Broken) {
        let world = self.run.bench.store.world();
        for (r, request) in self.run.program.requests.iter().enumerate() {
            let steps = request.steps.len() + request.task.len() + request.after.len() + 2;
            let limited = self.run.program.config.limit.is_some();
            let moves = self.run.program.config.moving.is_some();
            let most = CALLS_PER_STEP
                * steps as u64
                * if limited { 4 } else { 1 }
                * if moves { 5 } else { 1 };
            let calls = world.counts[2 * r].calls + world.counts[2 * r + 1].calls;
            if calls > most {
                let text = format!("request {r} made {calls} calls of the store");
                broken.push((Promise::Bounded, text));
            }
        }
    }

    /// *An id that is taken is given to nobody else*: what is stored under it stays.
    fn a_taken_id_is_not_overwritten(&self, broken: &mut Broken) {
        let robbed = self.run.bench.store.world().robbed();
        let sweeps = |it: &Turn| matches!(it, Turn::Sweep);
        if robbed > 0 && !self.run.program.evicts() && !self.run.program.schedule.iter().any(sweeps)
        {
            let text = format!("{robbed} records of somebody else are gone");
            broken.push((Promise::Apart, text));
        }
    }

    /// *What cannot be read is overwritten by nobody*: a later release may have written it.
    fn what_cannot_be_read_is_not_overwritten(&self, broken: &mut Broken) {
        let program = self.run.program;
        let sweeps = program.schedule.iter().any(|it| matches!(it, Turn::Sweep));
        let lost = self.run.bench.store.world().overwritten_unreadable();
        if lost > 0 && !program.forgets() && !sweeps {
            let text = format!("{lost} records that cannot be read were overwritten");
            broken.push((Promise::Apart, text));
        }
    }
}

/// Whether `other` may have been made after `change`.
fn comes_later(other: &Change, change: &Change) -> bool {
    let same_thread = other.request == change.request && other.thread == change.thread;
    if same_thread && change.request.is_some() {
        return other.began > change.began;
    }
    other.done.is_none_or(|done| done >= change.began)
}

/// *A login is refused only if its user has as many sessions as the limit.*
pub(crate) fn refused(run: &Run<'_>, r: usize) {
    let mut history = run.history.borrow_mut();
    let own = |it: &&Change| it.request == Some(r);
    let logins = history
        .changes
        .iter()
        .filter(own)
        .filter_map(|it| match it.kind {
            Kind::LogIn(user) => Some(user),
            _ => None,
        });
    let most = run.program.config.limit.map_or(0, |it| it.most);
    let has_enough = logins.collect::<BTreeSet<_>>().into_iter().any(|user| {
        // A login that failed meanwhile may have been admitted before.
        let arrived = history.requests[r].arrived;
        let counts =
            |it: &&Change| it.state != State::Absent || it.done.is_some_and(|done| done >= arrived);
        let others = history
            .changes
            .iter()
            .filter(counts)
            .filter(|it| it.kind == Kind::LogIn(user) && it.request != Some(r));
        others.count() >= most
    });
    if !has_enough {
        let text = format!("the login of request {r} is refused, and there are too few others");
        history.violate(Promise::Limited, text);
    }
}

/// *A change is dropped only where the session ended, or is another user's.*
pub(crate) fn dropped(program: &Program, history: &mut History, r: usize, taken: &[usize]) {
    let Some(group) = history.requests[r].group else {
        return;
    };
    let first = history.requests[r].users.first().copied();
    let own = history.changes.iter().filter(|it| it.request == Some(r));
    let mut users = own.filter_map(|it| match it.kind {
        Kind::LogIn(user) => Some(user),
        _ => None,
    });
    // The session of a request that came with nobody's, and logs nobody in, may become anybody's.
    let user = users.next_back().or(first);
    let anothers = if let Some(user) = user {
        history.logins_of(group).any(|it| it != user)
    } else {
        // A reload may have made it one user's, and then it became another's.
        let request = &program.requests[r];
        let steps = [&request.steps, &request.task, &request.after];
        let reloads = steps.iter().any(|it| it.contains(&Step::Reload));
        let users: BTreeSet<_> = history.logins_of(group).collect();
        reloads && users.len() > 1
    };
    let excused = history.may_have_ended(group)
        || anothers
        || program.config.absolute.is_some()
        || history.groups[group].flask;
    if !taken.is_empty() && !excused {
        let text =
            format!("a save of request {r} dropped a change, though nobody ended the session");
        history.violate(Promise::Stored, text);
    }
}

/// *A successful reload loads again*: it finds what was reported as stored before it began, unless
/// another request may have removed it or ended the session.
pub(crate) fn reloaded(run: &Run<'_>, r: usize, session: &Session, began: u64) {
    let mut history = run.history.borrow_mut();
    let opened = history.requests[r].group.filter(|_| !session.is_new());
    let removes = |it: &Change| matches!(it.kind, Kind::Clear | Kind::LogIn(_));
    let Some(group) = opened else { return };
    if history.may_have_ended(group) || history.changes.iter().any(removes) {
        return;
    }
    let missed = history.changes.iter().find(|it| {
        it.kind == Kind::Mark
            && it.group == Some(group)
            && it.state == State::Stored
            && it.done.is_some_and(|done| done < began)
            && !session.contains(&format!("m{}", it.item))
    });
    if let Some(missed) = missed {
        let text = format!("request {r} reloads, and does not see {missed:?}");
        history.violate(Promise::Stored, text);
    }
}

/// *No answer sends a dead id*: an id that ended or was renewed before the end of the request
/// began, or before the handler's last store call. Store calls of another task of the request do
/// not count. An answer that failed could not load again; it sends no id that the request knew to
/// be dead.
pub(crate) fn sent(run: &Run<'_>, r: usize, cookie: &str) {
    if live_now(run, cookie).is_some() || run.program.evicts() {
        return;
    }
    // A request whose login was not admitted did not get the records that the list loaded.
    if run.program.config.limit.is_some() && !run.history.borrow().requests[r].ok {
        return;
    }
    let world = run.bench.store.world();
    let (ok, finish_began) = {
        let log = &run.history.borrow().requests[r];
        (log.ok, log.finish_began)
    };
    let last = if ok {
        world.counts[2 * r].last_began.max(finish_began)
    } else {
        let loaded_at =
            |thread: usize| world.loaded_at[thread].get(&world.loaded.clone()?).copied();
        loaded_at(2 * r).max(loaded_at(2 * r + 1)).unwrap_or(0)
    };
    let times: Vec<_> = world.changed_until(last);
    let stores: Vec<_> = times.into_iter().map(|it| world.earlier(it)).collect();
    drop(world);
    let opens =
        |store| opens_now(&run.bench.sessions_over(run.program.config, store), cookie).is_some();
    let mut lived = stores.into_iter().map(opens);
    // The last of them is the store as it was when that call began.
    if lived.next() == Some(false) && lived.any(|it| it) {
        let text = format!("answer {r} sends an id that was dead before");
        run.history.borrow_mut().violate(Promise::Dead, text);
    }
}
