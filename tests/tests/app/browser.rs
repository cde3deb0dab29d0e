//! A browser with one cookie.

use reqwest::{
    Client, Method,
    header::{COOKIE, SET_COOKIE},
};
use session_tests::Program;

/// Keeps the session's cookie, `Secure` or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    /// The attributes of the last cookie that was set.
    pub(crate) attributes: String,
    http: Client,
}

/// Status and body of a response.
pub(crate) type Answer = (u16, String);

impl Browser {
    pub(crate) async fn get(&mut self, app: &Program, path: &str) -> Answer {
        self.send(app, Method::GET, path).await
    }

    pub(crate) async fn post(&mut self, app: &Program, path: &str) -> Answer {
        self.send(app, Method::POST, path).await
    }

    async fn send(&mut self, app: &Program, method: Method, path: &str) -> Answer {
        let mut request = self.http.request(method, app.url() + path);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let response = request.send().await.unwrap();
        if let Some(set) = response.headers().get(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (pair, attributes) = set.split_once(';').unwrap();
            attributes.clone_into(&mut self.attributes);
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        (response.status().as_u16(), response.text().await.unwrap())
    }
}
