//! Records a request's answer in the history, and what the browser may rely on from then on.

use std::time::Duration;

use session_core::{Error, Session};
use tokio::time::Instant;

use crate::{
    checker::{self},
    history::{End, ErrorMeaning, Expected, Kind, Promise, State, Target, meaning_of, user_of},
    program::Use,
    runner::Run,
};

impl Run<'_> {
    pub(super) fn answers(
        &self,
        r: usize,
        session: Option<&Session>,
        (taken, ended): (&[usize], &[Target]),
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
        let log = &mut history.requests[r];
        log.head_sent = true;
        log.answered = Some(tick);
        log.ok = error.is_none();
        if let Some(error) = error {
            let state = match meaning_of(error) {
                ErrorMeaning::NothingStored if log.failures == 0 => State::Absent,
                _ => State::Unknown,
            };
            // What came while it was finished was taken up, too.
            history.refuse(r);
            history.resolve(taken, state, tick);
        } else {
            history.resolve(taken, State::Stored, tick);
            history.confirm(r, ended);
            let claims = std::mem::take(&mut history.requests[r].claims);
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
    pub(super) fn sends(&self, r: usize, session: Option<&Session>, header: &str) {
        let pair = header.split(';').next().unwrap_or_default();
        let opened = checker::live_now(self, pair);
        let (alive, lineage) = (opened.is_some(), opened.and_then(|it| it.lineage()));
        let mut history = self.history.borrow_mut();
        if pair.ends_with('=') {
            let log = &history.requests[r];
            // In Flask's form a session that somebody emptied is none.
            let groups = &history.groups;
            let emptied = |it: &usize| groups[*it].flask && groups[*it].end_tried;
            let ends = log.may_remove || log.groups.iter().any(emptied);
            if !(ends || log.groups.is_empty()) {
                let text = format!("answer {r} removes the cookie, though nothing was ended");
                history.violate(Promise::Removal, text);
            }
        } else {
            let known = history.group_of(pair);
            if known.is_none() {
                // If the request logged out during a save, the cookie is still for that session.
                let log = &history.requests[r];
                let since = !log.ok || log.groups.len() > log.known;
                let saved = log.groups.last().copied().filter(|_| since);
                // In Flask's form nothing names a session, and after one that ended comes another.
                let saved = saved.filter(|it| !history.groups[*it].end_tried);
                let group = log.group.or(log.finishing).or(saved);
                let named = lineage.and_then(|it| history.named(it));
                let group = named.or(group).unwrap_or_else(|| {
                    let group = history.new_group();
                    history.groups[group].flask = alive && lineage.is_none();
                    history.requests[r].groups.push(group);
                    group
                });
                history.cookies.push((pair.to_owned(), group));
            }
            history.requests[r].sent = Some(pair.to_owned());
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
    pub(super) fn relies(&self, r: usize, session: Option<&Session>, ok: bool) {
        if !self.sequential {
            return;
        }
        let request = &self.program.requests[r];
        let mut history = self.history.borrow_mut();
        let changed = history
            .changes
            .iter()
            .any(|it| it.request == Some(r) && it.state == State::Stored && it.item != usize::MAX);
        let logged_in = history.requests[r].logged_in;
        let Some((session, group)) = session.zip(history.requests[r].group) else {
            // A request that does not look at the session ends none.
            if !ok || history.requests[r].may_remove {
                history.expected[request.browser] = None;
            }
            return;
        };
        let opened = history.requests[r].opened_at;
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
            logged_in_at: history.requests[r]
                .opened_at
                .unwrap_or(self.bench.wall.now()),
        };
        history.expected[request.browser] = match before {
            _ if logged_in && changed_by_login(&history, r) => Some(now),
            Some(before) if moves => Some(Expected {
                logged_in_at: before.logged_in_at,
                ..now
            }),
            Some(before) => Some(before),
            None if changed && history.requests[r].presented != Some(group) => Some(now),
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
    pub(super) fn confirm(&mut self, r: usize, ended: &[Target]) {
        for target in ended {
            self.requests[r].ending.retain(|it| it != target);
            self.ends.push(End::One(target.clone()));
        }
    }
}
