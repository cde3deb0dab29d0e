//! A log on standard error, for programs that set up none: otherwise the cause of a 503 would be
//! nowhere.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io::{self, Write as _},
    iter::successors,
    time::SystemTime,
};

use actix_web::http::header::HttpDate;
use log::Log;
use tracing::{
    Event, Level, Metadata, Subscriber,
    dispatcher::get_default,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::{NoSubscriber, set_global_default},
};

/// Writes events to standard error, from `INFO` up, if the program has set up neither a subscriber of
/// `tracing` nor a logger of `log`.
pub(crate) fn set_up() {
    let is_set = get_default(|subscriber| !subscriber.is::<NoSubscriber>());
    // Where there is a logger and no subscriber, `tracing` sends the events to the logger.
    if !is_set && log::set_logger(&StandardError).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
        // An error means that another thread has just set one up.
        let _another = set_global_default(StandardError);
    }
}

struct StandardError;

impl Subscriber for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let text = format_args!("{}{}", text.message, text.fields);
        write(metadata.level(), metadata.target(), text);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log for StandardError {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::LevelFilter::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if Log::enabled(self, record.metadata()) {
            write(&record.level(), record.target(), *record.args());
        }
    }

    fn flush(&self) {}
}

fn write(level: &dyn fmt::Display, target: &str, text: fmt::Arguments<'_>) {
    let now = HttpDate::from(SystemTime::now());
    // Where standard error is closed, there is nowhere to say so.
    let _lost = writeln!(io::stderr(), "{now} {level:>5} {target}: {text}");
}

/// An event's message, and its other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ok = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {field}={value:?}")
        };
    }

    /// With its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let chain = successors(Some(value), |&error| error.source());
        let chain: Vec<_> = chain.map(ToString::to_string).collect();
        self.record_debug(field, &format_args!("{}", chain.join(": ")));
    }
}
