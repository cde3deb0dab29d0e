//! Creating the table or the indexes of a store, now or as soon as its server is up.

use std::{error::Error as StdError, fmt, future::Future, pin::Pin, time::Duration};

use session_core::{Error, Result, config::ConfigError};

const PAUSE: Duration = Duration::from_secs(1);

type Attempt = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What has to be done to a store once, before it can hold sessions.
pub struct Preparation {
    attempt: Box<dyn Fn() -> Attempt + Send + Sync>,
    /// The reason that was logged last.
    logged: Option<String>,
}

impl Preparation {
    #[cfg_attr(
        not(any(
            feature = "mongodb-any-tls",
            feature = "sqlite",
            feature = "postgres",
            feature = "mysql"
        )),
        expect(dead_code, reason = "no other store has a table or an index")
    )]
    pub(crate) fn new<S, F>(store: S, prepare: impl Fn(S) -> F + Send + Sync + 'static) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            attempt: Box::new(move || Box::pin(prepare(store.clone()))),
            logged: None,
        }
    }

    /// Tries once. Returns itself if a later try may succeed.
    ///
    /// # Errors
    ///
    /// If only a change of the settings or of the database helps.
    pub async fn first_try(mut self) -> Result<Option<Self>, ConfigError> {
        match self.run().await {
            Ok(()) => Ok(None),
            Err(Error::Unsuitable { source, .. }) => Err(ConfigError::new(
                "the store",
                format!("cannot be used: {source}"),
            )),
            Err(error) => {
                self.log(&error);
                Ok(Some(self))
            }
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// If it fails now.
    pub async fn run(&self) -> Result<()> {
        (self.attempt)().await
    }

    /// Tries until it succeeds.
    pub async fn until_done(mut self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Err(error) = self.run().await else {
                tracing::info!("the store is prepared now");
                return;
            };
            self.log(&error);
        }
    }

    /// Logs an error, unless its reason is that of the last one. Another reason is, for example,
    /// missing rights once the server is up.
    fn log(&mut self, error: &Error) {
        let reason = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        if self.logged.as_ref() == Some(&reason) {
            return;
        }
        self.logged = Some(reason);
        if matches!(error, Error::Unsuitable { .. }) {
            tracing::error!(
                error = error as &dyn StdError,
                "the store cannot be used as it is; trying again once a second"
            );
        } else {
            tracing::warn!(
                error = error as &dyn StdError,
                "the store lacks its table or its indexes; trying again once a second, and \
                 requests that use the session fail meanwhile"
            );
        }
    }
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, sync::Arc};

    use session_tests::scratch_dir;

    use super::*;

    #[test]
    fn another_reason_is_logged_once() {
        let directory = scratch_dir();
        let path = directory.path().join("log");
        let file = File::create(&path).expect("the directory is writable");
        let to_log = tracing_subscriber::fmt().with_writer(Arc::new(file));
        let _guard = tracing::subscriber::set_default(to_log.finish());
        let mut preparation = Preparation {
            attempt: Box::new(|| Box::pin(async { Ok(()) })),
            logged: None,
        };
        let store = "postgres";
        // An error without a source is a reason, too.
        let budget = Duration::from_secs(1);
        for _ in 0..2 {
            preparation.log(&Error::Timeout { budget });
        }
        for _ in 0..2 {
            let source = "it is down".into();
            preparation.log(&Error::Backend { store, source });
        }
        // What only the second try finds out.
        for _ in 0..2 {
            let source = "it holds something else".into();
            preparation.log(&Error::Unsuitable { store, source });
        }
        let text = fs::read_to_string(&path).expect("the log is text");
        let levels: Vec<_> = text
            .lines()
            .filter_map(|line| {
                ["WARN", "ERROR"]
                    .into_iter()
                    .find(|level| line.contains(level))
            })
            .collect();
        assert_eq!(levels, ["WARN", "WARN", "ERROR"], "{text}");
    }
}
