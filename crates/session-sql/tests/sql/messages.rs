//! The messages of its protocol that a server gets for a call, as they pass a proxy.

use std::time::{Duration, Instant};

use session_core::SessionStore as _;
use session_sql::{SqlStore, sqlx};
use session_tests::{ChaosProxy, assert_in_time};

use crate::{
    databases::{TestDatabase, each_server},
    kept_connections::until,
    lost_reply::database_behind_proxy,
    records::{insert, key, load, record, stored},
};

each_server!(
    each_call_on_a_connection_in_use_is_one_round_trip,
    each_call_on_a_pool_of_the_application_is_followed_by_a_ping,
);

/// How often each method is called, and how often one after the other on a connection in use.
const CALLS: usize = 100;
const SERIES: usize = 10;
/// So many series may take longer than [`KEPT`], because the machine is busy.
const MOST_SLOW: usize = 100;

/// How long after the pool lent it a connection is left to the next call.
const KEPT: Duration = Duration::from_millis(50);

/// What a client sends to a server of a kind.
trait Protocol: TestDatabase {
    /// The parameter of a URL that keeps the messages readable.
    const WITHOUT_TLS: &'static str;
    /// The client waits for the server once, at the last of them.
    const OF_A_CALL: &'static [&'static str];
    const PING: &'static str;

    /// The messages that these bytes begin with, and then all the others.
    fn messages(sent: &[u8]) -> Vec<&'static str>;
}

impl Protocol for sqlx::Postgres {
    const WITHOUT_TLS: &'static str = "?sslmode=disable";
    const OF_A_CALL: &'static [&'static str] = &["Bind", "Execute", "Close portal", "Sync"];
    const PING: &'static str = "Sync";

    /// A message is a letter, the length of the rest with these four bytes, and the rest. Only that
    /// which opens a connection has no letter.
    fn messages(mut sent: &[u8]) -> Vec<&'static str> {
        let mut messages = vec![];
        while let [kind, a, b, c, d, ..] = sent {
            messages.push(match (kind, sent.get(5)) {
                (b'B', _) => "Bind",
                (b'C', Some(b'P')) => "Close portal",
                (b'C', _) => "Close statement",
                (b'D', _) => "Describe",
                (b'E', _) => "Execute",
                (b'H', _) => "Flush",
                (b'P', _) => "Parse",
                (b'Q', _) => "Query",
                (b'S', _) => "Sync",
                _ => "another",
            });
            let length = 1 + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            sent = sent.get(length..).unwrap_or_default();
        }
        messages
    }
}

impl Protocol for sqlx::MySql {
    const WITHOUT_TLS: &'static str = "?ssl-mode=DISABLED";
    const OF_A_CALL: &'static [&'static str] = &["COM_STMT_EXECUTE"];
    const PING: &'static str = "COM_PING";

    /// A message is a length, a number which is 0 except at the log-in, a command, and the rest,
    /// whose length it is.
    fn messages(mut sent: &[u8]) -> Vec<&'static str> {
        let mut messages = vec![];
        while let [a, b, c, number, command, ..] = sent {
            messages.push(match (number, command) {
                (0, 0x03) => "COM_QUERY",
                (0, 0x0e) => "COM_PING",
                (0, 0x16) => "COM_STMT_PREPARE",
                (0, 0x17) => "COM_STMT_EXECUTE",
                (0, 0x19) => "COM_STMT_CLOSE",
                _ => "another",
            });
            let length = 4 + u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            sent = sent.get(length..).unwrap_or_default();
        }
        messages
    }
}

/// What each connection has sent.
fn recorded<D: Protocol>(proxy: &ChaosProxy) -> Vec<Vec<&'static str>> {
    let recorded = proxy.recorded();
    recorded.iter().map(|sent| D::messages(sent)).collect()
}

async fn until_idle<D: Protocol>(store: &SqlStore<D>, proxy: &ChaosProxy) {
    let all_are_idle = || store.pool().num_idle() == proxy.open_connections();
    until("a connection is in use", all_are_idle).await;
}

async fn each_call_on_a_connection_in_use_is_one_round_trip<D: Protocol>() {
    let (mut database, table, proxy) = database_behind_proxy::<D>().await;
    database.url += D::WITHOUT_TLS;
    let store = database.store(&table);
    let (same, record) = (key(), record(b"one"));
    let mut revision = insert(&store, &same, &record).await;
    check(&store, &proxy, 1, async || {
        load(&store, &same).await.expect("the record exists");
    })
    .await;
    check(&store, &proxy, 1, async || {
        revision = stored(store.update(&same, &record, &revision).await);
    })
    .await;
    check(&store, &proxy, 2, async || {
        let own = key();
        insert(&store, &own, &record).await;
        store.delete(&own).await.unwrap();
    })
    .await;
}

/// Repeats what are so many calls, and checks what is sent.
async fn check<D: Protocol>(
    store: &SqlStore<D>,
    proxy: &ChaosProxy,
    calls: usize,
    mut repeated: impl AsyncFnMut(),
) {
    let expected = D::OF_A_CALL.repeat(calls * SERIES);
    let (mut series, mut slow) = (0, 0);
    while series < CALLS / SERIES {
        until_idle(store, proxy).await;
        let began = Instant::now();
        // It may be the first one on its connection, and prepare its statement.
        repeated().await;
        proxy.record();
        for _ in 0..SERIES {
            repeated().await;
        }
        let recorded = recorded::<D>(proxy);
        // If the machine was slower, the pool may have its connection back, and have pinged it.
        if began.elapsed() < KEPT {
            assert_eq!(recorded, [&expected[..]]);
            series += 1;
        } else {
            slow += 1;
            assert_in_time!(slow < MOST_SLOW, "each series is slow: {recorded:?}");
        }
    }
}

async fn each_call_on_a_pool_of_the_application_is_followed_by_a_ping<D: Protocol>() {
    let (mut database, table, proxy) = database_behind_proxy::<D>().await;
    database.url += D::WITHOUT_TLS;
    let pool = database.store(&table).pool().clone();
    let store = SqlStore::new(pool).with_table(table);
    let key = key();
    insert(&store, &key, &record(b"one")).await;
    let expected = [D::OF_A_CALL, &[D::PING]].concat();
    // On the same connection.
    until_idle(&store, &proxy).await;
    load(&store, &key).await.expect("the record exists");
    for _ in 0..CALLS {
        until_idle(&store, &proxy).await;
        proxy.record();
        load(&store, &key).await.expect("the record exists");
        until_idle(&store, &proxy).await;
        assert_eq!(recorded::<D>(&proxy), [&expected[..]]);
    }
}
