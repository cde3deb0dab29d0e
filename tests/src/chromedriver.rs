//! Starts `chromedriver`.

use std::io;
use std::ops::Deref;
use std::path::Path;

use crate::binary::binary;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::{ask, expect};

/// A `chromedriver`, which starts a headless Chromium for each session asked of it and ends them
/// with itself.
#[derive(Debug)]
pub struct ChromeDriver(Server);

impl ChromeDriver {
    /// Starts one.
    pub async fn start() -> Self {
        let recipe = |port: u16, directory: &Path| {
            let mut recipe = Recipe::new(binary("chromedriver")).arg(format!("--port={port}"));
            // Chromium leaves files in there.
            recipe.env = vec![("TMPDIR".to_owned(), directory.display().to_string())];
            recipe
        };
        Self(Server::start("chromedriver", answers, recipe).await)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The arguments that Chromium needs here.
    pub fn arguments() -> Vec<&'static str> {
        let mut arguments = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"];
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox");
        }
        arguments
    }
}

impl Deref for ChromeDriver {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn answers(port: u16) -> io::Result<()> {
    let reply = ask(port, "GET /status HTTP/1.1\r\nHost: localhost\r\n")?;
    expect(reply.contains("200"), &reply)
}
