//! Keys with values of other types, which another program has written.

use session_core::{Revision, SessionStore, Write};
use session_tests::RedisServer;

use crate::common::{KINDS, key, load, record, store};

#[tokio::test]
async fn a_value_of_another_type_is_no_session_and_is_not_changed() {
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
        // A string is loaded: `session-core` decides whether its bytes are a session.
        let found = load(&store, name).await;
        assert_eq!(found.is_some(), name == "string", "{name}");
        let write = store.insert(&key(name), &record("ours")).await.unwrap();
        assert_eq!(write, Write::Refused, "{name}");
        for other in KINDS.map(|(_, kind)| Revision::new(kind("v0"))) {
            let write = store.update(&key(name), &record("ours"), &other).await;
            assert_eq!(write.unwrap(), Write::Refused, "{name}");
        }
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
