#![doc = include_str!("../README.md")]
// The output of a command is its result.
#![allow(clippy::print_stdout)]

mod args;
mod copy;
mod doctor;
mod end;
mod failure;
mod list;
mod opened;
mod output;
mod selection;
mod upkeep;
mod watch;

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use failure::{Completion, Failure};
use opened::Opened;

#[tokio::main]
async fn main() -> ExitCode {
    // Warnings of the stores, such as settings that are ignored.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .without_time()
        .init();
    let arguments = Arguments::parse();
    arguments.color.write_global();
    match run(&arguments).await {
        Ok(Completion::Done) => ExitCode::SUCCESS,
        Ok(Completion::Incomplete) => ExitCode::from(3),
        Err(failure) => {
            anstream::eprintln!("{}sessionctl:{:#} {failure}", output::BAD, output::BAD);
            ExitCode::from(failure.code())
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Completion, Failure> {
    match &arguments.command {
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(*shell, &mut command, "sessionctl", &mut io::stdout());
            return Ok(Completion::Done);
        }
        Command::Man => {
            clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout())?;
            return Ok(Completion::Done);
        }
        _ => {}
    }
    let opened = match (Opened::new(&arguments.store).await, &arguments.command) {
        (Err(Failure::Usage(problem)), Command::Doctor(doctor)) => {
            return Ok(doctor::of_usage(doctor, &problem));
        }
        (opened, _) => opened?,
    };
    if arguments.store.old.is_some() && !arguments.command.works_on_both() {
        return Err(Failure::Usage(
            "--old is for ls, count, show, end and watch: the others work on one store".into(),
        ));
    }
    match &arguments.command {
        Command::Ls(ls) => list::ls(&opened, ls).await,
        Command::Count(count) => list::count(&opened, count).await,
        Command::Show(show) => list::show(&opened, show).await,
        Command::End(end) => end::end(&opened, end).await,
        Command::Sweep => upkeep::sweep(&opened).await,
        Command::Migrate => upkeep::migrate(opened).await,
        Command::Copy(copy) => copy::copy(&opened, copy).await,
        Command::Doctor(doctor) => doctor::doctor(&opened, doctor).await,
        Command::Watch(watch) => watch::watch(&opened, watch).await,
        Command::Completions { .. } | Command::Man => Ok(Completion::Done),
    }
}
