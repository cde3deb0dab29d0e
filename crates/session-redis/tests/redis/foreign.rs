//! Keys that somebody else uses (row R10).

use session_core::{Revision, SessionStore, Write};
use session_tests::RedisServer;

use crate::given::{key, load, record, store};

#[tokio::test]
async fn a_foreign_type_is_no_session_and_is_left_alone() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for (name, command) in [
        ("hash", "HSET session:hash f v"),
        ("list", "RPUSH session:list v"),
        ("set", "SADD session:set v"),
        ("zset", "ZADD session:zset 1 v"),
        ("stream", "XADD session:stream * f v"),
        ("string", "SET session:string v"),
    ] {
        server.command(command);
        // What a string is worth, whoever reads its bytes decides.
        let found = load(&store, name).await;
        assert_eq!(found.is_some(), name == "string", "{name}");
        let write = store.insert(&key(name), &record("ours")).await.unwrap();
        assert_eq!(write, Write::Refused, "{name}");
        let write = store
            .update(&key(name), &record("ours"), &Revision::new("v0"))
            .await
            .unwrap();
        assert_eq!(write, Write::Refused, "{name}");
        store.delete(&key(name)).await.unwrap();
        assert_eq!(
            server.command(&format!("TYPE session:{name}")),
            format!("+{name}\r\n")
        );
        assert_eq!(
            server.command(&format!("PTTL session:{name}")),
            ":-1\r\n",
            "{name}"
        );
    }
}
