//! Creating the table or the indexes of a store, now or as soon as its server is up.

use std::{error::Error as StdError, fmt, future::Future, pin::Pin, time::Duration};

use session_core::{Error, Result, config::ConfigError};

const PAUSE: Duration = Duration::from_secs(1);

type Attempt = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What has to be done to a store once, before it can hold sessions.
pub struct Preparation(Box<dyn Fn() -> Attempt + Send + Sync>);

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
        Self(Box::new(move || Box::pin(prepare(store.clone()))))
    }

    /// Tries once. Returns itself if a later try may succeed.
    ///
    /// # Errors
    ///
    /// If only a change of the settings or of the database helps.
    pub async fn first_try(self) -> Result<Option<Self>, ConfigError> {
        match self.run().await {
            Ok(()) => Ok(None),
            Err(Error::Unsuitable { source, .. }) => Err(ConfigError::new(
                "the store",
                format!("cannot be used: {source}"),
            )),
            Err(error) => {
                warn_of(&error);
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
        (self.0)().await
    }

    /// Tries until it succeeds.
    pub async fn until_done(self) {
        let mut logged = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            let Err(error) = self.run().await else {
                tracing::info!("the store is prepared now");
                return;
            };
            // Another reason than before, such as missing rights once the server is up.
            let reason = error.source().map(ToString::to_string);
            if logged.as_ref().is_some_and(|logged| *logged != reason) {
                warn_of(&error);
            }
            logged = Some(reason);
        }
    }
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation").finish_non_exhaustive()
    }
}

fn warn_of(error: &Error) {
    if matches!(error, Error::Unsuitable { .. }) {
        tracing::error!(
            error = error as &dyn StdError,
            "the store cannot be used as it is: end this program, and change the settings or the \
             database"
        );
        return;
    }
    tracing::warn!(
        error = error as &dyn StdError,
        "the store lacks its table or its indexes; trying again once a second, and requests that \
         use the session fail meanwhile"
    );
}
