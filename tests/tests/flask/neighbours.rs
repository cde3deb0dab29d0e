//! The applications that share a store, and a browser for all.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};
use session_tests::{Program, scratch_dir};
use tempfile::TempDir;

use crate::{
    site::{Answer, Browser},
    store::Store,
};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// One of the applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Flask,
    Actix,
    /// If it was [started](Neighbours::and_axum).
    Axum,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Flask, Self::Actix];

    pub(crate) const ALL: [Self; 3] = [Self::Flask, Self::Actix, Self::Axum];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Flask => Self::Actix,
            Self::Actix | Self::Axum => Self::Flask,
        }
    }
}

/// Both applications with the same settings, and a prefix of their own on the store.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pub(crate) store: Store,
    pub(crate) writes_json: bool,
    flask: Program,
    actix: Program,
    axum: Option<Program>,
    http: reqwest::Client,
    prefix: String,
    directory: TempDir,
}

/// A record as the store has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) payload: Vec<u8>,
    /// Seconds since 1970.
    pub(crate) ends: f64,
}

impl Neighbours {
    pub(crate) async fn on(store: Store, settings: &[(&str, &str)]) -> Self {
        Self::differing(store, settings, &[], &[]).await
    }

    /// Both with `settings`, Flask also with `flasks` and ours with `actixs`.
    pub(crate) async fn differing(
        store: Store,
        settings: &[(&str, &str)],
        flasks: &[(&str, &str)],
        actixs: &[(&str, &str)],
    ) -> Self {
        let directory = scratch_dir();
        let url = store.url(directory.path().to_str().unwrap()).await;
        let chosen = settings.iter().find(|(name, _)| *name == "PREFIX");
        let prefix = chosen.map_or_else(
            || format!("n{}:", NUMBER.fetch_add(1, Relaxed)),
            |(_, prefix)| (*prefix).to_owned(),
        );
        let given = [("STORE", store.name()), ("URL", &url), ("PREFIX", &prefix)];
        let mut env = given.to_vec();
        env.extend(settings);
        let flasks = [&env[..], flasks].concat();
        let actixs = [&env[..], actixs].concat();
        let (flask, actix) = tokio::join!(
            Program::start_python("tests/tests/flask/beside.py", &flasks),
            Program::start("flask-neighbour", &actixs)
        );
        let http = reqwest::Client::builder()
            .no_proxy()
            .user_agent("one browser")
            .timeout(std::time::Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            store,
            writes_json: store == Store::Cachelib || settings.contains(&crate::JSON),
            flask,
            actix,
            axum: None,
            http,
            prefix,
            directory,
        }
    }

    /// With a third application, in axum.
    pub(crate) async fn and_axum(store: Store, settings: &[(&str, &str)]) -> Self {
        let mut all = Self::on(store, settings).await;
        let url = store.url(all.directory.path().to_str().unwrap()).await;
        let given = [
            ("STORE", store.name()),
            ("URL", &url),
            ("PREFIX", &all.prefix),
        ];
        let env = [&given[..], settings].concat();
        all.axum = Some(Program::start("axum-neighbour", &env).await);
        all
    }

    /// A visitor without a cookie.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            neighbours: self,
            browser: Browser::new(self.http.clone(), String::new()),
        }
    }

    /// What `side` has logged so far.
    pub(crate) fn output(&self, side: Side) -> String {
        match side {
            Side::Flask => self.flask.output(),
            Side::Actix => self.actix.output(),
            Side::Axum => self.axum().output(),
        }
    }

    pub(crate) fn key(&self, sid: &str) -> String {
        format!("{}{sid}", self.prefix)
    }

    /// The record of `sid`, read past Flask-Session and this library.
    pub(crate) async fn record(&self, sid: &str) -> Option<Record> {
        let mut visitor = self.visitor();
        let path = format!("/record?key={}", self.key(sid));
        let record = visitor.json(Side::Flask, &path).await;
        Some(Record {
            payload: unhex(record["payload"].as_str()?),
            ends: record["ends"].as_f64()?,
        })
    }

    /// Puts a record under `sid`, whatever it holds.
    pub(crate) async fn put(&self, sid: &str, ttl: u32, payload: &[u8]) {
        let mut visitor = self.visitor();
        let path = format!("/record?key={}&ttl={ttl}", self.key(sid));
        let answer = visitor.post(Side::Flask, &path, hex(payload)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) fn url(&self, side: Side) -> String {
        match side {
            Side::Flask => self.flask.url(),
            Side::Actix => self.actix.url(),
            Side::Axum => self.axum().url(),
        }
    }

    fn axum(&self) -> &Program {
        self.axum.as_ref().expect("the test started it")
    }
}

/// A browser that shows its one cookie to both.
#[derive(Clone, Debug)]
pub(crate) struct Visitor<'n> {
    neighbours: &'n Neighbours,
    browser: Browser,
}

impl Visitor<'_> {
    pub(crate) async fn get(&mut self, side: Side, path: &str) -> Answer {
        self.browser = self.browser.at(self.neighbours.url(side));
        self.browser.get(path).await
    }

    pub(crate) async fn post(&mut self, side: Side, path: &str, body: String) -> Answer {
        self.browser = self.browser.at(self.neighbours.url(side));
        self.browser.post_body(path, body).await
    }

    /// The answer's body, of a success.
    pub(crate) async fn json(&mut self, side: Side, path: &str) -> Value {
        let answer = self.get(side, path).await;
        let log = || self.neighbours.output(side);
        assert_eq!(answer.status, 200, "{side:?} {path}: {}", log());
        answer.json()
    }

    /// The same without doing what its cookies say.
    pub(crate) async fn peek(&self, side: Side, path: &str) -> Value {
        let browser = self.browser.at(self.neighbours.url(side));
        let answer = browser.send(reqwest::Method::GET, path, String::new());
        answer.await.json()
    }

    /// The value under `key`, tagged; `None` if there is none.
    pub(crate) async fn value(&mut self, side: Side, key: &str) -> Option<Value> {
        let found = self.json(side, &format!("/get?k={key}")).await;
        (found["found"] == json!(true)).then(|| found["value"].clone())
    }

    /// The whole session.
    pub(crate) async fn state(&mut self, side: Side) -> Value {
        self.json(side, "/get").await
    }

    /// The same visitor with this for a cookie.
    pub(crate) fn holding(mut self, cookie: &str) -> Self {
        self.browser = self.browser.holding(cookie);
        self
    }

    /// The id in its cookie.
    pub(crate) fn sid(&self) -> &str {
        self.cookie().split('.').next().unwrap()
    }

    /// The value of its cookie.
    pub(crate) fn cookie(&self) -> &str {
        self.browser.cookie().expect("the visitor has a cookie")
    }

    pub(crate) fn has_cookie(&self) -> bool {
        self.browser.cookie().is_some()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}
