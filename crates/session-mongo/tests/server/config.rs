//! The `SESSION_MONGODB*` settings. No message and no debug output shows a password.

use session_core::config::Env;
use session_mongo::{MongoStore, mongodb::Client};

#[tokio::test]
async fn the_environment_names_server_database_and_collection() {
    let env = Env::from_iter([
        ("SESSION_MONGODB", "mongodb://db.example:27018/other"),
        ("SESSION_MONGODB_DB", "app"),
        ("SESSION_MONGODB_COLLECT", "web.sessions"),
    ]);
    let store = MongoStore::from_env(&env).await.unwrap();
    assert!(
        format!("{store:?}").contains("app.web.sessions"),
        "{store:?}"
    );
}

#[tokio::test]
async fn the_default_names_are_those_of_flask_session() {
    let env = Env::from_iter([("SESSION_MONGODB", "mongodb://db.example/other")]);
    for store in [
        MongoStore::from_env(&env).await.unwrap(),
        MongoStore::from_env(&Env::default()).await.unwrap(),
    ] {
        assert!(
            format!("{store:?}").contains("flask_session.sessions"),
            "{store:?}"
        );
    }
}

#[tokio::test]
async fn an_invalid_setting_is_an_error_of_one_line_that_names_it() {
    for (name, value) in [
        ("SESSION_MONGODB", "localhost"),
        ("SESSION_MONGODB", "redis://localhost"),
        ("SESSION_MONGODB", "mongodb://user:se/cret@localhost"),
        ("SESSION_MONGODB", "mongodb://user:secret@localhost:secret"),
        ("SESSION_MONGODB_DB", "no spaces"),
        ("SESSION_MONGODB_COLLECT", "system.secret"),
    ] {
        let error = MongoStore::from_env(&Env::from_iter([(name, value)]))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.name(), name, "{text}");
        assert!(!text.contains('\n') && !text.contains("cret"), "{text}");
    }
}

#[tokio::test]
async fn debug_shows_no_password() {
    let url = "mongodb://user:hunter2@db.example/";
    let client = Client::with_uri_str(url).await.unwrap();
    for store in [
        MongoStore::new(client),
        MongoStore::connect(url).await.unwrap(),
    ] {
        for text in [format!("{store:?}"), format!("{store:#?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
