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

const KNOWN: &[Known] = &[];

/// Whether the program is one of those that are known to break the promise.
pub(crate) fn is_known(program: &Program, promise: Promise) -> bool {
    KNOWN
        .iter()
        .any(|it| it.promises.contains(&promise) && (it.programs)(program))
}
