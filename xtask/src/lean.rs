//! What a first build costs beside actix-session: `cargo xtask lean`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::{cargo, root, target};
use crate::readme::Readme;
use crate::steps::{StepResult, Steps, output};

/// The most that ours may cost, as a multiple of theirs.
const MOST_PROCESSOR_TIME: f64 = 1.10;
const MOST_CRATES: f64 = 1.05;

/// The newest actix-session, with its README's feature for Redis.
const THEIR_LINE: &str = r#"actix-session = { version = "0.11", features = ["redis-session"] }"#;
/// The README's program with actix-session.
const THEIR_PROGRAM: &str = r#"use std::error::Error;

use actix_session::{Session, SessionMiddleware, storage::RedisSessionStore};
use actix_web::{App, HttpServer, Result, cookie::Key, web};

async fn page(session: Session) -> Result<web::Html> {
    let visits = session.get::<u64>("visits")?.unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    let user = session.get::<String>("user")?;
    Ok(web::Html::new(format!(include_str!("page.html"), user, visits)))
}

async fn log_in(session: Session) -> Result<web::Html> {
    session.renew();
    session.insert("user", "ada")?;
    page(session).await
}

async fn log_out(session: Session) -> Result<web::Html> {
    session.purge();
    page(session).await
}

#[actix_web::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let key = Key::from(std::env::var("SECRET_KEY")?.as_bytes());
    let store = RedisSessionStore::new("redis://127.0.0.1:6379").await?;
    let app = move || {
        let sessions = SessionMiddleware::new(store.clone(), key.clone());
        App::new()
            .wrap(sessions)
            .route("/", web::get().to(page))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
    };
    Ok(HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?)
}
"#;

/// A clean build of the README's program beside that of the same with actix-session, `rounds` times.
/// An error if ours costs too much.
pub(crate) fn run(steps: &mut Steps, rounds: u32) -> StepResult {
    let what = "cargo build of the README's program, and of the same with actix-session";
    steps.check("lean", what, || {
        let readme = Readme::read()?;
        let page = readme.page()?;
        let ours = Package::new("ours", &our_line(&readme)?, readme.program()?, page)?;
        let theirs = Package::new("theirs", THEIR_LINE, THEIR_PROGRAM, page)?;
        let (mut our_time, mut their_time) = (0.0, 0.0);
        for _ in 0..rounds {
            their_time += theirs.build()?;
            our_time += ours.build()?;
        }
        let (our_crates, their_crates) = (ours.crates()?, theirs.crates()?);
        let rounds = f64::from(rounds);
        println!("\n| | here | actix-session | ratio | at most |\n|---|---:|---:|---:|---:|");
        let time = our_time / their_time;
        println!(
            "| processor seconds | {:.1} | {:.1} | {time:.2} | {MOST_PROCESSOR_TIME:.2} |",
            our_time / rounds,
            their_time / rounds
        );
        let crates = our_crates / their_crates;
        println!("| crates | {our_crates} | {their_crates} | {crates:.2} | {MOST_CRATES:.2} |");
        if time <= MOST_PROCESSOR_TIME && crates <= MOST_CRATES {
            Ok(())
        } else {
            Err("the README's program costs too much to build".to_owned())
        }
    })
}

/// What the README's `cargo add` adds, with the path in place of the version.
fn our_line(readme: &Readme) -> Result<String, String> {
    let name = readme.added()?;
    let path = root().join("crates").join(name);
    let path = path.display();
    Ok(format!(
        "{name} = {{ path = \"{path}\", features = [\"redis\"] }}"
    ))
}

/// A package of its own, outside of this workspace: its profile is the default one.
struct Package(PathBuf);

impl Package {
    fn new(name: &str, dependency: &str, program: &str, page: &str) -> Result<Self, String> {
        let package = Self(target().join("lean").join(name));
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n\
             [dependencies]\nactix-web = \"4\"\n{dependency}\n\n[workspace]\n"
        );
        let write = || {
            fs::create_dir_all(package.0.join("src"))?;
            fs::write(package.0.join("src/main.rs"), program)?;
            fs::write(package.0.join("src/page.html"), page)?;
            fs::write(package.0.join("Cargo.toml"), manifest)
        };
        write().map_err(|error| format!("{}: {error}", package.0.display()))?;
        output(&mut package.cargo(&["update"]))?;
        output(&mut package.cargo(&["fetch"]))?;
        Ok(package)
    }

    /// Cargo as a user runs it, with its own defaults.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo(arguments);
        cargo
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.target())
            .env_remove("CARGO_INCREMENTAL")
            .env_remove("RUSTFLAGS");
        cargo
    }

    fn target(&self) -> PathBuf {
        self.0.join("target")
    }

    /// The processor seconds of a build into an empty folder.
    fn build(&self) -> Result<f64, String> {
        clear(&self.target())?;
        let before = seconds_of_children()?;
        let built = output(&mut self.cargo(&["build", "--offline", "--locked", "--quiet"]));
        let after = seconds_of_children()?;
        clear(&self.target())?;
        built.map(|_| after - before)
    }

    /// How many crates the build compiles besides the program.
    fn crates(&self) -> Result<f64, String> {
        let words = ["tree", "--edges", "normal,build", "--prefix", "none"];
        let tree = output(&mut self.cargo(&words))?;
        let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
        let mut lines: Vec<_> = lines.skip(1).collect();
        lines.sort_unstable();
        lines.dedup();
        let count = u32::try_from(lines.len()).map_err(|error| error.to_string())?;
        Ok(count.into())
    }
}

fn clear(directory: &Path) -> StepResult {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// The processor time of all processes that this one waited for, theirs included.
fn seconds_of_children() -> Result<f64, String> {
    // Linux counts in hundredths, whatever the machine.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")
        .map_err(|error| format!("only Linux is known to count processor time: {error}"))?;
    // The name may contain blanks, and ends at the last parenthesis.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let of_children = fields.split_whitespace().skip(13).take(2);
    let ticks = of_children.map(str::parse::<f64>).sum::<Result<f64, _>>();
    ticks
        .map(|ticks| ticks / TICKS)
        .map_err(|error| format!("/proc/self/stat: {error}"))
}
