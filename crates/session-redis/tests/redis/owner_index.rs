//! The index of an owner's sessions: its entries, their expiry, and the pages of a list.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use session_core::{IndexEntry, OwnerIndex, Record, SessionStore, Write};
use session_redis::{
    RedisStore,
    redis::{self, Client},
};
use session_tests::{RedisServer, assert_in_time};

use crate::common::{
    OWNER, expiring_in, key, listed, load, owned, owner, record, store, stored, update,
};

const LONG: Duration = Duration::from_secs(600);

async fn insert(store: &RedisStore, name: &str, ttl: Duration) {
    stored(store.insert(&key(name), &owned(ttl, name)).await.unwrap());
}

async fn names(store: &RedisStore, limit: usize) -> Vec<String> {
    listed(store, limit).await.into_keys().collect()
}

/// The number in the answer to a command.
fn number(server: &RedisServer, command: &str) -> i64 {
    let reply = server.command(command);
    let digits = reply.trim().rsplit(['\n', ':']).next().unwrap();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{command}: {reply}"))
}

fn entries(server: &RedisServer) -> i64 {
    number(server, &format!("ZCARD {OWNER}"))
}

fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap().as_millis();
    since.try_into().unwrap()
}

/// The processor time that the server has used since its start, in seconds.
fn processor_time(server: &RedisServer) -> f64 {
    let info = server.command("INFO cpu");
    let times = info.lines().filter_map(|line| {
        let (name, time) = line.split_once(':')?;
        name.ends_with("_main_thread")
            .then(|| time.trim().parse::<f64>().unwrap())
    });
    times.sum()
}

/// Adds `count` entries with the time `until` milliseconds from now to the index, and a record for
/// each.
fn fill(server: &RedisServer, count: usize, until: i64) {
    let script = "for i = 1, ARGV[1] do \
        redis.call('ZADD', KEYS[1], ARGV[2], 'session:ended-' .. i) \
        redis.call('SET', 'session:ended-' .. i, string.rep('x', 120), 'EX', 600) end";
    let until = millis(SystemTime::now()) + until;
    let mut client = Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let command = redis::cmd("EVAL")
        .arg(script)
        .arg(&["1", OWNER, &count.to_string(), &until.to_string()])
        .to_owned();
    let () = command.query(&mut client).unwrap();
}

#[tokio::test]
async fn an_entry_has_exactly_the_time_of_the_last_write() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    insert(&store, "b", Duration::from_secs(60)).await;
    let session = owned(LONG, "session");
    let mut revision = stored(store.insert(&key("a"), &session).await.unwrap());
    for seconds in [900, 90, 300] {
        // The record expires at another time than the entry.
        let at = SystemTime::now() + Duration::from_secs(seconds);
        let changed = Record {
            entry: Some(IndexEntry {
                provider_session: None,
                owner: owner(),
                expires_at: at,
            }),
            ..record("changed")
        };
        revision = update(&store, "a", &changed, &revision).await;
        let entered = number(&server, &format!("ZSCORE {OWNER} session:a"));
        assert_eq!(entered, millis(at), "{seconds} seconds");
        let index_ends = number(&server, &format!("PEXPIRETIME {OWNER}"));
        assert_eq!(index_ends, entered, "the index expires with its last entry");
    }
    update(&store, "a", &record("without"), &revision).await;
    assert!(number(&server, &format!("ZSCORE {OWNER} session:a")) > 0);
    assert_eq!(names(&store, 10).await, ["a", "b"]);
}

#[tokio::test]
async fn an_index_expires_with_its_last_entry() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let session = owned(LONG, "long");
    let revision = stored(store.insert(&key("long"), &session).await.unwrap());
    insert(&store, "short", Duration::from_millis(500)).await;
    tokio::time::sleep(Duration::from_millis(550)).await;
    assert_eq!(
        entries(&server),
        2,
        "no write has removed the expired entry yet"
    );
    assert_eq!(names(&store, 10).await, ["long"]);
    let tombstone = owned(Duration::from_millis(100), "ended");
    update(&store, "long", &tombstone, &revision).await;
    while entries(&server) > 0 {
        let end = tombstone.entry.as_ref().unwrap().expires_at;
        assert_in_time!(SystemTime::now() < end + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // An entry whose time has passed when it is written is removed at once.
    let over = Record {
        entry: owned(Duration::ZERO, "").entry,
        ..record("over")
    };
    tokio::time::sleep(Duration::from_millis(2)).await;
    stored(store.insert(&key("over"), &over).await.unwrap());
    assert_eq!(entries(&server), 0);
    load(&store, "over").await.unwrap();
}

#[tokio::test]
async fn a_refused_write_leaves_the_index_as_it_is() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let session = owned(LONG, "session");
    let revision = stored(store.insert(&key("a"), &session).await.unwrap());
    let tombstone = owned(Duration::from_secs(60), "ended");
    let insert = store.insert(&key("a"), &tombstone).await.unwrap();
    assert_eq!(insert, Write::Refused);
    update(&store, "a", &record("changed"), &revision).await;
    let refused = store.update(&key("a"), &tombstone, &revision).await;
    assert_eq!(refused.unwrap(), Write::Refused);
    let entered = number(&server, &format!("ZSCORE {OWNER} session:a"));
    assert_eq!(entered, millis(session.entry.unwrap().expires_at));
}

#[tokio::test]
async fn a_deleted_session_is_not_listed_and_nor_is_a_value_of_another_type() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for name in ["a", "b", "c"] {
        insert(&store, name, LONG).await;
    }
    store.delete(&key("a")).await.unwrap();
    server.command("DEL session:b");
    server.command("RPUSH session:b foreign");
    for limit in [1, 100] {
        assert_eq!(names(&store, limit).await, ["c"]);
    }
}

#[tokio::test]
async fn a_list_contains_the_heads_of_records() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let large = owned(LONG, vec![b'x'; 500_000]);
    stored(store.insert(&key("large"), &large).await.unwrap());
    insert(&store, "small", LONG).await;
    let listed = listed(&store, 10).await;
    assert_eq!(listed["large"], large.bytes[..Record::HEAD]);
    assert_eq!(listed["small"], "small");
}

#[tokio::test]
async fn a_record_is_not_written_if_its_index_cannot_be_written() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    server.command(&format!("SET {OWNER} foreign"));
    let session = owned(LONG, "a");
    store.insert(&key("a"), &session).await.unwrap_err();
    assert_eq!(load(&store, "a").await, None);
    store.owned_by(&owner(), None, 10).await.unwrap_err();
}

/// Between the pages, entries move to earlier and later times, and new ones are added.
#[tokio::test]
async fn a_session_stored_before_the_first_page_is_on_one_of_the_pages() {
    const COUNT: usize = 1_000;
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let mut revisions = Vec::new();
    for name in 0..COUNT {
        let session = owned(LONG, "session");
        let insert = store.insert(&key(&name.to_string()), &session).await;
        revisions.push(stored(insert.unwrap()));
    }
    let (mut listed, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = store.owned_by(&owner(), cursor.as_ref(), 50).await.unwrap();
        listed.extend(page.records.into_iter().map(|it| it.key));
        cursor = page.next;
        pages += 1;
        if cursor.is_none() {
            break;
        }
        for name in (pages..COUNT).step_by(37) {
            let seconds = 60 + (name as u64 * 7_919) % 1_000;
            let moved = owned(Duration::from_secs(seconds), format!("moved-{pages}"));
            let revision = &mut revisions[name];
            *revision = update(&store, &name.to_string(), &moved, revision).await;
        }
        for number in 0..50 {
            insert(&store, &format!("new-{pages}-{number}"), LONG).await;
        }
    }
    assert!(pages > 10, "{pages}");
    let missing = (0..COUNT).filter(|name| !listed.contains(&key(&name.to_string())));
    assert_eq!(missing.count(), 0);
}

/// One user logged in and out a hundred thousand times, and the tombstones have not expired yet.
#[tokio::test]
async fn a_hundred_thousand_ended_sessions_are_listed_in_a_second() {
    // Without optimisation, parsing a reply takes a hundred times as long.
    let count = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    fill(&server, count, 600_000);
    let begin = Instant::now();
    assert_eq!(listed(&store, 1_000).await.len(), count);
    let took = begin.elapsed();
    eprintln!("{count} ended sessions are listed in {took:?}");
    assert_in_time!(
        cfg!(debug_assertions) || took < Duration::from_secs(1),
        "{took:?}"
    );
}

/// The same later, when the tombstones and their entries have expired.
#[tokio::test]
async fn a_hundred_thousand_expired_entries_slow_down_no_list_and_no_write() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    fill(&server, 100_000, 1);
    insert(&store, "alive", LONG).await;
    let mut took = Duration::MAX;
    for _ in 0..10 {
        let begin = Instant::now();
        assert_eq!(names(&store, 1_000).await, ["alive"]);
        took = took.min(begin.elapsed());
    }
    eprintln!(
        "one session among {} expired entries is listed in {took:?}",
        entries(&server)
    );
    assert!(entries(&server) > 90_000);
    assert_in_time!(took < Duration::from_millis(50), "{took:?}");

    let (mut writes, before) = (0, processor_time(&server));
    while entries(&server) > writes + 1 {
        insert(&store, &writes.to_string(), LONG).await;
        writes += 1;
        assert!(writes < 1_000, "{} entries are left", entries(&server));
    }
    assert!(writes > 100, "{writes} writes removed all entries");
    // Each write has the same amount of work. Processor time, because the server may have to wait
    // for a processor.
    let each = (processor_time(&server) - before) / f64::from(i32::try_from(writes).unwrap());
    eprintln!("{writes} writes removed the entries, in {each} seconds each");
    assert!(each < 0.005, "{each} seconds");
    let listed = names(&store, 10).await.len();
    assert_eq!(listed, usize::try_from(writes).unwrap() + 1);
}

#[tokio::test]
async fn an_ended_session_is_listed_until_its_tombstone_expires() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let insert = store.insert(&key("a"), &owned(LONG, "session")).await;
    let tombstone = owned(Duration::from_secs(2), "ended");
    update(&store, "a", &tombstone, &stored(insert.unwrap())).await;
    assert_eq!(listed(&store, 10).await["a"], "ended");
    tokio::time::sleep(Duration::from_millis(2_020)).await;
    assert!(names(&store, 10).await.is_empty());
    assert_eq!(entries(&server), 0);
    let unowned = expiring_in(LONG, "b");
    stored(store.insert(&key("b"), &unowned).await.unwrap());
    assert!(names(&store, 10).await.is_empty());
}
