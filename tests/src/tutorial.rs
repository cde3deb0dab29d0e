//! The five configurations of Flask-Session's tutorials, with URLs in place of client objects.

use crate::memcached::Memcached;
use crate::mongo::Mongo;
use crate::redis::RedisServer;

/// What each of them has.
const COMMON: [(&str, &str); 3] = [
    ("SESSION_PERMANENT", "False"),
    ("SESSION_USE_SIGNER", "True"),
    ("SESSION_KEY_PREFIX", "myapp:"),
];

/// One of the five configurations of Flask-Session's tutorials, and the server that it names.
#[derive(Debug)]
pub struct Tutorial {
    feature: &'static str,
    settings: Vec<(&'static str, String)>,
    _server: Server,
}

#[derive(Debug)]
enum Server {
    Redis(#[expect(dead_code, reason = "it ends when it is dropped")] RedisServer),
    Memcached(#[expect(dead_code, reason = "it ends when it is dropped")] Memcached),
    Mongo(#[expect(dead_code, reason = "it ends when it is dropped")] Mongo),
    None,
}

impl Tutorial {
    /// The Cargo features of their stores.
    pub const FEATURES: [&str; 5] = ["redis", "memcached", "filesystem", "mongodb", "sqlite"];

    /// The one whose store has this Cargo feature, with a server started for it.
    pub async fn start(feature: &'static str) -> Self {
        let (server, own) = match feature {
            "redis" => {
                let server = RedisServer::start(&[]).await;
                let own = vec![
                    ("SESSION_TYPE", "redis".into()),
                    ("SESSION_REDIS", server.url()),
                ];
                (Server::Redis(server), own)
            }
            "memcached" => {
                let server = Memcached::start(&[]).await;
                let own = vec![
                    ("SESSION_TYPE", "memcached".into()),
                    ("SESSION_MEMCACHED", server.addr()),
                ];
                (Server::Memcached(server), own)
            }
            "filesystem" => {
                let own = vec![
                    ("SESSION_TYPE", "filesystem".into()),
                    ("SESSION_FILE_DIR", "./.flask_session/".into()),
                    ("SESSION_FILE_THRESHOLD", "100".into()),
                    ("SESSION_FILE_MODE", "384".into()),
                ];
                (Server::None, own)
            }
            "mongodb" => {
                let server = Mongo::start().await;
                let own = vec![
                    ("SESSION_TYPE", "mongodb".into()),
                    ("SESSION_MONGODB", server.url()),
                    ("SESSION_MONGODB_DB", "flask_session".into()),
                    (
                        "SESSION_MONGODB_COLLECT",
                        format!("tutorial{}", std::process::id()),
                    ),
                ];
                (Server::Mongo(server), own)
            }
            "sqlite" => {
                let own = vec![
                    ("SESSION_TYPE", "sqlalchemy".into()),
                    ("SESSION_SQLALCHEMY", "sqlite:///db.sqlite3".into()),
                    ("SESSION_SQLALCHEMY_TABLE", "sessions".into()),
                ];
                (Server::None, own)
            }
            other => panic!("no tutorial has {other}"),
        };
        let common = COMMON.map(|(name, value)| (name, value.to_owned()));
        Self {
            feature,
            settings: common.into_iter().chain(own).collect(),
            _server: server,
        }
    }

    /// The Cargo feature of its store.
    pub fn feature(&self) -> &'static str {
        self.feature
    }

    /// Its settings, but for the secret.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        self.settings.clone()
    }
}
