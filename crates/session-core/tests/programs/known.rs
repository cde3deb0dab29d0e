use crate::{
    history::Promise,
    program::{Layout, Open, Program, Step, Turn, Use},
};

/// A promise that is known to be broken, and by which programs. The list only gets shorter.
struct Known {
    /// What happens.
    _what: &'static str,
    promises: &'static [Promise],
    programs: fn(&Program) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        _what: "a dropped save takes the changes, the renewal or the end with it, and nobody waits for one under way",
        promises: &[
            Promise::Stored,
            Promise::Counted,
            Promise::Ended,
            Promise::Apart,
            Promise::Dead,
            Promise::LoggedIn,
            Promise::Budget,
        ],
        programs: |it| it.steps().any(|it| matches!(it, Step::SaveDropped(_) | Step::SaveHeld(_))),
    },
    Known {
        _what: "a change inside the closure of an update spins for ever",
        promises: &[Promise::Bounded],
        programs: |it| it.steps().any(|it| *it == Step::Reenter),
    },
    Known {
        _what: "a session that is opened after the head does not know that the head was sent",
        promises: &[Promise::Stored, Promise::Ended],
        programs: |it| it.requests.iter().any(|it| it.open == Open::AfterHead),
    },
    Known {
        _what: "a session that could not be loaded takes changes and ends with a 2xx",
        promises: &[Promise::Stored, Promise::Ended],
        programs: |it| it.config.anonymous,
    },
    Known {
        _what: "the cookie of an active user is not renewed, or a dead one comes first",
        promises: &[Promise::LoggedIn],
        programs: |it| {
            it.config.refresh == Use::OnChange
                || it.config.refresh == Use::WhenDue
                || it.seeds.iter().any(|it| it.stale)
        },
    },
    Known {
        _what: "the cookie of an early save is sent after another request renewed or ended the session",
        promises: &[Promise::Dead],
        programs: |it| it.steps().any(|it| *it == Step::Save),
    },
    Known {
        _what: "a change after the head moves a session from Flask's form to an id that nobody gets",
        promises: &[Promise::Stored, Promise::LoggedIn],
        programs: |it| {
            it.config.layout == Layout::Move
                && it.requests.iter().any(|it| !(it.after.is_empty() && it.task.is_empty()))
        },
    },
    Known {
        _what: "sessions of Flask's form are not in the list of their user",
        promises: &[Promise::Ended],
        programs: |it| {
            it.config.layout != Layout::Native
                && it.steps().any(|it| {
                    matches!(it, Step::Everywhere { .. } | Step::EndAllOf(_) | Step::EndOne(_))
                })
        },
    },
    Known {
        _what: "a request goes on in another user's session after a reload",
        promises: &[Promise::Apart],
        programs: |it| it.steps().any(|it| *it == Step::Reload),
    },
    Known {
        _what: "what was changed before a login is kept where another request logged in the same user",
        promises: &[Promise::Apart],
        programs: |it| it.steps().filter(|it| matches!(it, Step::LogIn(_))).count() > 1,
    },
    Known {
        _what: "log-out everywhere by a request with an id that was just renewed ends nothing",
        promises: &[Promise::Ended],
        programs: |it| {
            it.steps().any(|it| matches!(it, Step::Everywhere { .. }))
                && it.steps().any(|it| matches!(it, Step::Renew | Step::LogIn(_)))
        },
    },
    Known {
        _what: "a session that expires while its request runs counts as ended",
        promises: &[Promise::Stored],
        programs: |it| {
            it.steps().any(|it| matches!(it, Step::Wait(_)))
                || it.schedule.iter().any(|it| matches!(it, Turn::Pass(_) | Turn::Clock(_)))
        },
    },
    Known {
        _what: "a renewal that lost to another leaves its request with a session that counts as ended",
        promises: &[Promise::Ended, Promise::Stored],
        programs: |it| {
            let renews = |it: &&Step| matches!(it, Step::Renew | Step::LogIn(_));
            it.config.layout == Layout::Move || it.steps().filter(renews).count() > 1
        },
    },
    Known {
        _what: "a log-out that finds nothing at all counts as done",
        promises: &[Promise::Ended],
        programs: Program::evicts,
    },
    Known {
        _what: "an expired session is not ended by a log-out, and a request under way brings it back",
        promises: &[Promise::Ended],
        programs: |it| {
            it.steps().any(|it| matches!(it, Step::Wait(_)))
                || it.schedule.iter().any(|it| matches!(it, Turn::Pass(_) | Turn::Clock(_)))
        },
    },
    Known {
        _what: "a reload takes a session of Flask's form that was renewed for ended",
        promises: &[Promise::Stored],
        programs: |it| {
            it.config.layout != Layout::Native && it.steps().any(|it| *it == Step::Reload)
        },
    },
    Known {
        _what: "a session that is nowhere to be found counts as ended",
        promises: &[Promise::Stored],
        programs: Program::evicts,
    },
    Known {
        _what: "a reload or a save under way brings back a session that its own request destroys meanwhile",
        promises: &[Promise::Stored, Promise::Ended, Promise::Apart],
        programs: |it| {
            let ends = |it: &Step| {
                matches!(it, Step::LogOut | Step::Everywhere { .. } | Step::EndOne(_))
            };
            it.requests.iter().any(|it| {
                !it.task.is_empty() && it.steps.iter().chain(&it.task).chain(&it.after).any(ends)
            })
        },
    },
];

/// Whether the program is one of those that are known to break the promise.
pub(crate) fn is_known(program: &Program, promise: Promise) -> bool {
    KNOWN
        .iter()
        .any(|it| it.promises.contains(&promise) && (it.programs)(program))
}
