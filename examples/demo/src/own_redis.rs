//! A Redis server that the demo starts, so that its page can stop it.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use actix_server_sessions::session_core::config::{ConfigError, Env};
use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    post,
    web::{Data, ServiceConfig},
};
use maud::{Markup, html};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

/// Where it keeps what it holds.
const DIRECTORY: &str = "./demo-redis";
const START: Duration = Duration::from_secs(5);
/// By then each worker of the site has tried to connect again: the longest pause is half a second.
const RECONNECT: Duration = Duration::from_millis(600);

pub(crate) struct OwnRedis {
    port: u16,
    server: Mutex<Option<Child>>,
}

impl OwnRedis {
    /// Starts the server. Returns it with the settings that name it.
    ///
    /// # Errors
    ///
    /// If the settings name another store, or the server cannot be started.
    pub(crate) async fn start(env: Env) -> Result<(Self, Env), ConfigError> {
        for (name, own) in [("SESSION_TYPE", Some("redis")), ("SESSION_REDIS", None)] {
            if env.get(name).is_some_and(|value| Some(value) != own) {
                let text = "must be left unset: the demo is to start a Redis server of its own";
                return Err(ConfigError::new(name, text));
            }
        }
        let cannot = |error: io::Error| {
            let text = format!(
                "redis-server cannot be started: {error}; on Debian, apt-get install redis-server"
            );
            ConfigError::new("demo redis", text)
        };
        std::fs::create_dir_all(DIRECTORY).map_err(cannot)?;
        let own = Self {
            port: free_port().map_err(cannot)?,
            server: Mutex::default(),
        };
        own.run().await.map_err(cannot)?;
        let url = format!("redis://127.0.0.1:{}/0", own.port);
        let env = env.or("SESSION_TYPE", "redis").or("SESSION_REDIS", &url);
        Ok((own, env))
    }

    /// Runs the server, unless it runs. It answers a write once the disk has it, so that stopping it
    /// loses nothing.
    async fn run(&self) -> io::Result<()> {
        let mut server = self.server.lock().await;
        if server.is_some() {
            return Ok(());
        }
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--dir", DIRECTORY, "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        *server = Some(command.spawn()?);
        let answers = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                .await
                .is_err()
            {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(START, answers)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
    }

    async fn stop(&self) -> io::Result<()> {
        match self.server.lock().await.take() {
            Some(mut server) => server.kill().await,
            None => Ok(()),
        }
    }
}

/// One that is free now.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(stop).service(start);
}

#[post("/page/store/stop")]
async fn stop(own: Data<OwnRedis>) -> io::Result<HttpResponse> {
    own.stop().await?;
    Ok(back())
}

#[post("/page/store/start")]
async fn start(own: Data<OwnRedis>) -> io::Result<HttpResponse> {
    own.run().await?;
    sleep(RECONNECT).await;
    Ok(back())
}

fn back() -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/"))
        .finish()
}

/// On the page, while the store runs.
pub(crate) fn stop_button() -> Markup {
    html! {
        section {
            h2 { "The store" }
            form.inline method="post" action="/page/store/stop" {
                span.soft { "If it stops, each page says so within a second, and nothing is lost." }
                button.quiet { "Stop the store" }
            }
        }
    }
}

/// On the page of the error, while it does not.
pub(crate) fn start_button() -> Markup {
    html! {
        form method="post" action="/page/store/start" { button { "Start the store" } }
    }
}
