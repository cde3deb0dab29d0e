//! Tables and collections in the other profile's layout.

use actix_server_sessions::{
    AppSessions,
    session_core::{
        Settings,
        config::{ConfigError, Env},
    },
};
use session_tests::{Mongo, scratch_dir};

use crate::SECRET;

async fn start(flask: bool, store: &[(&str, &str)]) -> Result<AppSessions, ConfigError> {
    let env: Env = [&[SECRET], store].concat().into_iter().collect();
    let defaults = if flask {
        Settings::flask()
    } else {
        Settings::unsigned()
    };
    AppSessions::start(defaults.overlaid(&env)?, &env).await
}

/// A store that was set up in one profile stops the start in the other.
async fn is_refused_in_the_other_profile(flask: bool, store: &[(&str, &str)], other_name: &str) {
    let first = start(flask, store).await.unwrap();
    let sessions = first.sessions();
    assert_eq!(sessions.has_owner_lists(), !flask);
    sessions
        .cookie_of(|session| session.insert("k", &1))
        .await
        .unwrap();
    start(flask, store).await.unwrap();
    let error = start(!flask, store).await.unwrap_err().to_string();
    assert!(error.starts_with("the store cannot be used: "), "{error}");
    assert!(error.contains(other_name), "{error}");
}

#[tokio::test]
async fn a_table_of_the_other_profile_stops_the_start() {
    for flask in [false, true] {
        let directory = scratch_dir();
        let url = format!("sqlite:///{}/sessions.db", directory.path().display());
        let store = [
            ("SESSION_TYPE", "sqlalchemy"),
            ("SESSION_SQLALCHEMY", &*url),
        ];
        is_refused_in_the_other_profile(flask, &store, "SESSION_SQL_TABLE").await;
    }
}

#[tokio::test]
async fn a_collection_of_the_other_profile_stops_the_start() {
    let server = Mongo::start().await;
    let url = server.url();
    for flask in [false, true] {
        let collection = format!("app{}-{flask}", std::process::id());
        let store = [
            ("SESSION_TYPE", "mongodb"),
            ("SESSION_MONGODB", &*url),
            ("SESSION_MONGODB_COLLECT", &*collection),
        ];
        is_refused_in_the_other_profile(flask, &store, "SESSION_MONGODB_COLLECT").await;
    }
}
