//! The plan of a contest: rounds, visitors and processor cores.

/// How a contest is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Each with a session of its own, so that nobody waits for anybody.
    pub(crate) visitors: usize,
    /// The processor core of the programs that are measured.
    pub(crate) core: usize,
}

impl Plan {
    /// Nine rounds, and as many visitors as keep a program busy that answers in a tenth of a
    /// millisecond.
    pub(crate) fn on(core: usize) -> Self {
        Self {
            rounds: 9,
            visitors: 64,
            core,
        }
    }
}
