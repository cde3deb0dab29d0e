#![doc = include_str!("../README.md")]
mod args;
mod copy;
mod doctor;
#[cfg(feature = "encryption")]
mod encrypt;
mod end;
mod existing;
mod failure;
mod list;
mod metrics_page;
mod opened;
mod output;
mod probe;
mod selection;
mod upkeep;
mod watch;

use std::{io, process::ExitCode};

use anstream::ColorChoice;
use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue},
};

use args::{Arguments, Command};
use failure::{Completion, Failure};
use opened::Opened;

/// What is logged by default. Commands say themselves which records they cannot read, and why a server
/// cannot be reached. The drivers quote options of a URL that they do not know, which may be passwords.
const FILTER: &str = "warn,session::security=off,session_redis=error,sqlx_postgres::options=off,sqlx_mysql::options=off";

const CONVERT: &str = "nothing has to be converted. An application with FlaskSessions::Move takes over each of Flask's \
    sessions with its next change (MIGRATING.md); a changed SECRET_KEY concerns no record; `sessionctl encrypt` \
    encrypts all sessions with a new key";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error),
    };
    arguments.color.write_global();
    // Warnings of the stores, such as settings that are ignored.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never)
        .without_time()
        .init();
    match run(&arguments).await {
        Ok(Completion::Done) => ExitCode::SUCCESS,
        Ok(Completion::Incomplete) => ExitCode::from(3),
        Err(failure) => {
            if !matches!(failure, Failure::NobodyReads) {
                let bad = output::BAD;
                output::note(format_args!("{bad}sessionctl:{bad:#} {failure}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Prints what is wrong with the words, or the help that they ask for.
fn refused(error: &clap::Error) -> ExitCode {
    let text = error.render().ansi().to_string();
    if !error.use_stderr() {
        let printed = output::say(text.trim_end());
        return printed.map_or_else(|it| ExitCode::from(it.code()), |()| ExitCode::SUCCESS);
    }
    let words = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(word) if is_given(kind) && may_be_secret(word) => Some(word),
        _ => None,
    });
    let text = words.fold(text, |text, word| text.replace(&**word, "…"));
    output::note(text.trim_end());
    ExitCode::from(2)
}

/// Whether it is a word of the command line.
fn is_given(kind: ContextKind) -> bool {
    matches!(
        kind,
        ContextKind::InvalidArg | ContextKind::InvalidValue | ContextKind::InvalidSubcommand
    )
}

/// Whether it may be a session's id, or have a password in it.
fn may_be_secret(word: &str) -> bool {
    const SHORTEST_ID: usize = 22;
    word.contains(['@', ':']) || (word.len() >= SHORTEST_ID && !word.starts_with("--"))
}

async fn run(arguments: &Arguments) -> Result<Completion, Failure> {
    match &arguments.command {
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "sessionctl", &mut script);
            output::say(String::from_utf8_lossy(&script).trim_end())?;
            return Ok(Completion::Done);
        }
        Command::Man { command } => {
            output::say(manual(command.as_deref())?.trim_end())?;
            return Ok(Completion::Done);
        }
        Command::Convert { .. } => return Err(Failure::Usage(CONVERT.into())),
        _ => {}
    }
    if arguments.store.old.is_some() && !arguments.command.works_on_both() {
        return Err(Failure::Usage(
            "--old is for ls, count, show, end and watch: the others work on one store".into(),
        ));
    }
    let creates = matches!(arguments.command, Command::Migrate);
    let opened = Opened::new(&arguments.store, creates).await;
    let opened = match (opened, &arguments.command) {
        (Err(failure), Command::Doctor(doctor)) => return doctor::of_failure(doctor, failure),
        (opened, _) => opened?,
    };
    match &arguments.command {
        Command::Ls(ls) => list::ls(&opened, ls).await,
        Command::Count(count) => list::count(&opened, count).await,
        Command::Show(show) => list::show(&opened, show).await,
        Command::End(end) => end::end(&opened, end).await,
        Command::Sweep => upkeep::sweep(&opened).await,
        Command::Migrate => upkeep::migrate(opened).await,
        Command::Copy(copy) => copy::copy(&opened, copy).await,
        #[cfg(feature = "encryption")]
        Command::Encrypt => encrypt::encrypt(&opened).await,
        Command::Doctor(doctor) => doctor::doctor(&opened, doctor).await,
        Command::Watch(watch) => watch::watch(&opened, watch).await,
        Command::Convert { .. } | Command::Completions { .. } | Command::Man { .. } => {
            Ok(Completion::Done)
        }
    }
}

/// The page of a command, or the first page, in roff.
fn manual(name: Option<&str>) -> Result<String, Failure> {
    let mut all = Arguments::command();
    // Sets the full names of the commands.
    all.build();
    let page = match name {
        None => clap_mangen::Man::new(all),
        Some(name) => {
            let unknown = || {
                Failure::Usage(format!(
                    "there is no command {name}: `sessionctl help` lists them"
                ))
            };
            let found = all.find_subcommand(name).cloned().ok_or_else(unknown)?;
            clap_mangen::Man::new(found).title(format!("sessionctl-{name}"))
        }
    };
    let mut text = Vec::new();
    page.render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
