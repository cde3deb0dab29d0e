//! What commands print.

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};
use session_stores::session_core::StoredSession;

/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// The width of tables where there is no terminal.
const WIDTH: u16 = 80;

/// A table with these headings, as wide as the terminal.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    let columns = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns.unwrap_or(WIDTH))
        .set_header(headings.iter().copied());
    table
}

/// A session as a row of a table.
pub(crate) fn row(session: &StoredSession, now: SystemTime) -> [String; 6] {
    let ago = |time: SystemTime| short(now.duration_since(time).unwrap_or_default());
    let left = session.expires_at().duration_since(now).unwrap_or_default();
    [
        session.lineage().as_str().to_owned(),
        shown(session.owner().unwrap_or("-")),
        shown(session.label().unwrap_or("-")),
        ago(session.created_at()),
        ago(session.last_seen()),
        short(left),
    ]
}

/// The headings of [`row`].
pub(crate) const HEADINGS: [&str; 6] = ["LINEAGE", "OWNER", "LABEL", "AGE", "IDLE", "ENDS IN"];

/// A session as JSON.
pub(crate) fn object(session: &StoredSession) -> Value {
    json!({
        "lineage": session.lineage().as_str(),
        "owner": session.owner(),
        "label": session.label(),
        "created_at": at(session.created_at()),
        "authenticated_at": session.authenticated_at().map(at),
        "last_seen": at(session.last_seen()),
        "expires_at": at(session.expires_at()),
    })
}

/// A time in RFC 3339, in seconds.
pub(crate) fn at(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or_default();
    seconds.to_string()
}

/// A duration in its largest unit: `42s`, `17m`, `5h`, `12d`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A text that somebody else chose, without what a terminal would take for a command.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { '\u{fffd}' } else { it })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_label_sends_no_command_to_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
