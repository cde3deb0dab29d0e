//! Commands of the browser's developer tools, which chromedriver passes on.

use fantoccini::{Client, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::person::Result;

/// Sends one, such as `Network.deleteCookies`.
pub(super) async fn send(client: &Client, command: &'static str, parameters: Value) -> Result<()> {
    let command = DevTools {
        command,
        parameters,
    };
    client.issue_cmd(command).await?;
    Ok(())
}

#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> std::result::Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/goog/cdp/execute"))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}
