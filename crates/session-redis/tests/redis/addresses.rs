//! The forms of an address, and the setting that contains it.

use session_core::config::Env;
use session_redis::RedisStore;
use session_tests::{RedisServer, scratch_dir};

use crate::common::{insert, load, store};

#[tokio::test]
async fn an_address_may_name_a_unix_socket_and_a_database() {
    let directory = scratch_dir();
    let socket = directory.path().join("redis.sock");
    let server = RedisServer::start(&["--unixsocket", socket.to_str().unwrap()]).await;
    let store = store(&format!("redis+unix://{}?db=3", socket.display()));
    insert(&store, "a", "one").await;
    let same = crate::common::store(&format!("{}3", server.url()));
    assert_eq!(load(&same, "a").await.unwrap().bytes, "one");
    let other = crate::common::store(&server.url());
    assert_eq!(load(&other, "a").await, None);
}

#[tokio::test]
async fn an_address_may_contain_a_user_and_a_password() {
    let server = RedisServer::start(&["--requirepass", "p@ss word"]).await;
    let store = store(&server.url().replace("//", "//default:p%40ss%20word@"));
    insert(&store, "a", "one").await;
    assert!(!format!("{store:?}").contains("word"));
}

#[tokio::test]
async fn from_env_reads_the_address() {
    let server = RedisServer::start(&[]).await;
    let env: Env = [("SESSION_REDIS", server.url())].into_iter().collect();
    let store = RedisStore::from_env(&env).unwrap();
    insert(&store, "a", "one").await;
    let default = RedisStore::from_env(&Env::default()).unwrap();
    assert!(format!("{default:?}").contains("127.0.0.1:6379/0"));
    let env: Env = [("SESSION_REDIS", "postgres://secret@host")]
        .into_iter()
        .collect();
    let error = RedisStore::from_env(&env).unwrap_err().to_string();
    assert!(
        error.starts_with("SESSION_REDIS must be") && !error.contains("secret"),
        "{error}"
    );
}
