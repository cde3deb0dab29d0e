//! What a recorder gives to count by, looked up once: a look-up costs more than the counting.

use std::{ptr, sync::OnceLock};

use metrics::{Counter, Gauge, Histogram};

use super::{
    ACTIVE, AHEAD, Answered, MOVED, OPERATION, QUEUE, REFRESHES, REQUESTS, SECURITY, SWEPT,
};
use crate::{
    measure::{CallResult, Operation},
    security_events::EVENTS,
};

/// What one recorder gives.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) active: Gauge,
    requests: [Counter; Answered::ALL.len()],
    /// By operation and outcome. Each is there from its first call on, because each has many buckets.
    durations: [[OnceLock<Histogram>; CallResult::ALL.len()]; Operation::ALL.len()],
}

impl Handles {
    /// Begins each counter at 0.
    fn begin() -> Self {
        for outcome in ["stored", "refused", "failed"] {
            metrics::counter!(REFRESHES, "outcome" => outcome).increment(0);
        }
        for event in EVENTS {
            metrics::counter!(SECURITY, "event" => event).increment(0);
        }
        metrics::gauge!(QUEUE).increment(0.0);
        metrics::counter!(AHEAD).increment(0);
        metrics::counter!(SWEPT).increment(0);
        metrics::counter!(MOVED).increment(0);
        let requests = Answered::ALL.map(|it| metrics::counter!(REQUESTS, "outcome" => it.name()));
        for counter in &requests {
            counter.increment(0);
        }
        let active = metrics::gauge!(ACTIVE);
        active.increment(0.0);
        Self {
            active,
            requests,
            durations: Default::default(),
        }
    }

    pub(super) fn request(&self, answered: Answered) -> &Counter {
        &self.requests[answered as usize]
    }

    pub(super) fn duration(&self, operation: Operation, outcome: CallResult) -> &Histogram {
        let histogram = &self.durations[operation as usize][outcome as usize];
        histogram.get_or_init(|| {
            let (operation, outcome) = (operation.name(), outcome.name());
            metrics::histogram!(OPERATION, "operation" => operation, "outcome" => outcome)
        })
    }
}

/// A recorder, by its place in memory. As long as none is installed, it is the one that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorder(usize);

impl Recorder {
    /// That which counts now, on this thread.
    pub(super) fn installed() -> Self {
        let place = metrics::with_recorder(|it| ptr::from_ref(it).cast::<()>().addr());
        Self(place)
    }
}

/// What the first two recorders gave: that which does nothing, if the sessions were built too early, and
/// that of the application. A third one can only be one of a thread, as in tests; it is asked each time.
#[derive(Debug, Default)]
pub(super) struct Recorders([OnceLock<(Recorder, Box<Handles>)>; 2]);

impl Recorders {
    /// Calls `then` with what this recorder gives.
    pub(super) fn with(&self, recorder: Recorder, then: impl FnOnce(&Handles)) {
        for known in &self.0 {
            let (of, handles) = known.get_or_init(|| (recorder, Box::new(Handles::begin())));
            if *of == recorder {
                return then(handles);
            }
        }
        then(&Handles::begin());
    }
}
