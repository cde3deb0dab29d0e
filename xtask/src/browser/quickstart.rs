//! The README's first program, from an empty folder to a browser that is logged in, on each store of
//! Flask-Session's tutorials: `cargo xtask quickstart`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use session_tests::{ChromeDriver, Program, Tutorial, free_port, scratch_dir};

use super::person::{Person, Result};
use crate::paths::{cargo, root, target};
use crate::readme::Readme;
use crate::steps::output;

/// The address in the program.
const ADDRESS: &str = "127.0.0.1:8080";
/// Longer than the lines of a person who counts them may be, and as many as may be there.
const MOST_COLUMNS: usize = 100;
const MOST_LINES: usize = 9;

pub(super) async fn check() -> Result<()> {
    let readme = Readme::read()?;
    is_short(readme.program()?)?;
    let driver = ChromeDriver::start().await;
    for feature in Tutorial::FEATURES {
        let tutorial = Tutorial::start(feature).await;
        let address = format!("127.0.0.1:{}", free_port());
        let program = build(&readme, &tutorial, &address)?;
        let settings = settings(&readme, &tutorial)?;
        let settings: Vec<_> = settings.iter().map(|it| (it.0, &*it.1)).collect();
        let mut program = Program::start_at(&program, &settings).await;
        let outcome = logs_in_and_counts(&driver, &mut program).await;
        if outcome.is_err() {
            eprintln!("{}", program.output());
        }
        outcome.map_err(|error| format!("{feature}: {error}"))?;
        println!("{feature}: logged in, and counted");
    }
    Ok(())
}

fn is_short(program: &str) -> Result<()> {
    let lines = program.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines.collect();
    let columns = lines.iter().map(|line| line.len()).max();
    if lines.len() > MOST_LINES || columns > Some(MOST_COLUMNS) {
        let lines = lines.len();
        return Err(format!("the program has {lines} lines of up to {columns:?} columns").into());
    }
    Ok(())
}

/// Builds it in an empty folder, outside of this workspace. The crates of this workspace take the place
/// of those of the registry, and the versions of all others are the ones that are tested here.
fn build(readme: &Readme, tutorial: &Tutorial, address: &str) -> Result<PathBuf> {
    const NAME: &str = "counter";
    let folder = scratch_dir();
    output(cargo(&["new", "--quiet", NAME]).current_dir(&folder))?;
    let package = folder.path().join(NAME);
    let mut add = cargo(&["add", "--quiet"]);
    add.args(readme.added()?.split(' '))
        .args(["--features", tutorial.feature()])
        .arg("--path")
        .arg(root().join("crates/actix-server-sessions"));
    output(add.current_dir(&package))?;
    let source = package.join("src");
    let program = readme.program()?;
    if !program.contains(ADDRESS) {
        return Err(format!("the program does not listen on {ADDRESS}").into());
    }
    fs::write(source.join("main.rs"), program.replace(ADDRESS, address))?;
    fs::write(source.join("page.html"), readme.page()?)?;
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock"))?;
    let output_folder = target().join("quickstart");
    let mut build = cargo(&["build", "--quiet"]);
    build
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &output_folder)
        .env_remove("RUSTFLAGS");
    output(&mut build)?;
    Ok(output_folder.join("debug").join(NAME))
}

/// The README's settings, with those of the tutorial in place of its store.
fn settings<'a>(readme: &'a Readme, tutorial: &'a Tutorial) -> Result<Vec<(&'a str, String)>> {
    let theirs = tutorial.settings();
    let readme = readme.settings()?;
    let is_store = |name: &str| matches!(name, "SESSION_TYPE" | "SESSION_REDIS");
    let ours = readme.into_iter().filter(|(name, _)| !is_store(name));
    let ours = ours.map(|(name, value)| (name, value.to_owned()));
    let secret = (
        "SECRET_KEY",
        "correct-horse-battery-staple-41-bottles".into(),
    );
    Ok(ours.chain(theirs).chain([secret]).collect())
}

async fn logs_in_and_counts(driver: &ChromeDriver, program: &mut Program) -> Result<()> {
    let visitor = Person::new("visitor", driver, program, Path::new("")).await?;
    visitor.open_page().await?;
    visitor.reads("p", "logged in: None, visit 1").await?;
    visitor.press("Log in").await?;
    visitor
        .reads("p", "logged in: Some(\"ada\"), visit 2")
        .await?;
    if !program.stop().await {
        return Err("it does not end at SIGTERM".into());
    }
    program.restart().await;
    visitor.open_page().await?;
    visitor
        .reads("p", "logged in: Some(\"ada\"), visit 3")
        .await?;
    visitor.press("Log out").await?;
    visitor.reads("p", "logged in: None, visit 1").await?;
    visitor.open_page().await?;
    visitor.reads("p", "logged in: None, visit 2").await?;
    visitor.close().await?;
    let log = program.output();
    let warns = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    match log.lines().find(warns) {
        None => Ok(()),
        Some(line) => Err(format!("it logs {line}").into()),
    }
}
