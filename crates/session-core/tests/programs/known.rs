use crate::{
    history::Promise,
    program::{Layout, Program, Step, Turn},
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
        _what: "what was changed before a login is kept where another request logged in the same user",
        promises: &[Promise::Apart],
        programs: |it| count(it, logs_in) > 1,
    },
    Known {
        _what: "a change after a login that was lost to a renewal is dropped with a 2xx",
        promises: &[Promise::Stored],
        programs: |it| count(it, logs_in) > 0 && count(it, saves) > 0,
    },
    Known {
        _what: "the error of a save that nobody polls is told to nobody, and the answer is a 2xx",
        promises: &[Promise::Stored],
        programs: |it| count(it, |it| matches!(it, Step::SaveHeld(_))) > 0,
    },
    Known {
        _what: "an end by a request whose session went to another user, or whose login was lost, ends nothing",
        promises: &[Promise::Ended],
        programs: |it| count(it, logs_in) > 0 && count(it, ends) > 0,
    },
    Known {
        _what: "with a renewed id and a login of its own, a request ends the sessions of the user before the login",
        promises: &[Promise::Ended, Promise::Stored],
        programs: |it| {
            count(it, logs_in) > 0
                && count(it, |it| {
                    matches!(it, Step::Everywhere { .. } | Step::EndOne(_))
                }) > 0
        },
    },
    Known {
        _what: "an answer that failed carries the cookie of an early save, though its own request ended the session",
        promises: &[Promise::Dead],
        programs: |it| count(it, saves) > 0 && (!it.is_faultless() || lets_time_pass(it)),
    },
    Known {
        _what: "a renewal whose outcome was unknown for a while sends its id, though a log-out has ended it meanwhile",
        promises: &[Promise::Dead],
        programs: |it| !it.is_faultless() && count(it, ends) > 0,
    },
    Known {
        _what: "a save that was dropped keeps its turn until its request ends, and the others of the session wait",
        promises: &[Promise::Budget],
        programs: |it| count(it, |it| matches!(it, Step::SaveDropped(_))) > 0,
    },
    Known {
        _what: "after the head a call waits for another's turn as long as that takes",
        promises: &[Promise::Budget],
        programs: |it| it.requests.iter().any(|it| !it.task.is_empty()),
    },
    Known {
        _what: "in Flask's form nobody knows when the cookie ends, so it lags behind what was saved after the head",
        promises: &[Promise::LoggedIn],
        programs: |it| {
            it.config.layout != Layout::Native && it.requests.iter().any(|it| !it.after.is_empty())
        },
    },
];

fn logs_in(step: &Step) -> bool {
    matches!(step, Step::LogIn(_))
}

fn ends(step: &Step) -> bool {
    matches!(
        step,
        Step::LogOut | Step::EndOne(_) | Step::EndAllOf(_) | Step::Everywhere { .. }
    )
}

fn lets_time_pass(program: &Program) -> bool {
    program
        .schedule
        .iter()
        .any(|it| matches!(it, Turn::Pass(_)))
        || count(program, |it| matches!(it, Step::Wait(_))) > 0
}

fn saves(step: &Step) -> bool {
    matches!(step, Step::Save | Step::SaveDropped(_) | Step::SaveHeld(_))
}

fn count(program: &Program, is: impl Fn(&Step) -> bool) -> usize {
    program.steps().filter(|it| is(it)).count()
}

/// Whether the program is one of those that are known to break the promise.
pub(crate) fn is_known(program: &Program, promise: Promise) -> bool {
    KNOWN
        .iter()
        .any(|it| it.promises.contains(&promise) && (it.programs)(program))
}
