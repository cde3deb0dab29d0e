//! How long it takes to list and to end the sessions of a user who has very many, and to change
//! very much in one request.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{ExpiredSweep, Finish, MemoryStore, OwnerIndex, Sessions, Settings};
use session_fs::FileStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;
use session_tests::{MariaDb, Mongo, Postgres, RedisServer, scratch_dir};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::steps::StepResult;

const STORES: &[&str] = &[
    "memory", "files", "redis", "sqlite", "postgres", "mariadb", "mongodb",
];
/// The server of the tests is an emulator and slow: there are so many times fewer log-ins.
const FEWER_ON_MONGODB: usize = 100;
const CYCLES: usize = 100_000;
const LIVE: usize = 1000;
const USERS_AT_ONCE: usize = 32;
const INSERTS: [u32; 3] = [1000, 4000, 16_000];
const ROUNDS: usize = 21;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

/// `words` are the number of log-ins and log-outs, of live sessions, and the stores.
pub(crate) fn run(words: &[&str]) -> StepResult {
    let number = |at: usize, default| words.get(at).map_or(Ok(default), |word| word.parse());
    let wrong = |error: std::num::ParseIntError| error.to_string();
    let (cycles, live) = (
        number(0, CYCLES).map_err(wrong)?,
        number(1, LIVE).map_err(wrong)?,
    );
    let stores = words
        .get(2..)
        .filter(|named| !named.is_empty())
        .unwrap_or(STORES);
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        inserts().await?;
        println!(
            "\n| store | log-ins and log-outs | took | list at once (goal 1 s) | after a sweep (goal 50 ms) | \
             live sessions | log-out everywhere (goal 1 s) |\n|---|---:|---:|---:|---:|---:|---:|"
        );
        for name in stores {
            let cycles = if *name == "mongodb" { cycles / FEWER_ON_MONGODB } else { cycles };
            on(name, Plan { cycles, live }).await?;
        }
        Ok(())
    });
    outcome.map_err(|error: Failure| error.to_string())
}

async fn on(name: &str, plan: Plan) -> Result<()> {
    let directory = scratch_dir();
    match name {
        "memory" => {
            let store = Arc::new(MemoryStore::new());
            plan.measure(name, store.clone(), Some(store)).await
        }
        "files" => {
            let store = Arc::new(FileStore::open(directory.path().join("sessions"))?);
            plan.measure(name, store.clone(), Some(store)).await
        }
        "redis" => {
            let server = RedisServer::start(&[]).await;
            let store = Arc::new(RedisStore::connect(&server.url())?);
            plan.measure(name, store, None).await
        }
        "sqlite" => {
            let file = directory.path().join("sessions.db");
            plan.sql(name, &format!("sqlite://{}?mode=rwc", file.display()))
                .await
        }
        "postgres" => plan.sql(name, &Postgres::start().await.url()).await,
        "mariadb" => plan.sql(name, &MariaDb::start().await.url()).await,
        "mongodb" => {
            let server = Mongo::start().await;
            let store = MongoStore::connect(&server.url()).await?;
            store.ensure_indexes().await?;
            plan.measure(name, Arc::new(store), None).await
        }
        _ => Err(format!("there is no store {name}; there are {STORES:?}").into()),
    }
}

#[derive(Clone, Copy)]
struct Plan {
    cycles: usize,
    live: usize,
}

impl Plan {
    async fn sql(self, name: &str, url: &str) -> Result<()> {
        let store = session_sql::connect(url)?;
        store.migrate().await?;
        self.measure(name, store.clone(), Some(store)).await
    }

    async fn measure(
        self,
        name: &str,
        store: Arc<dyn OwnerIndex>,
        sweep: Option<Arc<dyn ExpiredSweep>>,
    ) -> Result<()> {
        let sessions = sessions(store)?;
        let began = Instant::now();
        let cycle = |sessions: Sessions| async move {
            let cookie = log_in(&sessions, "comes and goes").await?;
            log_out(&sessions, &cookie).await
        };
        many(&sessions, self.cycles, cycle).await?;
        let took = began.elapsed();
        let at_once = empty_list(&sessions).await?;
        if let Some(store) = sweep {
            while !store.sweep(usize::MAX).await?.is_done {}
        }
        // PostgreSQL clears its index of dead entries as it first reads them.
        empty_list(&sessions).await?;
        let later = empty_list(&sessions).await?;
        let log_in = |sessions: Sessions| async move { log_in(&sessions, "live").await.map(drop) };
        many(&sessions, self.live, log_in).await?;
        let began = Instant::now();
        let ended = sessions.log_out_everywhere("live").await?;
        let everywhere = began.elapsed();
        if ended != self.live as u64 {
            return Err(format!("{name}: {ended} of {} sessions were ended", self.live).into());
        }
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            self.cycles,
            milliseconds(took),
            milliseconds(at_once),
            milliseconds(later),
            self.live,
            milliseconds(everywhere)
        );
        Ok(())
    }
}

fn sessions(store: Arc<dyn OwnerIndex>) -> Result<Sessions> {
    // So that what takes too long is measured and not given up.
    let settings = Settings::unsigned().with_store_timeout(Duration::from_secs(60));
    Ok(Sessions::new(settings, store)?)
}

/// How long the list of one takes who has logged out everywhere.
async fn empty_list(sessions: &Sessions) -> Result<Duration> {
    let began = Instant::now();
    let listed = sessions.owner_sessions("comes and goes").await?;
    if !listed.is_empty() {
        return Err(format!("{} sessions outlived their log-out", listed.len()).into());
    }
    Ok(began.elapsed())
}

/// Does `work` so many times, some of it at once.
async fn many<F>(
    sessions: &Sessions,
    count: usize,
    work: impl Fn(Sessions) -> F + Clone + Send + 'static,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send,
{
    let mut users: JoinSet<Result<()>> = JoinSet::new();
    for user in 0..USERS_AT_ONCE {
        let (sessions, work) = (sessions.clone(), work.clone());
        users.spawn(async move {
            for _ in (user..count).step_by(USERS_AT_ONCE) {
                work(sessions.clone()).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = users.join_next().await {
        done??;
    }
    Ok(())
}

/// The cookie of a new session of `owner`.
async fn log_in(sessions: &Sessions, owner: &str) -> Result<String> {
    let request_session = sessions.begin_request();
    request_session
        .session(&mut std::iter::empty())
        .await?
        .log_in(owner)?;
    let cookie = finish(request_session.finish())
        .await?
        .ok_or("a log-in has a cookie")?;
    let pair = cookie.split(';').next().unwrap_or_default();
    Ok(pair.to_owned())
}

async fn log_out(sessions: &Sessions, cookie: &str) -> Result<()> {
    let request_session = sessions.begin_request();
    request_session
        .session(&mut std::iter::once(cookie.as_bytes()))
        .await?
        .log_out();
    finish(request_session.finish()).await.map(drop)
}

async fn finish(end: Finish) -> Result<Option<String>> {
    let head = match end {
        Finish::Ready(head) => head,
        Finish::Pending(saving) => saving.await?,
    };
    Ok(head.set_cookie)
}

/// One request that inserts very many keys, from its beginning until it is saved in memory: the
/// median.
async fn inserts() -> Result<()> {
    println!(
        "\n| inserts in one request | took (goal for 16,000: 50 ms) | each, ns |\n|---:|---:|---:|"
    );
    let sessions = Sessions::new(Settings::unsigned(), Arc::new(MemoryStore::new()))?;
    for count in INSERTS {
        let keys: Vec<_> = (0..count).map(|number| format!("key {number}")).collect();
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let request_session = sessions.begin_request();
            let session = request_session.session(&mut std::iter::empty()).await?;
            for (number, key) in keys.iter().enumerate() {
                session.insert(key, &number)?;
            }
            finish(request_session.finish()).await?;
            times.push(began.elapsed());
        }
        times.sort();
        let median = times[ROUNDS / 2];
        println!(
            "| {count} | {} | {} |",
            milliseconds(median),
            (median / count).as_nanos()
        );
    }
    Ok(())
}

fn milliseconds(time: Duration) -> impl Display {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
