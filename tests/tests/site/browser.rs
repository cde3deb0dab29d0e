//! A browser with one cookie.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderValue, USER_AGENT};
use serde_json::Value;
use session_tests::Watch;

use super::{Answer, Cookie};

/// An answer that came sooner met no stall of the machine.
const NO_STALL: Duration = Duration::from_millis(50);

/// Keeps one cookie, until its own end, and does with it what answers say.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    http: reqwest::Client,
    url: String,
    cookie: Option<String>,
    /// When the cookie ends, if it does before the browser.
    end: Option<SystemTime>,
    agent: Option<String>,
}

impl Browser {
    pub(crate) fn new(http: reqwest::Client, url: String) -> Self {
        Self {
            http,
            url,
            cookie: None,
            end: None,
            agent: None,
        }
    }

    /// The same browser under another name.
    pub(crate) fn named(mut self, agent: &str) -> Self {
        self.agent = Some(agent.to_owned());
        self
    }

    /// The same cookie, shown to another process of the demo.
    pub(crate) fn at(&self, url: String) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    /// The same browser with this for a cookie, which it keeps whatever the time.
    pub(crate) fn holding(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self.end = None;
        self
    }

    /// The value of its cookie.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.follow(Method::GET, path, String::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.follow(Method::POST, path, String::new()).await
    }

    pub(crate) async fn post_body(&mut self, path: &str, body: String) -> Answer {
        self.follow(Method::POST, path, body).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.follow(Method::PUT, path, body.to_string()).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        self.follow(Method::DELETE, path, String::new()).await
    }

    /// Who the demo says this is.
    pub(crate) async fn user(&mut self) -> Value {
        let answer = self.get("/whoami").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["user"].clone()
    }

    /// One request whose answer changes nothing here: one of many at once, or one that arrives
    /// late.
    pub(crate) async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        self.try_send(method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{path}: no answer: {error:?}"))
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            let pair = HeaderValue::try_from(format!("session={cookie}")).expect("ASCII");
            request = request.header(COOKIE, pair);
        }
        if let Some(agent) = &self.agent {
            request = request.header(USER_AGENT, agent);
        }
        let begin = Watch::start();
        let response = request.body(body).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: response.bytes().await?.to_vec(),
            took: begin.stop(NO_STALL).await,
        })
    }

    async fn follow(&mut self, method: Method, path: &str, body: String) -> Answer {
        let now = SystemTime::now();
        if self.end.is_some_and(|end| end <= now) {
            self.cookie = None;
        }
        let answer = self.send(method, path, body).await;
        match answer.cookie() {
            Cookie::Untouched => {}
            Cookie::Set(value) => {
                self.cookie = Some(value);
                self.end = answer.cookie_end(now);
            }
            Cookie::Removed => self.cookie = None,
        }
        answer
    }
}
