//! How many bytes a session takes in each store: `bench memory`.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
};

use session_tests::{Postgres, RedisServer, scratch_dir, target_dir};
use tower_sessions_sqlx_store::sqlx::{self, Connection, PgConnection};

use crate::{
    Result, candidate::Candidate, contest::Contest, contestant::Contestant, plan::Plan, plan::Row,
    record::OWNERS,
};

/// How many sessions an owner has.
const PER_OWNER: u32 = 10;
/// Flask is slow, and its sessions are all alike.
const FLASK_SESSIONS: u32 = 2_000;
/// The most that `MEMORY USAGE` of ours should be.
const MOST_USED: u64 = 384;

const FLASK: &str = include_str!("flask.py");

/// The stores whose sessions are measured.
pub(crate) const STORES: [Contest; 4] = [
    Contest::Redis,
    Contest::Postgres,
    Contest::Sqlite,
    Contest::Files,
];

/// Fills each store with so many sessions of each library, and prints what one takes, with its part
/// of the indexes. Says whether the one in Redis takes as little as it has to.
pub(crate) async fn print(plan: Plan, sessions: u32, stores: &[Contest]) -> Result<bool> {
    let owners = sessions / PER_OWNER;
    println!("{sessions} sessions; ours have {owners} owners, in an index\n");
    let mut met = true;
    for store in stores {
        match store {
            Contest::Redis => {
                met &= in_redis_alone(plan).await?;
                in_redis(plan, sessions).await?;
            }
            Contest::Postgres => in_postgres(plan, sessions).await?,
            Contest::Sqlite => in_sqlite(plan, sessions).await?,
            Contest::Files => in_files(plan, sessions).await?,
            _ => return Err("only Redis, PostgreSQL, SQLite and files are measured".into()),
        }
    }
    Ok(met)
}

async fn in_redis(plan: Plan, sessions: u32) -> Result<()> {
    for candidate in [
        Candidate::OursRedis,
        Candidate::ByHand,
        Candidate::ActixSession,
        Candidate::TowerRedis,
    ] {
        let server = RedisServer::start(&[]).await;
        let size = async || redis_size(&server);
        fill(plan, candidate, &server.url(), sessions, size).await?;
    }
    let server = RedisServer::start(&[]).await;
    let before = redis_size(&server)?;
    flask("redis", &server.url())?;
    let size = redis_size(&server)? - before;
    line("Flask-Session, redis", size, FLASK_SESSIONS);
    Ok(())
}

async fn in_postgres(plan: Plan, sessions: u32) -> Result<()> {
    for candidate in [Candidate::OursPostgres, Candidate::TowerPostgres] {
        let server = Postgres::start().await;
        let size = async || postgres_size(&server.url()).await;
        fill(plan, candidate, &server.url(), sessions, size).await?;
    }
    Ok(())
}

async fn in_sqlite(plan: Plan, sessions: u32) -> Result<()> {
    for candidate in [Candidate::OursSqlite, Candidate::TowerSqlite] {
        let directory = scratch_dir();
        let url = format!("sqlite://{}/s.db?mode=rwc", directory.path().display());
        let size = async || on_disk(directory.path());
        fill(plan, candidate, &url, sessions, size).await?;
    }
    Ok(())
}

async fn in_files(plan: Plan, sessions: u32) -> Result<()> {
    for candidate in [Candidate::OursFiles, Candidate::ByHandFiles] {
        let directory = scratch_dir();
        let below = directory.path().join("sessions").display().to_string();
        let size = async || on_disk(directory.path());
        fill(plan, candidate, &below, sessions, size).await?;
    }
    let directory = scratch_dir();
    flask("files", &directory.path().display().to_string())?;
    let size = on_disk(directory.path())?;
    line("Flask-Session, files", size, FLASK_SESSIONS);
    Ok(())
}

/// `MEMORY USAGE` of the session of the benches, which has no owner, beside the same by hand.
async fn in_redis_alone(plan: Plan) -> Result<bool> {
    let mut usages = Vec::new();
    for candidate in [Candidate::OursRedis, Candidate::ByHand] {
        let server = RedisServer::start(&[]).await;
        let program = env::current_exe()?;
        let _one = Contestant::start(
            candidate,
            Command::new(&program),
            &server.url(),
            plan,
            Row::of(1),
        )
        .await?;
        let key = server.command("RANDOMKEY");
        let key = key.lines().last().ok_or("no session in Redis")?.trim();
        let length = number(&server.command(&format!("STRLEN {key}")))?;
        let usage = number(&server.command(&format!("MEMORY USAGE {key}")))?;
        let name = candidate.name();
        println!("{name:<24} {usage:>8} bytes, MEMORY USAGE of one session of {length} bytes");
        usages.push(usage);
    }
    let met = usages[0] <= MOST_USED;
    let verdict = if met { "met" } else { "MISSED" };
    println!("{verdict}: at most {MOST_USED} bytes\n");
    Ok(met)
}

async fn fill(
    plan: Plan,
    candidate: Candidate,
    address: &str,
    sessions: u32,
    size: impl AsyncFn() -> Result<u64>,
) -> Result<()> {
    let owners = sessions / PER_OWNER;
    let program = env::current_exe()?;
    let row = Row::of(64).of_owners(owners);
    let mut contestant =
        Contestant::start(candidate, Command::new(&program), address, plan, row).await?;
    let before = size().await?;
    contestant.load().fill(sessions).await?;
    line(
        candidate.name(),
        size().await?.saturating_sub(before),
        sessions,
    );
    Ok(())
}

fn line(name: &str, bytes: u64, sessions: u32) {
    println!(
        "{name:<24} {:>8} bytes a session",
        bytes / u64::from(sessions)
    );
}

fn redis_size(server: &RedisServer) -> Result<u64> {
    let memory = server.command("INFO memory");
    let used = memory
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    number(used.ok_or("INFO memory has no used_memory")?)
}

async fn postgres_size(url: &str) -> Result<u64> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("CHECKPOINT").execute(&mut connection).await?;
    let size = sqlx::query_scalar("SELECT pg_database_size(current_database())");
    let size: i64 = size.fetch_one(&mut connection).await?;
    Ok(size.try_into()?)
}

/// The blocks of all files below a directory, and of itself.
fn on_disk(directory: &Path) -> Result<u64> {
    let mut bytes = fs::metadata(directory)?.blocks() * 512;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            on_disk(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(bytes)
}

/// Sessions of a real Flask application.
fn flask(store: &str, address: &str) -> Result<()> {
    let python = target_dir().join("test-venv/bin/python");
    let sessions = FLASK_SESSIONS.to_string();
    let mut flask = Command::new(python);
    flask.args(["-c", FLASK, store, address, &sessions]);
    let ended = flask.env_remove(OWNERS).stdout(Stdio::null()).status()?;
    if ended.success() {
        Ok(())
    } else {
        Err(format!("Flask-Session on {store}: {ended}").into())
    }
}

/// The number in a reply of Redis.
fn number(reply: &str) -> Result<u64> {
    Ok(reply.trim().trim_start_matches(':').parse()?)
}
