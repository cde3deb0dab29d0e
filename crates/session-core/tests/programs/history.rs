//! The history of a run: what each request did, and which results it got.

use std::time::{Duration, SystemTime};

use session_core::{Error, Lineage, Session};
use tokio::time::Instant;

use crate::program::USERS;

/// What a program broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Promise {
    Stored,
    Counted,
    Ended,
    Apart,
    Dead,
    LoggedIn,
    Expired,
    Removal,
    Budget,
    Bounded,
    Limited,
    Rotated,
    Bound,
    /// Nothing panics.
    Panics,
}

#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) text: String,
}

/// What the requests of a run did and which results they got, in order.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) requests: Vec<RequestLog>,
    pub(crate) groups: Vec<Group>,
    /// Every cookie that was ever sent, as name and value, and the session it is for.
    pub(crate) cookies: Vec<(String, usize)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) ends: Vec<End>,
    /// Users whom somebody tried to log out everywhere, and the session that was to be kept.
    pub(crate) ended_users: Vec<(usize, Option<usize>)>,
    /// Users whose provider's session somebody tried to end.
    pub(crate) ended_by_provider: Vec<usize>,
    /// The trace of the run, if it is wanted.
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) expected: Vec<Option<Expected>>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) items: usize,
}

/// A session over all of its ids.
#[derive(Debug, Default)]
// Each flag is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Group {
    pub(crate) lineage: Option<Lineage>,
    /// It has or had a record of Flask's form, in which nothing tells an ended one from a renewed
    /// one.
    pub(crate) flask: bool,
    /// It ended before the program began, and a browser still has its cookie.
    pub(crate) stale: bool,
    /// It was bound to a device when this user logged in, before the program began.
    pub(crate) bound_by: Option<usize>,
    /// Somebody tried to end it.
    pub(crate) end_tried: bool,
    /// When a request last used it.
    pub(crate) last_use: Option<Instant>,
    /// A request that used it got an error that says nothing of what is stored.
    pub(crate) unknown: bool,
}

/// One request so far.
#[derive(Debug, Default)]
// Each flag is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct RequestLog {
    /// The cookie that came with it, as name and value.
    pub(crate) cookie: String,
    /// The session that the cookie is for.
    pub(crate) presented: Option<usize>,
    /// The session that the request works on.
    pub(crate) group: Option<usize>,
    /// Every session that the request worked on.
    pub(crate) groups: Vec<usize>,
    pub(crate) arrived: u64,
    pub(crate) arrived_at: Option<Instant>,
    pub(crate) opened_at: Option<SystemTime>,
    /// It came with an id that was renewed before, and has not logged in since.
    pub(crate) late: bool,
    /// It came with an id that was renewed before.
    pub(crate) came_late: bool,
    /// Whose session the request was authorised for, first of all, and whom it logged in since;
    /// empty if nobody's.
    pub(crate) users: Vec<usize>,
    /// Sessions that the request logged out of, before the store has confirmed it.
    pub(crate) ending: Vec<Target>,
    /// Ends that a call has confirmed, before the request is answered.
    pub(crate) claims: Vec<End>,
    /// It ended a session, so that it may remove the cookie.
    pub(crate) may_remove: bool,
    pub(crate) logged_in: bool,
    pub(crate) head_sent: bool,
    pub(crate) finish_began: u64,
    /// The session that it worked on then.
    pub(crate) finishing: Option<usize>,
    /// How many sessions it had worked on by then.
    pub(crate) known: usize,
    pub(crate) answered: Option<u64>,
    pub(crate) ok: bool,
    pub(crate) sent: Option<String>,
    /// Store time so far, by thread.
    pub(crate) spent: [Duration; 2],
    pub(crate) failures: u32,
}

/// What was ended: every id of a session, or one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Group(usize),
    Cookie(String),
}

/// An end that was answered as done.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Of a session, whoever's it is.
    One(Target),
    /// Of the sessions that came from the provider's session of a user.
    From { user: usize, began: u64 },
    /// Of a user's sessions, or one of them, whose login was answered before.
    User {
        user: usize,
        only: Option<usize>,
        keep: Option<usize>,
        began: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mark,
    Count,
    Put,
    Flash,
    TakeFlashes,
    Remove,
    Clear,
    LogIn(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No save has said anything of it.
    Pending,
    /// A save or an answer said that it is stored.
    Stored,
    /// A save said that it was dropped because the session ended, or an error said that nothing was
    /// stored.
    Absent,
    /// The outcome is unknown.
    Unknown,
    /// Its own request logged out of the session afterwards.
    Destroyed,
}

/// A change that a request made.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    /// The number of what it adds; a number of its own in the whole program.
    pub(crate) item: usize,
    /// None for what a seed made.
    pub(crate) request: Option<usize>,
    pub(crate) thread: usize,
    /// Whose session the request saw when it made the change.
    pub(crate) user: Option<usize>,
    pub(crate) group: Option<usize>,
    pub(crate) began: u64,
    pub(crate) done: Option<u64>,
    pub(crate) answered: Option<u64>,
    pub(crate) state: State,
    /// How many saves took it up.
    pub(crate) saves: u32,
    /// One of several saves said that it is not stored.
    pub(crate) refused: bool,
    /// A save took it up that nobody polls: what became of it only that one and the answer say.
    pub(crate) held: bool,
    /// It is a login that the identity provider vouches for.
    pub(crate) from_provider: bool,
}

/// What a browser relies on when it comes again.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) user: Option<usize>,
    pub(crate) group: usize,
    pub(crate) last_use: Instant,
    pub(crate) logged_in_at: SystemTime,
}

/// What an error means for the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorMeaning {
    /// Nothing of them is stored.
    NothingStored,
    Unknown,
}

pub(crate) fn meaning_of(error: &Error) -> ErrorMeaning {
    match error {
        Error::Conflict
        | Error::HeadSent
        | Error::TooLarge { .. }
        | Error::Encode { .. }
        | Error::Decode { .. }
        | Error::ReservedKey
        | Error::Reentrant
        | Error::NotLoaded
        | Error::Missing
        | Error::Expired
        | Error::TooManySessions { .. }
        | Error::NoOwnerIndex => ErrorMeaning::NothingStored,
        _ => ErrorMeaning::Unknown,
    }
}

pub(crate) fn user_of(session: &Session) -> Option<usize> {
    let owner = session.owner()?;
    USERS.iter().position(|it| **it == *owner)
}

impl History {
    pub(crate) fn new(requests: usize, browsers: usize) -> Self {
        let mut history = Self::default();
        history.requests.resize_with(requests, RequestLog::default);
        history.expected.resize_with(browsers, || None);
        history
    }

    pub(crate) fn violate(&mut self, promise: Promise, text: impl Into<String>) {
        self.violations.push(Violation {
            promise,
            text: text.into(),
        });
    }

    pub(crate) fn add_trace(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    /// The session that a cookie is for.
    pub(crate) fn group_of(&self, cookie: &str) -> Option<usize> {
        let found = self.cookies.iter().find(|(it, _)| it == cookie);
        found.map(|(_, group)| *group)
    }

    /// Which session this is, by what it says of itself.
    pub(crate) fn identify(&mut self, session: &Session, known: Option<usize>) -> Option<usize> {
        if session.is_new() {
            return known;
        }
        let Some(lineage) = session.lineage() else {
            let group = known.unwrap_or_else(|| self.new_group());
            self.groups[group].flask = true;
            return Some(group);
        };
        if let Some(group) = self.named(lineage) {
            return Some(group);
        }
        let unnamed = known.filter(|it| self.groups[*it].lineage.is_none());
        let group = unnamed.unwrap_or_else(|| self.new_group());
        self.groups[group].lineage = Some(lineage);
        Some(group)
    }

    /// The session with a lineage.
    pub(crate) fn named(&self, lineage: Lineage) -> Option<usize> {
        let same = |it: &Group| it.lineage == Some(lineage);
        self.groups.iter().position(same)
    }

    pub(crate) fn new_group(&mut self) -> usize {
        self.groups.push(Group::default());
        self.groups.len() - 1
    }

    /// Notes which session request `r` works on by now.
    pub(crate) fn follow(&mut self, r: usize, session: &Session) {
        let group = self.identify(session, self.requests[r].group);
        let log = &mut self.requests[r];
        log.group = group;
        let Some(group) = group else { return };
        self.groups[group].last_use = Some(Instant::now());
        if !log.groups.contains(&group) {
            log.groups.push(group);
        }
        for change in &mut self.changes {
            if change.request == Some(r)
                && change.group.is_none()
                && change.state != State::Destroyed
            {
                change.group = Some(group);
            }
        }
    }

    /// The changes of request `r` that a save which begins now takes up.
    pub(crate) fn take_up(&mut self, r: usize) -> Vec<usize> {
        let mut taken = Vec::new();
        for (index, change) in self.changes.iter_mut().enumerate() {
            let open = matches!(change.state, State::Pending | State::Unknown);
            if change.request == Some(r) && open {
                change.saves += 1;
                taken.push(index);
            }
        }
        taken
    }

    /// A save that is over may have taken up what was changed while it was under way.
    pub(crate) fn take_up_too(&mut self, r: usize, taken: &[usize]) {
        for (index, change) in self.changes.iter_mut().enumerate() {
            let pending = change.request == Some(r) && change.state == State::Pending;
            change.saves += u32::from(pending && !taken.contains(&index));
        }
    }

    /// A save of request `r` took up whatever was there when its turn came, and says that it is not
    /// stored.
    pub(crate) fn refuse(&mut self, r: usize) {
        for change in &mut self.changes {
            change.refused |= change.request == Some(r) && change.state == State::Pending;
        }
    }

    pub(crate) fn resolve(&mut self, taken: &[usize], state: State, tick: u64) {
        for index in taken {
            let change = &mut self.changes[*index];
            if matches!(change.state, State::Pending | State::Unknown) {
                // Another save that took it up may have stored it all the same, or said that it did
                // not.
                change.refused |= state == State::Absent;
                change.state = match state {
                    State::Absent if change.saves > 1 => State::Unknown,
                    State::Stored if change.refused => State::Unknown,
                    state => state,
                };
                change.done = (change.state != State::Unknown).then_some(tick);
            }
        }
    }

    /// Whether somebody tried to end the session, by itself or with all of its user's.
    pub(crate) fn may_have_ended(&self, group: usize) -> bool {
        self.groups[group].end_tried
            || self
                .ended_users
                .iter()
                .any(|(user, keep)| *keep != Some(group) && self.may_be_of(group, *user))
            || self.changes.iter().any(|it| {
                let ended =
                    matches!(it.kind, Kind::LogIn(user) if self.ended_by_provider.contains(&user));
                ended && it.from_provider && self.may_be_in(it, group)
            })
    }

    fn may_be_of(&self, group: usize, user: usize) -> bool {
        self.logins_of(group).any(|it| it == user)
    }

    /// Every user whose session it may have been.
    pub(crate) fn logins_of(&self, group: usize) -> impl Iterator<Item = usize> {
        self.changes.iter().filter_map(move |it| match it.kind {
            Kind::LogIn(user) if self.may_be_in(it, group) => Some(user),
            _ => None,
        })
    }

    /// Whether two sessions may be one: of Flask's form, which has no name, and used by the same
    /// request.
    pub(crate) fn may_be_one(&self, one: usize, other: usize) -> bool {
        let uses =
            |it: &RequestLog, group| it.groups.contains(&group) || it.presented == Some(group);
        (self.groups[one].flask || self.groups[other].flask)
            && self
                .requests
                .iter()
                .any(|it| uses(it, one) && uses(it, other))
    }

    /// Whether the change may have been made in the session.
    pub(crate) fn may_be_in(&self, change: &Change, group: usize) -> bool {
        let log = change.request.map(|it| &self.requests[it]);
        change.group.is_none_or(|it| it == group)
            || log.is_some_and(|it| it.groups.contains(&group) || it.presented == Some(group))
    }
}

impl History {
    pub(crate) fn expect_seed(
        &mut self,
        browser: usize,
        user: Option<usize>,
        group: usize,
        now: SystemTime,
    ) {
        self.expected[browser] = Some(Expected {
            user,
            group,
            last_use: Instant::now(),
            logged_in_at: now,
        });
    }
}
