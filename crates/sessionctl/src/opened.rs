//! The store that a command works on.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_stores::{
    OpenStore, Preparation, StoreType,
    session_core::{
        self, AllSessions, Bytes, Error, ExpiredSweep, KeyPrefix, Moving, Record, SessionStore,
        Sessions, Settings,
        config::{ConfigError, Env},
    },
};

use tokio::time::timeout;

use crate::{args::StoreArguments, existing, failure::Failure, probe};

/// An administrator waits longer for a page than a visitor does.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Nothing is signed here. Settings without a key are an error, so there has to be one.
const NEVER_SIGNS: &str = "sessionctl-signs-nothing-8Jq2vX5mZ0c4";

/// The opened store, and the sessions in it.
pub(crate) struct Opened {
    pub(crate) sessions: Sessions,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) store_type: StoreType,
    pub(crate) swept: Option<Arc<dyn ExpiredSweep>>,
    pub(crate) preparation: Option<Preparation>,
    pub(crate) env: Env,
}

impl Opened {
    /// If `creates`, the store need not exist yet.
    pub(crate) async fn new(arguments: &StoreArguments, creates: bool) -> Result<Self, Failure> {
        let env = Env::of_process();
        let env = match &arguments.store {
            None => env,
            Some(url) => with_url(&env, url)?,
        };
        let opened = Self::of(env, arguments.prefix.as_deref(), creates).await?;
        match &arguments.old {
            Some(url) => opened.beside(url).await,
            None => Ok(opened),
        }
    }

    /// Both stores, while sessions move from the one that `url` names to this one, or back.
    async fn beside(self, url: &str) -> Result<Self, Failure> {
        let old = self.other(url, None, false).await?;
        if is_same(&self, &old).await? {
            return Err(Failure::Usage(
                "--old is the store itself: name the one that the sessions move from".into(),
            ));
        }
        // It moves nothing, so it may run at each step of a move.
        let both = Moving::announced(self.store.clone(), old.store);
        let store: Arc<dyn SessionStore> = Arc::new(both);
        Ok(Self {
            sessions: sessions(self.sessions.settings().clone(), &store)?,
            store,
            ..self
        })
    }

    /// Another store, with the other settings of this one. If `creates`, it need not exist yet.
    pub(crate) async fn other(
        &self,
        url: &str,
        prefix: Option<&str>,
        creates: bool,
    ) -> Result<Self, Failure> {
        let prefix = prefix.unwrap_or(self.sessions.settings().key_prefix().as_str());
        Self::of(with_url(&self.env, url)?, Some(prefix), creates).await
    }

    async fn of(env: Env, prefix: Option<&str>, creates: bool) -> Result<Self, Failure> {
        existing::check(&env, creates)?;
        let env = env.or("SECRET_KEY", NEVER_SIGNS);
        let mut settings = Settings::from_env(&env)?.with_store_timeout(STORE_TIMEOUT);
        if let Some(prefix) = prefix {
            settings = settings.with_key_prefix(KeyPrefix::new(prefix)?);
        }
        let store_type = StoreType::of(&env)?;
        let nothing_to_see = match store_type {
            StoreType::Memory => Some("is memory, which ends with its process"),
            StoreType::Cachelib => {
                Some("is cachelib, whose files are a Flask application's and name no session")
            }
            _ => None,
        };
        if let Some(reason) = nothing_to_see {
            let reason = format!("{reason}: there is nothing to see");
            return Err(ConfigError::new("SESSION_TYPE", reason).into());
        }
        let OpenStore {
            store,
            swept,
            preparation,
        } = store_type.open(&settings, &env).await?;
        Ok(Self {
            sessions: sessions(settings, &store)?,
            store,
            store_type,
            swept,
            preparation,
            env,
        })
    }

    pub(crate) fn all(&self) -> Result<AllSessions, Failure> {
        Ok(self.sessions.all()?)
    }

    /// The store and the prefix in words, without what may be a secret. Those of other sessions are
    /// others.
    pub(crate) fn described(&self) -> String {
        let address = if let Some(path) = self.store_type.local_path(&self.env) {
            // A relative path is another one elsewhere.
            path.canonicalize().unwrap_or(path).display().to_string()
        } else {
            let setting = address_setting(self.store_type);
            let address = setting.and_then(|it| self.env.get(it));
            let address = address.or_else(|| self.env.get("SESSION_SQLALCHEMY"));
            let addresses = address.unwrap_or_default().split(',').map(without_secrets);
            addresses.collect::<Vec<_>>().join(",")
        };
        let name = self.store_type.name();
        let prefix = self.sessions.settings().key_prefix().as_str();
        let mut text = format!("{name} {address} {prefix}");
        for value in PLACES.iter().filter_map(|it| self.env.get(it)) {
            text.push(' ');
            text.push_str(value);
        }
        text
    }
}

/// The settings that say where in a database the sessions are.
const PLACES: [&str; 6] = [
    "SESSION_SQL_SCHEMA",
    "SESSION_SQLALCHEMY_SCHEMA",
    "SESSION_SQL_TABLE",
    "SESSION_SQLALCHEMY_TABLE",
    "SESSION_MONGODB_DB",
    "SESSION_MONGODB_COLLECT",
];

fn sessions(settings: Settings, store: &Arc<dyn SessionStore>) -> Result<Sessions, Failure> {
    let builder = Sessions::builder(settings, store.clone());
    let builder = if builder.can_list_owners() {
        builder
    } else {
        builder.without_owner_lists()
    };
    Ok(builder.build()?)
}

/// The answer to a call that goes to the store itself, or an error if it takes too long: no store ends
/// its calls when the server, or the way to it, falls silent.
pub(crate) async fn in_time<T>(
    call: impl Future<Output = session_core::Result<T>>,
) -> session_core::Result<T> {
    let budget = STORE_TIMEOUT;
    let answer = timeout(budget, call).await;
    answer.unwrap_or(Err(Error::Timeout { budget }))
}

/// Whether both are one store: by their addresses, or because what is written to one is found in the
/// other. Of a store that takes no writes, only the addresses tell.
pub(crate) async fn is_same(one: &Opened, other: &Opened) -> Result<bool, Failure> {
    if one.described() == other.described() {
        return Ok(true);
    }
    let key = probe::key(other.sessions.settings().key_prefix());
    let written = in_time(other.store.insert(&key, &probe_record())).await;
    let found = in_time(one.store.load(&key)).await;
    // Also if the write failed: it may have been carried out.
    let _removed_or_expires = in_time(other.store.delete(&key)).await;
    Ok(written.is_ok_and(|it| it.is_stored()) && found?.is_some())
}

/// Writes to the store, and removes what it wrote.
///
/// # Errors
///
/// If the store takes no writes.
pub(crate) async fn takes_writes(opened: &Opened) -> Result<(), Failure> {
    let key = probe::key(opened.sessions.settings().key_prefix());
    // Nobody else has the key.
    let _stored = in_time(opened.store.insert(&key, &probe_record())).await?;
    Ok(in_time(opened.store.delete(&key)).await?)
}

fn probe_record() -> Record {
    Record {
        bytes: Bytes::from_static(b"sessionctl"),
        expires_at: SystemTime::now() + Duration::from_secs(60),
        entry: None,
    }
}

/// The setting that has the address of a store.
fn address_setting(store_type: StoreType) -> Option<&'static str> {
    Some(match store_type {
        StoreType::Redis => "SESSION_REDIS",
        StoreType::Sql => "SESSION_SQL",
        StoreType::MongoDb => "SESSION_MONGODB",
        StoreType::Memcached => "SESSION_MEMCACHED",
        StoreType::Filesystem => "SESSION_FILE_DIR",
        _ => return None,
    })
}

/// The options of a URL that say which server or which database is meant.
const OPTIONS: [&str; 7] = [
    "db", "dbname", "host", "hostaddr", "options", "port", "socket",
];

/// A URL without its user, password and most options. A password may have any character.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let options = options.split('&').filter(|option| {
        let name = option.split_once('=').map_or("", |(name, _)| name);
        OPTIONS.contains(&name)
    });
    let options: Vec<_> = options.collect();
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{rest}{mark}{}", options.join("&"))
}

/// The settings of the store that `url` names, in place of those of the environment.
fn with_url(env: &Env, url: &str) -> Result<Env, Failure> {
    // SQLite's has no host.
    let short = url.strip_prefix("sqlite:").map(|path| ("sqlite", path));
    // What is no URL may be a password.
    let (scheme, rest) = url.split_once("://").or(short).ok_or_else(|| {
        Failure::Usage(format!(
            "what names a store is a URL, such as redis://127.0.0.1:6379: {SCHEMES}"
        ))
    })?;
    // SQLAlchemy's URLs name a driver, too.
    let database = scheme.split('+').next().unwrap_or_default();
    let (store_type, value) = match scheme {
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel" => {
            (StoreType::Redis, url)
        }
        _ if ["postgres", "postgresql", "mysql", "mariadb", "sqlite"].contains(&database) => {
            (StoreType::Sql, url)
        }
        "mongodb" | "mongodb+srv" => (StoreType::MongoDb, url),
        "memcached" => (StoreType::Memcached, rest),
        "file" => (StoreType::Filesystem, rest),
        _ => return Err(unknown(scheme)),
    };
    let setting = address_setting(store_type).unwrap_or_default();
    let store_type = store_type.name();
    let keep = |name: &str| {
        name != "SESSION_TYPE" && name != setting && !name.starts_with("SESSION_SQLALCHEMY")
    };
    let names: Vec<_> = env.names().filter(|name| keep(name)).collect();
    let kept = names
        .iter()
        .filter_map(|name| Some((*name, env.get(name)?)));
    let own = [("SESSION_TYPE", store_type), (setting, value)];
    Ok(kept.chain(own).collect())
}

fn unknown(scheme: &str) -> Failure {
    Failure::Usage(format!("there is no store for {scheme}://: {SCHEMES}"))
}

const SCHEMES: &str = "use redis://, rediss://, redis+unix://, redis+sentinel://, postgres://, mysql://, \
    sqlite://, mongodb://, memcached:// or file://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_replaces_the_store_of_the_environment_and_nothing_else() {
        let env = Env::from_iter([
            ("SESSION_TYPE", "redis"),
            ("SESSION_REDIS", "redis://elsewhere"),
            ("SESSION_KEY_PREFIX", "myapp:"),
        ]);
        let env = with_url(&env, "postgres://host/db").unwrap();
        assert_eq!(env.get("SESSION_TYPE"), Some("sql"));
        assert_eq!(env.get("SESSION_SQL"), Some("postgres://host/db"));
        assert_eq!(env.get("SESSION_KEY_PREFIX"), Some("myapp:"));
        let env = with_url(&env, "file:///var/sessions").unwrap();
        assert_eq!(env.get("SESSION_FILE_DIR"), Some("/var/sessions"));
        assert_eq!(
            without_secrets("redis://:a/b?c@host:1/0?x=y"),
            "redis://host:1/0"
        );
        assert_eq!(
            without_secrets("redis+unix:///s?db=1&pass=x"),
            "redis+unix:///s?db=1"
        );
        let error = with_url(&env, "etcd://host").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no store for etcd://"),
            "{error}"
        );
    }
}
