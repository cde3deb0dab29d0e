//! Captures the log of a test.

use std::{
    fmt,
    sync::{Arc, Mutex, Once},
};

use session_core::SECURITY_EVENTS;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// What was logged on this thread.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    keeps: fn(&Metadata<'_>) -> bool,
}

impl Log {
    /// Keeps what is logged, from warnings on, until the guard is dropped.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        Self::of(|metadata| *metadata.level() <= Level::WARN)
    }

    /// Keeps the security events until the guard is dropped.
    pub(crate) fn of_security_events() -> (Self, DefaultGuard) {
        Self::of(|metadata| metadata.target() == SECURITY_EVENTS)
    }

    fn of(keeps: fn(&Metadata<'_>) -> bool) -> (Self, DefaultGuard) {
        static GLOBAL: Once = Once::new();
        let lines = Arc::default();
        let log = Self { lines, keeps };
        // Without a global subscriber, a concurrent test may disable a line for all threads.
        GLOBAL.call_once(|| {
            let all = Self {
                lines: Arc::default(),
                keeps: |_| true,
            };
            tracing::subscriber::set_global_default(all).unwrap();
        });
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// The lines since the last time this was asked.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (self.keeps)(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}
