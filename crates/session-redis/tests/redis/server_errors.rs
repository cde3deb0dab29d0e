//! Servers that answer with an error: too many clients, no permission, loading, cannot save.

use std::{
    fs,
    time::{Duration, Instant},
};

use session_core::{Error, SessionStore};
use session_redis::redis::{self, Client};
use session_tests::{RedisServer, assert_in_time};

use crate::common::{
    MAX_RECOVERY_TIME, bounded, insert, key, load, record, recovery, store, store_with_the_defaults,
};

#[tokio::test]
async fn a_server_with_too_many_clients() {
    let server = RedisServer::start(&[]).await;
    server.command("CONFIG SET maxclients 1");
    let holder = store(&server.url());
    load(&holder, "a").await;
    let store = store_with_the_defaults(&server.url());
    bounded(store.load(&key("a"))).await.1.unwrap_err();
    drop(holder);
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
}

#[tokio::test]
async fn a_password_that_becomes_required() {
    let server = RedisServer::start(&[]).await;
    let store = store_with_the_defaults(&server.url());
    insert(&store, "a", "one").await;
    server.command("CONFIG SET requirepass secret");
    let admin = Client::open(server.url().replace("//", "//:secret@")).unwrap();
    let kill = redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal"])
        .to_owned();
    let killed: usize = kill.query(&mut admin.get_connection().unwrap()).unwrap();
    assert_eq!(killed, 1);
    bounded(store.load(&key("a"))).await.1.unwrap_err();
    let with_password = crate::common::store(&server.url().replace("//", "//:secret@"));
    assert_eq!(load(&with_password, "a").await.unwrap().bytes, "one");
    assert!(!format!("{with_password:?}").contains("secret"));
    let wrong = store_with_the_defaults(&server.url().replace("//", "//:wrong-secret@"));
    let error = bounded(wrong.load(&key("a"))).await.1.unwrap_err();
    let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!text.contains("wrong-secret"), "{text}");
    let reset = redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", ""])
        .to_owned();
    let _: () = reset.query(&mut admin.get_connection().unwrap()).unwrap();
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
}

#[tokio::test]
async fn a_user_without_permission() {
    let server = RedisServer::start(&[]).await;
    server.command("ACL SETUSER app on >secret ~session:* +@all -@dangerous");
    let url = server.url().replace("//", "//app:secret@");
    let store = store(&url);
    insert(&store, "a", "one").await;
    server.command("ACL SETUSER app resetkeys ~other:*");
    let error = bounded(store.load(&key("a"))).await.1.unwrap_err();
    assert!(
        matches!(error, Error::Backend { store: "redis", .. }),
        "{error:?}"
    );
    server.command("ACL SETUSER app ~session:*");
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
}

#[tokio::test]
async fn an_unknown_command_shows_no_key() {
    let server = RedisServer::start(&["--rename-command", "EVALSHA", ""]).await;
    let store = store(&server.url());
    insert(&store, "secret", "one").await;
    let error = store.delete(&key("secret")).await.unwrap_err();
    let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_server_that_cannot_save() {
    let server = RedisServer::start(&["--dbfilename", "dump"]).await;
    let store = store(&server.url());
    insert(&store, "a", "one").await;
    // Not even root can save to a file if there is a directory of the same name.
    let directory = server.directory().join("dump");
    fs::create_dir(directory).unwrap();
    assert_eq!(server.command("CONFIG SET save \"3600 1\""), "+OK\r\n");
    server.command("BGSAVE");
    let begin = Instant::now();
    while !server
        .command("INFO persistence")
        .contains("rdb_last_bgsave_status:err")
    {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "the server can save"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bounded(store.insert(&key("b"), &record("x")))
        .await
        .1
        .unwrap_err();
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    server.command("CONFIG SET stop-writes-on-bgsave-error no");
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
}

#[tokio::test]
async fn a_server_that_is_loading() {
    let server = RedisServer::start(&[
        "--key-load-delay",
        "500",
        "--loading-process-events-interval-bytes",
        "1024",
    ])
    .await;
    let (store, loader) = (store(&server.url()), store_with_the_defaults(&server.url()));
    insert(&store, "a", "one").await;
    for number in 0..2_000 {
        insert(&store, &number.to_string(), "x").await;
    }
    server.command("SAVE");
    let loading = async {
        let mut refused = 0;
        loop {
            match bounded(loader.load(&key("a"))).await.1 {
                Err(_) => refused += 1,
                Ok(Some(_)) if refused > 0 => return refused,
                Ok(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (refused, ()) = tokio::join!(loading, server.restart());
    assert!(refused > 0);
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
}
