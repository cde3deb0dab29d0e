//! The stores, and the program.

use std::{
    any::Any,
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use session_core::{
    CookieAttributes, EncryptionKeys, Error, Finish, Loaded, OwnerIndex, Record, Result, Revision,
    SecretKeys, SessionStore, Sessions, Settings, StoreKey, Write, async_trait, config::Env,
};
use session_stores::StoreType;
use session_tests::{
    ChaosProxy, Disruption, MariaDb, Memcached, Mongo, Postgres, RedisCluster, RedisServer, Strike,
    scratch_dir, with_port,
};

pub(crate) const SECRET: &str = "correct-horse-battery-staple-41-bottles";

/// A store on a real server, and its settings.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) store: Arc<dyn SessionStore>,
    _guard: Box<dyn Any + Send>,
}

impl Place {
    pub(crate) async fn redis() -> Self {
        Self::on(RedisServer::start(&[]).await).await
    }

    pub(crate) async fn on(server: RedisServer) -> Self {
        let url = server.url();
        Self::of("redis", "SESSION_REDIS", &url, &url, server).await
    }

    /// On a Redis that the test keeps.
    pub(crate) async fn of_server(url: &str) -> Self {
        Self::of("redis", "SESSION_REDIS", url, url, ()).await
    }

    /// On a database that the test keeps.
    pub(crate) async fn of_sql(url: &str) -> Self {
        Self::of("sql", "SESSION_SQL", url, url, ()).await
    }

    pub(crate) async fn cluster() -> Self {
        let cluster = RedisCluster::start().await;
        let url = cluster.urls().join(",");
        Self::of("redis", "SESSION_REDIS", &url, &url, cluster).await
    }

    pub(crate) async fn postgres() -> Self {
        let server = Postgres::start().await;
        let url = server.url();
        Self::of("sql", "SESSION_SQL", &url, &url, server).await
    }

    pub(crate) async fn mariadb() -> Self {
        let server = MariaDb::start().await;
        let url = server.url();
        Self::of("sql", "SESSION_SQL", &url, &url, server).await
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = scratch_dir();
        let file = directory.path().join("sessions.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        Self::of("sql", "SESSION_SQL", &url, &url, directory).await
    }

    pub(crate) async fn mongodb() -> Self {
        let server = Mongo::start().await;
        let url = server.url();
        Self::of("mongodb", "SESSION_MONGODB", &url, &url, server).await
    }

    pub(crate) async fn files() -> Self {
        let directory = scratch_dir();
        let path = directory.path().join("sessions").display().to_string();
        let url = format!("file://{path}");
        Self::of("filesystem", "SESSION_FILE_DIR", &path, &url, directory).await
    }

    async fn of(
        store_type: &str,
        setting: &str,
        value: &str,
        url: &str,
        guard: impl Any + Send,
    ) -> Self {
        let env = Env::from_iter([("SESSION_TYPE", store_type), (setting, value)]);
        let settings = settings();
        let opened = StoreType::of(&env).unwrap().open(&settings, &env).await;
        let opened = opened.unwrap();
        if let Some(preparation) = opened.preparation {
            preparation.run().await.unwrap();
        }
        Self {
            url: url.to_owned(),
            store: opened.store,
            _guard: Box::new(guard),
        }
    }

    pub(crate) async fn memcached() -> Self {
        let server = Memcached::start(&[]).await;
        let (node, url) = (server.addr(), format!("memcached://{}", server.addr()));
        Self::of("memcached", "SESSION_MEMCACHED", &node, &url, server).await
    }

    /// Every store.
    pub(crate) async fn all() -> Vec<Self> {
        vec![
            Self::memcached().await,
            Self::redis().await,
            Self::cluster().await,
            Self::postgres().await,
            Self::mariadb().await,
            Self::sqlite().await,
            Self::mongodb().await,
            Self::files().await,
        ]
    }

    pub(crate) fn sessions(&self) -> Sessions {
        self.with(settings())
    }

    pub(crate) fn encrypted(&self, key: &str) -> Sessions {
        let keys = EncryptionKeys::new(key).unwrap();
        self.with(settings().with_encryption(keys))
    }

    pub(crate) fn with(&self, settings: Settings) -> Sessions {
        let builder = Sessions::builder(settings, self.store.clone());
        let builder = if builder.can_list_owners() {
            builder
        } else {
            builder.without_owner_lists()
        };
        builder.build().unwrap()
    }

    /// Runs the program on this store.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let store = ["--store", &self.url];
        run(&[&store[..], words].concat(), &[])
    }
}

/// What is kept and what is ended must not depend on how quick the machine is, so the store time is long.
pub(crate) fn settings() -> Settings {
    let cookie = CookieAttributes {
        name: "session".into(),
        secure: false,
        ..CookieAttributes::default()
    };
    Settings::new(SecretKeys::new(SECRET).unwrap())
        .with_cookie(cookie)
        .with_store_timeout(Duration::from_secs(20))
}

/// A store whose inserts or updates fail.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) inserts: bool,
    pub(crate) updates: bool,
}

fn failure(fails: bool) -> Result<()> {
    if fails {
        return Err(Error::backend("test", "it fails on purpose"));
    }
    Ok(())
}

#[async_trait]
impl SessionStore for Failing {
    fn limit(&self) -> usize {
        self.store.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.store.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        failure(self.inserts)?;
        self.store.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        failure(self.updates)?;
        self.store.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.store.delete(key).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        self.store.clone().owner_index()
    }
}

/// What the program printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

pub(crate) fn run(words: &[&str], env: &[(&str, &str)]) -> Ran {
    Ran::of(&command(words, env).output().unwrap())
}

/// The URL of a server that falls silent, in the words of [`run_until_silent`].
pub(crate) const SILENT: &str = "the silent server";

/// Runs a command on a server that falls silent, with the way to it, after so many pieces of each
/// connection. How long it took; `None` if it does not end within `longest`.
pub(crate) async fn run_until_silent(
    words: &[&str],
    (url, port): (String, u16),
    pieces: usize,
    longest: Duration,
) -> Option<(Ran, Duration)> {
    // More than a command opens.
    const CONNECTIONS: usize = 1000;
    let proxy = ChaosProxy::start(port).await;
    for _ in 0..CONNECTIONS {
        proxy.strike(Strike {
            new_connection: true,
            after: pieces,
            disruption: Disruption::Blackhole,
        });
    }
    let url = with_port(&url, port, proxy.port());
    let words = words.iter().map(|word| word.replace(SILENT, &url));
    let words: Vec<_> = words.collect();
    let began = Instant::now();
    let ran = tokio::task::spawn_blocking(move || {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        (run(&words, &[]), began.elapsed())
    });
    tokio::pin!(ran);
    let in_time = tokio::time::timeout(longest, &mut ran).await;
    if let Ok(ran) = in_time {
        return Some(ran.unwrap());
    }
    // So that it ends.
    proxy.heal();
    proxy.reset_connections();
    let _ended = ran.await.unwrap();
    None
}

pub(crate) fn command(words: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessionctl"));
    command
        .args(words)
        .env("NO_COLOR", "1")
        .envs(env.iter().copied());
    command
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            out: text(&output.stdout),
            err: text(&output.stderr),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        let out = self.ok();
        out.lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect()
    }
}

/// Creates a session, and returns its cookie.
pub(crate) async fn log_in(sessions: &Sessions, owner: Option<&str>) -> String {
    let change = |session: &session_core::Session| {
        session.insert("n", &0)?;
        session.insert("note", &"a planted note")?;
        match owner {
            Some(owner) => {
                session.set_label(Some("Firefox"));
                session.log_in(owner)
            }
            None => Ok(()),
        }
    };
    sessions.cookie_of(change).await.unwrap()
}

/// The owner of the session with this cookie, and its counter.
pub(crate) async fn found(sessions: &Sessions, cookie: &str) -> Option<(Option<String>, u64)> {
    let visit = sessions.begin_request();
    let session = visit
        .session(&mut [cookie.as_bytes()].into_iter())
        .await
        .unwrap();
    let n = session.get::<u64>("n").unwrap()?;
    Some((session.owner().map(|it| it.to_string()), n))
}

/// Renews the session with this cookie. Returns the new one; `None` if the session has ended.
pub(crate) async fn renewed(sessions: &Sessions, cookie: &str) -> Option<String> {
    let request = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
    let session = session.unwrap();
    session.get::<u64>("n").unwrap()?;
    session.renew();
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.ok()?,
    };
    let cookie = headers.set_cookie?;
    Some(cookie.split(';').next()?.to_owned())
}
