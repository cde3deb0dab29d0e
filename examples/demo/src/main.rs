//! Server-side sessions run for real: an Actix Web application on whichever store the environment
//! names.
//!
//! `cargo run -p demo` needs no server and no configuration; the README has the table of its
//! settings.

mod api;
mod device;
mod devices;
mod error;
mod error_page;
mod operations;
mod own_store;
mod page;
mod secret;
mod visitor;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::SystemTime,
};

use actix_server_sessions::{
    AppSessions, CrossSiteGuard,
    session_core::{
        CookieAttributes, CrossSiteRule, Record, Settings,
        config::{ConfigError, Env},
    },
};
use actix_web::{
    App, HttpServer,
    middleware::from_fn,
    web::{self, Data},
};
use metrics_exporter_prometheus::PrometheusHandle;
use own_store::OwnStore;

/// The store's name, for the answers that show it.
#[derive(Clone, Copy, Debug)]
struct StoreName(&'static str);

/// Another store than the one it uses, for whoever wants to try one.
const TYPES: &str = "filesystem|redis|memcached|mongodb|sql|memory";

const HELP: &str = "\
A site that shows server-side sessions. Open its address in a browser.

usage: demo            serve, with files in ./demo-sessions unless SESSION_TYPE names another store
       demo redis      serve, with a Redis server of its own
       demo cleanup    remove expired sessions once
       demo --help     this text

environment:
  DEMO_ADDR       the address to listen on (127.0.0.1:8080)
  PORT            the port on 127.0.0.1, if DEMO_ADDR is not set
  DEMO_DEVICE     offer|require|once: binds sessions to the browser's device; /account then demands nothing, always
                  or once it is bound the proof. Needs HTTPS before the demo
  DEMO_WORKERS    the number of worker threads (one for each processor core)
  SESSION_TYPE    filesystem|redis|memcached|mongodb|sql|memory (filesystem)
  SESSION_...     the other settings: see the table in the README
  RUST_LOG        what is logged (warn)";

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let argument = std::env::args().nth(1);
    let task = match argument.as_deref() {
        None => Task::Serve,
        Some("redis") => Task::ServeWithRedis,
        Some("cleanup") => Task::CleanUp,
        Some("--help" | "-h") => {
            announce(HELP);
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!("demo: there is no {other}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    match actix_web::rt::System::new().block_on(run(task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What it is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Serve,
    ServeWithRedis,
    CleanUp,
}

async fn run(task: Task) -> Result<(), Box<dyn std::error::Error>> {
    let (own, env) = if task == Task::ServeWithRedis {
        let (own, env) = OwnStore::redis(Env::of_process()).await?;
        (Some(own), env)
    } else {
        OwnStore::folder(Env::of_process())?
    };
    let metrics = operations::collect()?;
    let sessions = AppSessions::start(settings(&env)?, &env).await?;
    if task == Task::CleanUp {
        return clean_up(&sessions).await;
    }
    serve(&env, sessions, own, metrics).await
}

/// Plain HTTP from here, so the cookie is without `Secure` and the name without a prefix, unless
/// sessions are bound to devices, which browsers do over HTTPS alone.
fn settings(env: &Env) -> Result<Settings, ConfigError> {
    let binds = device::policy(env)?.is_some();
    let cookie = if binds {
        CookieAttributes::default()
    } else {
        CookieAttributes {
            name: "session".into(),
            secure: false,
            ..CookieAttributes::default()
        }
    };
    let env = match env.bool("SESSION_USE_SIGNER")? {
        Some(false) => env.clone(),
        _ => secret::provide(env.clone())?,
    };
    let settings = Settings::unsigned().with_cookie(cookie).overlaid(&env)?;
    Ok(if binds {
        device::bind(settings)
    } else {
        settings
    })
}

async fn serve(
    env: &Env,
    sessions: AppSessions,
    own: Option<OwnStore>,
    metrics: PrometheusHandle,
) -> Result<(), Box<dyn std::error::Error>> {
    let port = env.parse::<u16>("PORT", "a port, at most 65535")?;
    let local = format!("127.0.0.1:{}", port.unwrap_or(8080));
    let address = env.get("DEMO_ADDR").unwrap_or(&local);
    let secure = sessions.sessions().settings().cookie().secure;
    let name = StoreName(sessions.store_type());
    let metrics = Data::new(metrics);
    let own = own.map(Data::new);
    let policy = device::policy(env)?;
    let account = policy.map(|it| device::routes(sessions.sessions(), it));
    let account = account.transpose()?;
    // Made once, so that all workers share how many refusals are logged in a second.
    let rule = CrossSiteRule::new();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(name))
            .app_data(Data::new(sessions.sessions().clone()))
            .app_data(metrics.clone())
            .app_data(web::PayloadConfig::new(64 << 20))
            .wrap(sessions.middleware())
            .wrap(CrossSiteGuard::new(rule.clone()))
            .wrap(from_fn(error_page::error_pages))
            .configure(api::routes)
            .configure(devices::routes)
            .configure(page::routes)
            .configure(operations::routes)
            .configure(|config| {
                if let Some(account) = &account {
                    account(config);
                }
                if let Some(own) = &own {
                    config.app_data(own.clone()).configure(own_store::routes);
                }
            })
            .default_service(web::to(error_page::no_such_page))
    })
    .shutdown_signal(AppSessions::shutdown());
    if let Some(workers) = env.parse("DEMO_WORKERS", "a whole number of threads, at least 1")? {
        if workers == 0 {
            return Err(ConfigError::new("DEMO_WORKERS", "must be at least 1").into());
        }
        server = server.workers(workers);
    }
    let server = server.bind(address).map_err(|error| {
        let text = format!(
            "{address} cannot be listened on: {error}; choose another address with DEMO_ADDR, or \
             another port with PORT"
        );
        io::Error::new(error.kind(), text)
    })?;
    if !secure {
        tracing::warn!(
            "the demo speaks plain HTTP: its cookie has no Secure; a real site leaves that on"
        );
    }
    for bound in server.addrs() {
        announce(&format!(
            "Listening on http://{bound} with sessions in {}; choose another store with \
             SESSION_TYPE={TYPES}",
            name.0,
        ));
    }
    Ok(server.run().await?)
}

async fn clean_up(sessions: &AppSessions) -> Result<(), Box<dyn std::error::Error>> {
    const BATCH: usize = 500;
    let Some(store) = sessions.expired_sweep() else {
        announce(&format!(
            "0 expired sessions removed: {} removes them by itself",
            sessions.store_type()
        ));
        return Ok(());
    };
    let mut removed = 0;
    // A session's record is kept for some time after its end; whoever cleans up wants those that
    // have ended gone.
    let ended = SystemTime::now() + Record::KEPT_AFTER_END;
    loop {
        let batch = store.sweep_as_of(ended, BATCH).await?;
        removed += batch.removed;
        if batch.is_done {
            break;
        }
    }
    announce(&format!("{removed} expired sessions removed"));
    Ok(())
}

/// The one place that writes to standard output.
fn announce(line: &str) {
    // Whoever reads it may have enough.
    let _ended = writeln!(io::stdout(), "{line}");
}
