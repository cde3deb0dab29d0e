//! `AppSessions`: an application's sessions, from the environment to `Sessions` over a store that is
//! prepared and swept.

use std::{sync::Arc, time::Duration};

use session_core::{
    ExpiredSweep, Sessions, Settings,
    config::{ConfigError, Env},
    sweep_every,
};

use crate::{open::OpenStore, preparation::Preparation, store_type::StoreType};

/// The sessions of an application, in the store that `SESSION_TYPE` names.
///
/// This is a handle: clones share everything.
#[derive(Clone, Debug)]
pub struct AppSessions {
    sessions: Sessions,
    store_type: StoreType,
    swept: Option<Arc<dyn ExpiredSweep>>,
}

impl AppSessions {
    /// Starts the sessions that this process's environment describes, in the native profile.
    ///
    /// As [`start`](Self::start), with the settings of [`Settings::from_env`].
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used, and what to do.
    pub async fn from_env() -> Result<Self, ConfigError> {
        let env = Env::of_process();
        let settings = Settings::from_env(&env);
        if !StoreType::is_set(&env) {
            return Err(StoreType::unset(settings.err()));
        }
        Self::start(settings?, &env).await
    }

    /// Starts the sessions with `settings`, in the store that `env` describes.
    ///
    /// `SESSION_TYPE` names the store; the crate's documentation names the settings of each. The
    /// profile is that of `settings`. In the Flask profile, and if they read Flask's sessions, the
    /// store has Flask-Session's layout, and a store that Flask cannot share is an error.
    ///
    /// - The table of a SQL database and the indexes of MongoDB are created if they are absent. If
    ///   that fails because the server is down or the rights are missing, a warning is logged, and
    ///   it is tried again once a second. Meanwhile routes that use the session answer 503.
    /// - Expired records are swept in the background, in files, SQL databases and memory.
    /// - A user's sessions can be listed if the store and the settings allow it
    ///   ([`Sessions::has_owner_lists`]).
    /// - Each setting that belongs to another store is a warning in the log.
    ///
    /// The tasks run on the current tokio runtime and end with it. Redis and memcached need not run
    /// yet, nor need SQL and MongoDB: the first request connects.
    ///
    /// # Errors
    ///
    /// If a setting is missing or cannot be used, if the table or the collection holds something
    /// else, or if a pooler mixes up statements. The message says what to do.
    ///
    /// # Panics
    ///
    /// If it is not called on a tokio runtime with its timer, such as that of `#[tokio::main]` or
    /// `#[actix_web::main]`.
    pub async fn start(settings: Settings, env: &Env) -> Result<Self, ConfigError> {
        let store_type = StoreType::of(env)?;
        #[cfg(feature = "flask")]
        let settings = crate::flask::checked(settings, store_type, env)?;
        store_type.warn_of_others_settings(env);
        let OpenStore {
            store,
            swept,
            preparation,
        } = store_type.open(&settings, env).await?;
        let pause = settings.sweep_pause();
        let builder = Sessions::builder(settings, store);
        let builder = if builder.can_list_owners() {
            builder
        } else {
            builder.without_owner_lists()
        };
        let sessions = builder.build()?;
        let unprepared = match preparation {
            Some(preparation) => preparation.first_try().await?,
            None => None,
        };
        tokio::spawn(maintain(unprepared, swept.clone(), pause));
        Ok(Self {
            sessions,
            store_type,
            swept,
        })
    }

    /// The sessions: for the middleware, and to list those of a user, or to end them.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The store's name, as `SESSION_TYPE` has it. `sqlalchemy` is `sql` here.
    pub fn store_type(&self) -> &'static str {
        self.store_type.name()
    }

    /// What removes expired records, to run it at once. `None` if the store removes them by itself.
    pub fn expired_sweep(&self) -> Option<Arc<dyn ExpiredSweep>> {
        self.swept.clone()
    }
}

/// Prepares a store that could not be prepared yet, then sweeps it for as long as the process runs.
async fn maintain(
    unprepared: Option<Preparation>,
    swept: Option<Arc<dyn ExpiredSweep>>,
    pause: Duration,
) {
    if let Some(preparation) = unprepared {
        preparation.until_done().await;
    }
    if let Some(swept) = swept {
        sweep_every(swept, pause).await;
    }
}
