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
        _what: "a request that came with a renewed id and logged in, and ends sessions: which of the two is its own",
        promises: &[Promise::Ended, Promise::Stored],
        programs: |it| count(it, logs_in) > 0 && count(it, ends) > 0,
    },
    Known {
        _what: "an answer that failed carries the cookie of an early save, though its own request ended the session",
        promises: &[Promise::Dead],
        programs: |it| !it.is_faultless() || (count(it, saves) > 0 && lets_time_pass(it)),
    },
    Known {
        _what: "an answer that failed at what another task of the request added says nothing of what was stored before",
        promises: &[Promise::Stored],
        programs: |it| it.requests.iter().any(|it| !it.task.is_empty()),
    },
    Known {
        _what: "a native application does not know when the cookie of a kept session of Flask's ends: it lags behind what \
                was saved after the head",
        promises: &[Promise::LoggedIn],
        programs: |it| {
            matches!(it.config.layout, Layout::Keep | Layout::Move)
                && it.requests.iter().any(|it| !it.after.is_empty())
        },
    },
    Known {
        _what: "after the head a call waits for another's turn as long as that takes",
        promises: &[Promise::Budget],
        programs: |it| it.requests.iter().any(|it| !it.task.is_empty()),
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
