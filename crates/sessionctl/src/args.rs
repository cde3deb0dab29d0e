//! The words of the command line.
#![expect(
    clippy::doc_markdown,
    reason = "they are what the program prints as its help"
)]

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Counts, lists, ends, copies and checks the server-side sessions of an application.
///
/// The store is that of --store, or that which SESSION_TYPE and the other SESSION_* settings of the
/// environment name. No session id and no secret is ever printed: LINEAGE names a session, and opens
/// none.
///
/// There is no conversion of Flask's sessions: `sessionctl help copy` says what does it.
///
/// Exit status: 0 done; 1 the store failed; 2 wrong usage or settings, or the store cannot do it; 3
/// done in part, or `doctor` found problems; 4 there is no such session.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,

    #[command(flatten)]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// The store, in place of SESSION_TYPE and its settings:
    /// redis://host, rediss://, redis+sentinel://, postgres://, mysql://, sqlite:///path, mongodb://,
    /// memcached://host:port or file:///directory. A password in it is seen by `ps`: prefer the
    /// environment.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) store: Option<String>,

    /// The prefix of the keys, in place of SESSION_KEY_PREFIX.
    #[arg(long, value_name = "PREFIX", global = true)]
    pub(crate) prefix: Option<String>,

    /// Sessions move from this store to that of --store: `ls`, `count`, `show`, `end` and `watch` work
    /// on both.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) old: Option<String>,
}

/// Colours: by default only on a terminal, and never if NO_COLOR is set.
#[derive(Debug, Args)]
pub(crate) struct Color {
    /// When to use colours.
    #[arg(
        long = "color",
        value_name = "WHEN",
        default_value = "auto",
        global = true
    )]
    when: When,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn write_global(&self) {
        match self.when {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists live sessions.
    Ls(Ls),
    /// Counts live sessions and their owners.
    Count(Count),
    /// Shows one session: its header, and its values if asked.
    Show(Show),
    /// Ends sessions. Asks first.
    End(End),
    /// Removes expired records, where the store does not do it by itself.
    Sweep,
    /// Creates the table or the indexes that the store needs.
    Migrate,
    /// Copies sessions to another store. Without --moving no application may write to them meanwhile.
    ///
    /// Flask's sessions are not converted: an application with FlaskSessions::Move moves each with its
    /// next change (MIGRATING.md). Under a changed SECRET_KEY nothing has to be copied, and for a changed
    /// encryption key there is `encrypt`.
    Copy(Copy),
    /// Encrypts each session anew with SESSION_ENCRYPTION_KEY, while applications use them. All of them
    /// must have the new key, and this command the old ones in SESSION_ENCRYPTION_KEY_FALLBACKS.
    #[cfg(feature = "encryption")]
    Encrypt,
    /// Says what takes its place: people look for it.
    #[command(hide = true)]
    Convert {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Looks for what is wrong with the store and the settings.
    Doctor(Doctor),
    /// Shows what changes, until it is stopped.
    Watch(Watch),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Prints the manual page, or that of a command, in roff.
    Man {
        /// The command, such as `copy`.
        command: Option<String>,
    },
}

impl Command {
    /// Whether it works on two stores while sessions move from one to the other.
    pub(crate) fn works_on_both(&self) -> bool {
        match self {
            Self::Ls(_) | Self::Count(_) | Self::Show(_) | Self::End(_) | Self::Watch(_) => true,
            #[cfg(feature = "encryption")]
            Self::Encrypt => false,
            Self::Sweep
            | Self::Migrate
            | Self::Copy(_)
            | Self::Convert { .. }
            | Self::Doctor(_)
            | Self::Completions { .. }
            | Self::Man { .. } => false,
        }
    }
}

/// Which sessions are meant. All conditions have to hold.
#[derive(Clone, Debug, Default, Args)]
#[group(skip)]
pub(crate) struct Which {
    /// Sessions of this user.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,

    /// Sessions that nobody is logged in to.
    #[arg(long, conflicts_with = "owner")]
    pub(crate) anonymous: bool,

    /// Sessions that were created at least so long ago: 90s, 15m, 12h, 30d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,

    /// Sessions that were not used for so long: 90s, 15m, 12h, 30d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_for: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    #[command(flatten)]
    pub(crate) which: Which,

    /// Prints one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,

    /// Stops after so many sessions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    #[command(flatten)]
    pub(crate) which: Which,

    /// Prints a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The session, as `ls` names it.
    #[arg(allow_hyphen_values = true)]
    pub(crate) lineage: String,

    /// Also prints the values. They may be personal data.
    #[arg(long)]
    pub(crate) values: bool,

    /// Prints a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Meant {
    /// One session, as `ls` names it.
    #[arg(
        allow_hyphen_values = true,
        conflicts_with_all = ["all", "owner", "anonymous", "older_than", "idle_for"],
        required_unless_present_any = ["all", "owner", "anonymous", "older_than", "idle_for"],
    )]
    pub(crate) lineage: Option<String>,

    #[command(flatten)]
    pub(crate) which: Which,

    /// All sessions.
    #[arg(long, conflicts_with_all = ["owner", "anonymous", "older_than", "idle_for"])]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct End {
    #[command(flatten)]
    pub(crate) meant: Meant,

    /// Does not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The store to copy to, as for --store.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,

    /// The prefix of the keys there. Otherwise the same.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) to_prefix: Option<String>,

    /// Applications run on `Moving(new, old)` meanwhile: moves each record, and leaves none behind.
    #[arg(long, conflicts_with_all = ["to_prefix", "dry_run"])]
    pub(crate) moving: bool,

    /// The other store may have sessions already. Each gets the later of both records. Those that ended
    /// here more than ten minutes ago go on there, if they were copied before.
    #[arg(long, conflicts_with = "moving")]
    pub(crate) merge: bool,

    /// Only reads, and says what would be copied.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Where to note how far it came. If the file is there, and was noted by the same copy, it goes on
    /// from there.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Prints a JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The pause between two looks, a second or more.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = pause)]
    pub(crate) every: Duration,

    /// Ends after so many looks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) times: Option<u64>,

    /// Also shows what an application counts: its requests, those that failed, and its slowest calls of
    /// the store. The page of its metrics, in Prometheus' form, over http. May be given for each
    /// process.
    #[arg(long, value_name = "URL")]
    pub(crate) metrics: Vec<String>,
}

/// A time such as `90s`, `15m`, `12h` or `30d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 90s, 15m, 12h or 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// A time between two looks.
fn pause(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a second is the shortest pause".into()),
        pause => Ok(pause),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_words_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in [
            "",
            "s",
            "5",
            "5 m",
            "-5m",
            "5w",
            "99999999999999999999d",
            "5µ",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn end_needs_to_know_what_is_meant() {
        let parses = |words: &[&str]| {
            let words = ["sessionctl", "end"].iter().chain(words);
            Arguments::try_parse_from(words).is_ok()
        };
        assert!(!parses(&[]) && !parses(&["--yes"]));
        for right in [&["--all"][..], &["--owner", "ada"], &["x", "--yes"]] {
            assert!(parses(right), "{right:?}");
        }
        assert!(!parses(&["--all", "--owner", "ada"]));
    }
}
