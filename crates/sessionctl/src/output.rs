//! What commands print.

use std::{
    fmt::{Display, Write as _},
    io::{self, ErrorKind, Write as _},
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};
use session_stores::session_core::StoredSession;

use crate::failure::Failure;

/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// The width of tables where there is no terminal.
const WIDTH: u16 = 80;

/// The longest text in a table, in characters. What a user chose must not fill the screen.
const LONGEST: usize = 80;

/// Prints a line of the result.
///
/// # Errors
///
/// [`Failure::NobodyReads`] if the reader has gone, as `head` does.
pub(crate) fn say(line: impl Display) -> Result<(), Failure> {
    writeln!(anstream::stdout(), "{line}").map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Io(error),
    })
}

/// Prints what a command came to. What was done counts, also if nobody reads of it.
///
/// # Errors
///
/// If it cannot be printed.
pub(crate) fn conclude(line: impl Display) -> Result<(), Failure> {
    match say(line) {
        Err(Failure::NobodyReads) => Ok(()),
        said => said,
    }
}

/// Prints a line of JSON.
///
/// # Errors
///
/// As [`say`].
pub(crate) fn say_json(value: &Value) -> Result<(), Failure> {
    // JSON allows what a terminal takes for a command, and need not have it.
    let mut line = String::new();
    for character in value.to_string().chars() {
        if is_command(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
    say(line)
}

/// Prints a line beside the result, on standard error.
pub(crate) fn note(line: impl Display) {
    // If nobody reads it, the work goes on.
    let _read_or_not = writeln!(anstream::stderr(), "{line}");
}

/// A table with these headings, as wide as the terminal.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    let chosen = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
    let columns = chosen.or_else(|| Some(terminal_size::terminal_size_of(io::stdout())?.0.0));
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns.unwrap_or(WIDTH))
        .set_header(headings.iter().copied());
    // What is to be copied into the next command, and what is short, stays on one line.
    for (column, heading) in table.column_iter_mut().zip(headings) {
        if ![OWNER, LABEL].contains(heading) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// A session as a row of a table.
pub(crate) fn row(session: &StoredSession, now: SystemTime) -> [String; 6] {
    let ago = |time: SystemTime| short(now.duration_since(time).unwrap_or_default());
    let left = session.expires_at().duration_since(now).unwrap_or_default();
    [
        session.lineage().as_str().to_owned(),
        cut(&shown(session.owner().unwrap_or("-"))),
        cut(&shown(session.label().unwrap_or("-"))),
        ago(session.created_at()),
        ago(session.last_seen()),
        short(left),
    ]
}

/// The beginning of a text that is too long for a table.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The headings of [`row`].
pub(crate) const HEADINGS: [&str; 6] = ["LINEAGE", OWNER, LABEL, "AGE", "IDLE", "ENDS IN"];

const OWNER: &str = "OWNER";
const LABEL: &str = "LABEL";

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
        .map(|it| if is_command(it) { '\u{fffd}' } else { it })
        .collect()
}

/// Whether a terminal takes it for a command, such as one that moves the cursor, ends the line or turns
/// the writing direction round.
fn is_command(character: char) -> bool {
    let turns_or_ends = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
    );
    turns_or_ends || character.is_control()
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
        assert_eq!(shown("a\u{9b}2Jb\u{202e}c"), "a\u{fffd}2Jb\u{fffd}c");
        // An Arabic letter mark, the ends of a line and of a paragraph, and a mark that is deprecated.
        for command in [
            '\u{61c}', '\u{2028}', '\u{2029}', '\u{206a}', '\u{85}', '\u{7f}',
        ] {
            assert_eq!(shown(&format!("a{command}b")), "a\u{fffd}b", "{command:?}");
        }
        // An emoji of several characters, and a name that needs a joiner.
        for harmless in ["👩\u{200d}💻", "می\u{200c}خواهم", "Ångström", "山田"] {
            assert_eq!(shown(harmless), harmless);
        }
    }
}
