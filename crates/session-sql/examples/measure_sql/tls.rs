//! Updates on a plain connection, over TLS, and on the server's Unix socket.

use std::time::{Duration, Instant, SystemTime};

use session_core::{Record, SessionStore, Write};
use session_sql::{
    SqlStore,
    sqlx::{ConnectOptions, MySql, Postgres},
};
use session_tests::{Certificates, MariaDb, Postgres as PostgresServer};

use crate::{BoxResult, database::Measured, fill::key, sample::Times};

const SIZES: [usize; 6] = [300, 10_000, 16_000, 20_000, 40_000, 100_000];
const SAMPLES: usize = 200;
const CONNECTIONS: usize = 30;

pub(crate) async fn measure(name: &str) -> BoxResult<()> {
    let certificates = Certificates::of_localhost();
    match name {
        "postgres" => {
            let server = PostgresServer::start_with_tls(&certificates).await;
            let (url, directory) = (server.url(), server.directory().display());
            compare::<Postgres>([
                ("plain", format!("{url}?sslmode=disable")),
                ("TLS", format!("{url}?sslmode=require")),
                ("socket", format!("{url}?sslmode=disable&host={directory}")),
            ])
            .await
        }
        "mariadb" => {
            let server = MariaDb::start_with_tls(&certificates).await;
            let (url, socket) = (server.url(), server.socket());
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
