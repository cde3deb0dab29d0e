//! A store that belongs to the demo, so that its page can stop it: the folder of the sessions, or a
//! Redis server.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
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

/// Where the sessions lie as files, and where while they are stopped: the same as a file system that
/// is not mounted.
const FOLDER: &str = "./demo-sessions";
const STOPPED_FOLDER: &str = "./demo-sessions.stopped";
/// Where Redis keeps what it holds.
const REDIS_FOLDER: &str = "./demo-redis";
const START: Duration = Duration::from_secs(5);
/// By then each worker of the site has tried to connect again: the longest pause is half a second.
const RECONNECT: Duration = Duration::from_millis(600);

pub(crate) enum OwnStore {
    Folder,
    Redis {
        port: u16,
        server: Box<Mutex<Option<Child>>>,
    },
}

impl OwnStore {
    /// A folder of files, unless the settings name another store or folder. Also returns the settings
    /// that name it.
    ///
    /// # Errors
    ///
    /// If the folder was stopped and cannot be brought back.
    pub(crate) fn folder(env: Env) -> Result<(Option<Self>, Env), ConfigError> {
        let env = env.or("SESSION_TYPE", "filesystem");
        if env.get("SESSION_TYPE") != Some("filesystem") || env.get("SESSION_FILE_DIR").is_some() {
            return Ok((None, env));
        }
        let bring_back = |error| {
            let text = format!("cannot be renamed to {FOLDER}: {error}");
            ConfigError::new(STOPPED_FOLDER, text)
        };
        // The demo was ended while it was stopped.
        start_folder().map_err(bring_back)?;
        Ok((Some(Self::Folder), env.or("SESSION_FILE_DIR", FOLDER)))
    }

    /// Starts a Redis server. Returns it with the settings that name it.
    ///
    /// # Errors
    ///
    /// If the settings name another store, or the server cannot be started.
    pub(crate) async fn redis(env: Env) -> Result<(Self, Env), ConfigError> {
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
        fs::create_dir_all(REDIS_FOLDER).map_err(cannot)?;
        let port = free_port().map_err(cannot)?;
        let own = Self::Redis {
            port,
            server: Box::default(),
        };
        own.start().await.map_err(cannot)?;
        let url = format!("redis://127.0.0.1:{port}/0");
        let env = env.or("SESSION_TYPE", "redis").or("SESSION_REDIS", &url);
        Ok((own, env))
    }

    /// Starts it, unless it runs.
    async fn start(&self) -> io::Result<()> {
        match self {
            Self::Folder => start_folder(),
            Self::Redis { port, server } => {
                let mut server = server.lock().await;
                if server.is_none() {
                    *server = Some(start_redis(*port).await?);
                }
                Ok(())
            }
        }
    }

    async fn stop(&self) -> io::Result<()> {
        match self {
            Self::Folder if Path::new(FOLDER).exists() => fs::rename(FOLDER, STOPPED_FOLDER),
            Self::Folder => Ok(()),
            Self::Redis { server, .. } => match server.lock().await.take() {
                Some(mut server) => server.kill().await,
                None => Ok(()),
            },
        }
    }
}

fn start_folder() -> io::Result<()> {
    if Path::new(STOPPED_FOLDER).exists() {
        fs::rename(STOPPED_FOLDER, FOLDER)?;
    }
    Ok(())
}

/// It answers a write once the disk has it, so that stopping it loses nothing.
async fn start_redis(port: u16) -> io::Result<Child> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--dir", REDIS_FOLDER, "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let server = command.spawn()?;
    let answers = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(START, answers)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))?;
    Ok(server)
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
async fn stop(own: Data<OwnStore>) -> io::Result<HttpResponse> {
    own.stop().await?;
    Ok(back())
}

#[post("/page/store/start")]
async fn start(own: Data<OwnStore>) -> io::Result<HttpResponse> {
    own.start().await?;
    if let OwnStore::Redis { .. } = **own {
        sleep(RECONNECT).await;
    }
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
        form method="post" action="/page/store/stop" { button { "Stop the store" } }
    }
}

/// On the page of the error, while it does not.
pub(crate) fn start_button() -> Markup {
    html! {
        form method="post" action="/page/store/start" { button { "Start the store" } }
    }
}
