//! What is in each store's own memory or files after a session was stored, with and without
//! encryption.

#[macro_use]
mod site;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use futures_util::TryStreamExt as _;
use serde_json::json;
use session_mongo::mongodb::{
    Client,
    bson::{RawDocumentBuf, doc},
};
use session_redis::redis::{self, Commands as _};
use session_sql::sqlx::{self, Connection as _, MySqlConnection, PgConnection};
use site::{Backend, Demo};

const KEY: (&str, &str) = ("SESSION_ENCRYPTION_KEY", "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ");
const ROWS: &str = "SELECT payload FROM sessions";

on_shared_stores! { what_a_session_holds_is_in_the_store_only_without_encryption }
async fn what_a_session_holds_is_in_the_store_only_without_encryption(backend: Backend) {
    // A server of one's own may still hold what an earlier run left.
    let secret = format!("the card that ends with {}", std::process::id());
    for encrypts in [true, false] {
        let demo = Demo::with(backend.settings().await, &[KEY][..usize::from(encrypts)]).await;
        let mut browser = demo.logged_in("anna").await;
        let answer = browser.put("/data/card", &json!(secret)).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        // A log-in writes it under another id, and another process reads it.
        browser.post("/login?user=anna").await;
        assert_eq!(browser.get("/data/card").await.json(), secret.as_str());
        let beside = demo.beside().await;
        assert_eq!(
            browser.at(beside.url()).get("/data/card").await.json(),
            secret.as_str()
        );
        let stored = stored(&demo, backend).await;
        let found = stored
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert_eq!(found, !encrypts, "{} bytes", stored.len());
    }
}

/// All bytes that the store holds, read without this library.
async fn stored(demo: &Demo, backend: Backend) -> Vec<u8> {
    let address = |name| setting(demo, name);
    match backend {
        Backend::Memory => unreachable!("nobody else can look into it"),
        Backend::Filesystem | Backend::Sqlite => files(demo.directory()),
        Backend::Redis => {
            let client = redis::Client::open(address("SESSION_REDIS")).expect("a valid address");
            let mut server = client.get_connection().expect("the server answers");
            let keys: Vec<String> = server.keys("*").expect("a reply");
            let mut value = |key: &String| redis::cmd("GET").arg(key).query(&mut server);
            keys.iter()
                .filter_map(|key| value(key).ok())
                .flat_map(|value: Vec<u8>| value)
                .collect()
        }
        Backend::Memcached => memcached(&address("SESSION_MEMCACHED")),
        Backend::Mongo => {
            let client = Client::with_uri_str(address("SESSION_MONGODB")).await;
            let database = client.expect("a valid address").database("flask_session");
            let sessions = database.collection::<RawDocumentBuf>("sessions");
            let all = sessions.find(doc! {}).await.expect("a reply");
            let all: Vec<_> = all.try_collect().await.expect("a reply");
            all.iter().flat_map(|it| it.as_bytes().to_vec()).collect()
        }
        Backend::Postgres => {
            let server = PgConnection::connect(&address("SESSION_SQL")).await;
            let mut server = server.expect("the server answers");
            let rows = sqlx::query_scalar::<_, Vec<u8>>(ROWS).fetch_all(&mut server);
            rows.await.expect("a reply").concat()
        }
        Backend::MariaDb => {
            let server = MySqlConnection::connect(&address("SESSION_SQL")).await;
            let mut server = server.expect("the server answers");
            let rows = sqlx::query_scalar::<_, Vec<u8>>(ROWS).fetch_all(&mut server);
            rows.await.expect("a reply").concat()
        }
    }
}

fn setting(demo: &Demo, name: &str) -> String {
    let settings = demo.settings();
    let found = settings.iter().find(|(it, _)| *it == name);
    found.expect("the demo has the setting").1.to_owned()
}

fn files(directory: &Path) -> Vec<u8> {
    let mut bytes = vec![];
    for entry in fs::read_dir(directory).expect("the directory exists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else {
            match fs::read(&path) {
                // The store has replaced or removed it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => bytes.extend(read.expect("the file can be read")),
            }
        }
    }
    bytes
}

fn memcached(address: &str) -> Vec<u8> {
    let mut server = TcpStream::connect(address).expect("the server answers");
    let mut ask = |line: String| {
        server.write_all(line.as_bytes()).expect("it is sent");
        let mut reply = vec![];
        while !reply.ends_with(b"END\r\n") {
            let mut piece = [0; 4096];
            let length = server.read(&mut piece).expect("a reply");
            assert!(length > 0, "the server closed the connection");
            reply.extend(&piece[..length]);
        }
        reply
    };
    let dump = ask("lru_crawler metadump all\r\n".to_owned());
    let dump = String::from_utf8_lossy(&dump).into_owned();
    dump.lines()
        .filter_map(|line| line.strip_prefix("key=")?.split(' ').next())
        .flat_map(|key| ask(format!("get {}\r\n", key.replace("%3A", ":"))))
        .collect()
}
