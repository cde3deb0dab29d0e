//! The log lines of a test.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, Once},
};

use session_core::SECURITY_EVENTS;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default, set_global_default},
};

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

impl Log {
    /// What this thread logs until the guard is dropped.
    pub(crate) fn of_this_thread() -> (Self, DefaultGuard) {
        static GLOBAL: Once = Once::new();
        // Without a global subscriber, a concurrent test may disable an event for all threads.
        GLOBAL.call_once(|| set_global_default(Self::default()).expect("no other test sets one"));
        let log = Self::default();
        let guard = set_default(log.clone());
        (log, guard)
    }

    /// The security events since the last call: level and fields, without the message.
    pub(crate) fn security_events(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = text.lines().filter(|it| it.contains(SECURITY_EVENTS));
        let fields = lines.map(|line| {
            let words = line.split(' ').filter(|it| !it.is_empty());
            let fields = words.filter(|it| it.contains('=') || *it == "INFO" || *it == "WARN");
            let shown = fields.filter(|it| !it.starts_with("message="));
            shown.collect::<Vec<_>>().join(" ")
        });
        fields.collect()
    }

    pub(crate) fn warnings(&self) -> String {
        let text = self.text();
        let warnings = text.lines().filter(|it| it.starts_with("WARN"));
        warnings.collect()
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

struct Line<'l>(&'l mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = self.0.lock().unwrap();
        write!(text, "\nSPAN ").unwrap();
        attributes.record(&mut Line(&mut text));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let (level, target) = (event.metadata().level(), event.metadata().target());
        write!(text, "\n{level} {target} ").unwrap();
        event.record(&mut Line(&mut text));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
