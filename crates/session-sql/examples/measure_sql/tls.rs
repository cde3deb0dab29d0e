//! Updates on a plain connection, over TLS, and on the server's Unix socket.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use session_core::{Record, SessionStore, Write};
use session_sql::{
    SqlStore,
    sqlx::{ConnectOptions, MySql, Postgres, postgres::PgConnectOptions},
};
use session_tests::{MariaDb, Postgres as PostgresServer, scratch_dir};

use crate::{BoxResult, database::Measured, fill::key, sample::Times};

const SIZES: [usize; 6] = [300, 10_000, 16_000, 20_000, 40_000, 100_000];
const SAMPLES: usize = 200;
const CONNECTIONS: usize = 30;

pub(crate) async fn measure(name: &str) -> BoxResult<()> {
    let files = scratch_dir();
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o777))?;
    certificate(files.path())?;
    let [cert, key] = ["cert", "key"].map(|name| files.path().join(name).display().to_string());
    let directory = files.path().display();
    match name {
        "postgres" => {
            let sockets = format!("unix_socket_directories={directory}");
            let server = PostgresServer::start_with(&[&sockets]).await;
            // PostgreSQL reads a key only if nobody but its own account can.
            let account = fs::metadata(server.directory())?;
            chown(&key, Some(account.uid()), Some(account.gid()))?;
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
            let url = server.url();
            let mut plain = url.parse::<PgConnectOptions>()?.connect().await?;
            for sql in [
                format!("ALTER SYSTEM SET ssl_cert_file = '{cert}'"),
                format!("ALTER SYSTEM SET ssl_key_file = '{key}'"),
                "ALTER SYSTEM SET ssl = on".to_owned(),
                "SELECT pg_reload_conf()".to_owned(),
            ] {
                Postgres::execute(&mut plain, sql).await?;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            compare::<Postgres>([
                ("plain", format!("{url}?sslmode=disable")),
                ("TLS", format!("{url}?sslmode=require")),
                ("socket", format!("{url}?sslmode=disable&host={directory}")),
            ])
            .await
        }
        "mariadb" => {
            let [cert, key] = [format!("--ssl-cert={cert}"), format!("--ssl-key={key}")];
            let server = MariaDb::start_with(&[&cert, &key]).await;
            let (url, socket) = (server.url(), server.directory().join("socket"));
            let socket = socket.display();
            compare::<MySql>([
                ("plain", format!("{url}?ssl-mode=DISABLED")),
                ("TLS", format!("{url}?ssl-mode=REQUIRED")),
                ("socket", format!("{url}?ssl-mode=DISABLED&socket={socket}")),
            ])
            .await
        }
        _ => Err("TLS is measured on postgres and mariadb".into()),
    }
}

async fn compare<D: Measured>(ways: [(&str, String); 3]) -> BoxResult<()> {
    for (way, url) in &ways {
        let store = SqlStore::<D>::connect(url)?;
        let options = store.pool().connect_options();
        let mut times = Times::default();
        for _ in 0..CONNECTIONS {
            let began = Instant::now();
            let connection = options.connect().await?;
            times.push(began.elapsed());
            drop(connection);
        }
        println!("connect, {way}: {times}");
    }
    let stores = ways.map(|(way, url)| SqlStore::<D>::connect(&url).map(|store| (way, store)));
    let stores = stores.into_iter().collect::<Result<Vec<_>, _>>()?;
    stores[0].1.migrate().await?;
    for size in SIZES {
        let mut times = [(); 3].map(|()| Times::default());
        for _ in 0..SAMPLES {
            for ((_, store), times) in stores.iter().zip(&mut times) {
                times.push(update(store, size).await?);
            }
        }
        for ((way, _), times) in stores.iter().zip(times) {
            println!("update of {size} bytes, {way}: {times}");
        }
    }
    Ok(())
}

/// The time of one update, on the connection that the load before it used.
async fn update(store: &dyn SessionStore, size: usize) -> BoxResult<Duration> {
    let (key, record) = (
        key("live", size),
        Record {
            bytes: vec![7; size].into(),
            expires_at: SystemTime::now() + Duration::from_hours(24),
            entry: None,
        },
    );
    if store.load(&key).await?.is_none() {
        drop(store.insert(&key, &record).await?);
    }
    let loaded = store.load(&key).await?.ok_or("the session is missing")?;
    let began = Instant::now();
    match store.update(&key, &record, &loaded.revision).await? {
        Write::Stored(_) => Ok(began.elapsed()),
        Write::Refused => Err("another program writes to this table".into()),
    }
}

/// Writes `cert` and `key` into the directory.
fn certificate(directory: &Path) -> BoxResult<()> {
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-days", "2", "-keyout", "key", "-out", "cert"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()?;
    fs::set_permissions(directory.join("key"), fs::Permissions::from_mode(0o644))?;
    if status.success() {
        Ok(())
    } else {
        Err("openssl made no certificate".into())
    }
}
