//! A program as data: settings, sessions, requests, and the order of their store calls.

use session_core::config::{OnStoreFailure, Refresh};

/// The users there are.
pub(crate) const USERS: [&str; 3] = ["ada", "bob", "eve"];

/// A whole program: what is configured, which sessions there are at first, what the requests do,
/// and in which order their store calls are carried out.
///
/// A program is data. Running it twice gives the same run, but for the ids and the length of the
/// pauses before a retry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    pub(crate) config: Config,
    pub(crate) seeds: Vec<Seed>,
    pub(crate) requests: Vec<Request>,
    pub(crate) schedule: Vec<Turn>,
    /// A store call whose future is dropped before its answer is carried out all the same, later.
    pub(crate) dropped_calls_arrive: bool,
}

/// Whose cookies and records there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    Native,
    Keep,
    Move,
    Flask,
}

/// The settings of every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Config {
    pub(crate) layout: Layout,
    pub(crate) signed: bool,
    pub(crate) refresh: Use,
    pub(crate) permanent: bool,
    /// In seconds.
    pub(crate) idle: u64,
    /// In seconds.
    pub(crate) absolute: Option<u64>,
    /// A session that cannot be loaded is anonymous, instead of an error.
    pub(crate) anonymous: bool,
    /// Each id is rotated after so many seconds of use. So much time passes before the first
    /// request.
    pub(crate) rotation: Option<u64>,
    pub(crate) limit: Option<Limit>,
    pub(crate) moving: Option<Moves>,
}

/// Sessions move to another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moves {
    /// By both processes.
    Both,
    /// By the first process. The second one knows that they do.
    One,
    /// By the first process. The second one knows that they will move back.
    Back,
}

/// The most sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    pub(crate) most: usize,
    /// A login beyond it is refused. Otherwise the oldest session ends.
    pub(crate) refuses: bool,
}

/// [`Refresh`], which is no key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    OnChange,
    WhenDue,
    EveryAccess,
    EveryRequest,
}

impl Use {
    pub(crate) fn refresh(self) -> Refresh {
        match self {
            Self::OnChange => Refresh::OnChange,
            Self::WhenDue => Refresh::WhenDue,
            Self::EveryAccess => Refresh::EveryAccess,
            Self::EveryRequest => Refresh::EveryRequest,
        }
    }
}

impl Config {
    pub(crate) fn on_store_failure(&self) -> OnStoreFailure {
        if self.anonymous {
            OnStoreFailure::Anonymous
        } else {
            OnStoreFailure::Fail
        }
    }
}

/// A session that is there before the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) browser: usize,
    pub(crate) user: Option<usize>,
    /// Made by the Flask application that shares the store.
    pub(crate) flask: bool,
    /// The cookie is one for another path, and the session has ended since without a word to the
    /// browser.
    pub(crate) stale: bool,
    /// An idle timeout of its own, in seconds.
    pub(crate) lifetime: Option<u64>,
    /// Made when the idle timeout was ten times longer, and there was no absolute one.
    pub(crate) lowered: bool,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) browser: usize,
    /// Which of two processes serves it; they share the store alone.
    pub(crate) process: usize,
    pub(crate) open: Open,
    /// What the handler does.
    pub(crate) steps: Vec<Step>,
    /// What is done with a clone of the session in another task of the request.
    pub(crate) task: Vec<Step>,
    /// What is done after the head, such as in a stream.
    pub(crate) after: Vec<Step>,
    /// The answer never reaches the browser.
    pub(crate) answer_lost: bool,
}

/// When a request asks for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    First,
    /// Nobody asks before the head is sent; the steps of the handler are none.
    AfterHead,
    /// Nobody asks at all; only `Refresh::EveryRequest` opens it.
    Never,
}

/// One use of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reads the data and the owner.
    Read,
    /// Inserts a value of its own under a key of its own.
    Mark,
    /// Adds one to the counter that all requests share.
    Count,
    /// Inserts a value of its own under the key that all requests share.
    Put,
    Flash,
    TakeFlashes,
    /// Removes the value under the key that all requests share.
    Remove,
    Clear,
    Save,
    /// Polls a save that often at most, and then drops it.
    SaveDropped(u8),
    /// Polls a save that often at most, and keeps it unpolled until the end of the request.
    SaveHeld(u8),
    Reload,
    Renew,
    Extend,
    LogIn(usize),
    /// An identity provider, which has one session for each user, vouches for the user.
    LogInFrom(usize),
    LogOut,
    Everywhere {
        keep: bool,
    },
    /// Ends the session that this seed made, from a list of devices.
    EndOne(usize),
    /// As an administrator does.
    EndAllOf(usize),
    /// Ends the provider's session of a user, as its back-channel log-out does.
    EndFrom(usize),
    List,
    /// Moves all that are still in the old store, as an administrator does.
    Carry,
    Lifetime(Option<u64>),
    Permanent(bool),
    /// The handler takes its time: that many seconds.
    Wait(u64),
    /// Lets others go first.
    Pause,
    /// Changes the session inside of the closure of an update.
    Reenter,
}

/// What the scheduler does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Carries out what a thread waits for, and lets it come to its next store call. Thread `2 * r`
    /// is the handler of request `r`, thread `2 * r + 1` its other task.
    Run(usize, Behaviour),
    /// Runs a request to its end.
    All(usize),
    /// Carries out the oldest command whose caller got an error or went away.
    Late,
    /// That many seconds go by.
    Pass(u64),
    /// The wall clock is set, by that many seconds.
    Clock(i64),
    /// The store removes what may be removed.
    Sweep,
    /// The store forgets a record, counted in the order in which their keys were first used.
    Evict(usize),
    /// A record, counted in the same way, can no longer be read.
    Damage(usize),
    /// A later release writes a record, counted in the same way.
    Later(usize),
    /// The process of a request crashes.
    Crash(usize),
}

/// How the store carries out a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Fine,
    /// It fails, and does nothing.
    ErrorBefore,
    /// It does what it should, and fails.
    ErrorAfter,
    /// It does nothing and never answers.
    LostBefore,
    /// It does what it should and never answers.
    LostAfter,
    /// It is carried out at once, and answers after so many milliseconds.
    Slow(u64),
    /// It fails, and is carried out later.
    Late,
    /// Somebody else was faster to insert a record under the same key.
    Taken,
}

impl Program {
    /// Whether nothing fails, nothing is forgotten, and every answer arrives.
    pub(crate) fn is_faultless(&self) -> bool {
        let turns = self.schedule.iter().all(|turn| match turn {
            Turn::Run(_, behaviour) => *behaviour == Behaviour::Fine,
            Turn::Evict(_) | Turn::Damage(_) | Turn::Later(_) | Turn::Crash(_) => false,
            _ => true,
        });
        turns && self.requests.iter().all(|it| !it.answer_lost)
    }

    /// Whether each request and each save is answered, whatever fails, and the store forgets nothing.
    pub(crate) fn answers_everything(&self) -> bool {
        let crashes = |it: &Turn| matches!(it, Turn::Crash(_));
        let dropped = |it: &Step| matches!(it, Step::SaveDropped(_) | Step::SaveHeld(_));
        !self.evicts()
            && self.clock_steps() == 0
            && !self.schedule.iter().any(crashes)
            && !self.steps().any(dropped)
    }

    /// Whether nobody is logged in before, each request logs in once at most, and no id is renewed
    /// otherwise.
    pub(crate) fn only_logs_in(&self) -> bool {
        let once = |it: &Request| {
            let logs_in = |it: &&Step| matches!(it, Step::LogIn(_) | Step::LogInFrom(_));
            it.steps.iter().filter(logs_in).count() <= 1
        };
        self.config.rotation.is_none()
            && self.seeds.iter().all(|it| it.user.is_none())
            && self.requests.iter().all(once)
            && !self.steps().any(|it| matches!(it, Step::Renew))
    }

    /// Whether the store forgets a record before its time, or damages one.
    pub(crate) fn evicts(&self) -> bool {
        let evicts = |it: &Turn| matches!(it, Turn::Evict(_) | Turn::Damage(_) | Turn::Later(_));
        self.schedule.iter().any(evicts)
    }

    /// Whether the store forgets a record before its time.
    pub(crate) fn forgets(&self) -> bool {
        let forgets = |it: &Turn| matches!(it, Turn::Evict(_));
        self.schedule.iter().any(forgets)
    }

    /// Every step of every request.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.requests
            .iter()
            .flat_map(|it| it.steps.iter().chain(&it.task).chain(&it.after))
    }

    /// The shortest idle timeout in force at any time, in seconds.
    pub(crate) fn shortest_idle(&self) -> u64 {
        let own = self.steps().filter_map(|step| match step {
            Step::Lifetime(own) => *own,
            _ => None,
        });
        let seeds = self.seeds.iter().filter_map(|it| it.lifetime);
        own.chain(seeds)
            .min()
            .map_or(self.config.idle, |own| own.min(self.config.idle))
    }

    /// The longest idle timeout in force at any time, in seconds.
    pub(crate) fn longest_idle(&self) -> u64 {
        let own = self.steps().filter_map(|step| match step {
            Step::Lifetime(own) => *own,
            _ => None,
        });
        let seeds = self.seeds.iter().filter_map(|it| it.lifetime);
        own.chain(seeds)
            .max()
            .map_or(self.config.idle, |own| own.max(self.config.idle))
    }

    /// By how many seconds the wall clock is set, all together.
    pub(crate) fn clock_steps(&self) -> u64 {
        let steps = self.schedule.iter().map(|turn| match turn {
            Turn::Clock(by) => by.unsigned_abs(),
            _ => 0,
        });
        steps.sum::<u64>() + self.config.rotation.unwrap_or(0)
    }

    /// Whether no request renews an id, logs in, or ends a session.
    pub(crate) fn only_rotates(&self) -> bool {
        self.config.rotation.is_some()
            && self.steps().all(|step| {
                !matches!(
                    step,
                    Step::Renew
                        | Step::LogIn(_)
                        | Step::LogInFrom(_)
                        | Step::LogOut
                        | Step::Everywhere { .. }
                        | Step::EndOne(_)
                        | Step::EndAllOf(_)
                        | Step::EndFrom(_)
                )
            })
    }
}
