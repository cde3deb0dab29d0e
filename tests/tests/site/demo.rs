//! A running demo.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use session_tests::Program;

use super::{Backend, Browser};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// A running demo, with a prefix of its own on the store.
#[derive(Debug)]
pub(crate) struct Demo {
    program: Program,
    settings: Vec<(&'static str, String)>,
    http: reqwest::Client,
}

impl Demo {
    /// Starts the demo on the test program's server of that kind.
    ///
    /// What is kept and what is ended must not depend on how quick the machine is, so the deadline
    /// is a long one; the usual one is for `outages.rs` to test, and for files, which need no
    /// server to be quick.
    pub(crate) async fn on(backend: Backend) -> Self {
        let deadline: &[_] = match backend {
            Backend::Filesystem | Backend::Memory => &[],
            _ => &[("SESSION_STORE_TIMEOUT_MS", "10000")],
        };
        Self::with(backend.settings().await, deadline).await
    }

    /// Starts the demo with `settings`, and then `more`.
    pub(crate) async fn with(
        mut settings: Vec<(&'static str, String)>,
        more: &[(&'static str, &str)],
    ) -> Self {
        let number = NUMBER.fetch_add(1, Relaxed);
        let prefix = format!("t{}-{number}:", std::process::id());
        settings.push(("SESSION_KEY_PREFIX", prefix));
        settings.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let program = Program::start("demo", &borrowed(&settings)).await;
        Self::of(program, settings)
    }

    /// A second demo on the same store, in the same directory, with the same secret.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_at(Vec::new()).await
    }

    /// The same, with the store at another address.
    pub(crate) async fn beside_at(&self, address: Vec<(&'static str, String)>) -> Self {
        let settings = [&self.settings[..], &address[..]].concat();
        let program = Program::start_in(self.directory(), "demo", &borrowed(&settings)).await;
        Self::of(program, settings)
    }

    fn of(program: Program, settings: Vec<(&'static str, String)>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(20))
            // Actix closes connections that were idle for five seconds; a request must not meet
            // that.
            .pool_idle_timeout(Duration::from_secs(2))
            .build()
            .expect("a client without TLS can be built");
        Self {
            program,
            settings,
            http,
        }
    }

    /// A browser without a cookie.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.http.clone(), self.program.url())
    }

    /// A browser in which `user` has logged in.
    pub(crate) async fn logged_in(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.post(&format!("/login?user={user}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser
    }

    /// Ends it by SIGKILL and starts it again in the same directory.
    pub(crate) async fn restart(&mut self) {
        self.program.restart().await;
    }

    /// Asks it to end by SIGTERM; says whether it did so with success within 15 seconds.
    pub(crate) async fn stop(&self) -> bool {
        self.program.stop().await
    }

    /// What configures it.
    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        borrowed(&self.settings)
    }

    pub(crate) fn url(&self) -> String {
        self.program.url()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.program.directory()
    }

    /// What it wrote to its log so far.
    pub(crate) fn output(&self) -> String {
        self.program.output()
    }
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
