//! A server that a person names for the tests, with things of that person on it: the tests leave it
//! as it was, however they end, and start no other.

use std::env;
use std::fmt::Debug;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use session_core::{Record, SessionStore, StoreKey, Write};
use session_mongo::MongoStore;
use session_mongo::mongodb::{Client, bson::doc};
use session_redis::RedisStore;
use session_tests::{MariaDb, Memcached, Mongo, Postgres, RedisServer, assert_in_time};
use sqlx::{Connection, Executor, MySqlConnection, PgConnection, query_scalar};

/// Set for a test program that is given a server: this one, started again.
const GIVEN: &str = "SESSION_TEST_GIVEN";

/// What that program says when it has used the server.
const DONE: &str = "a session is stored";

fn is_given() -> bool {
    env::var_os(GIVEN).is_some()
}

/// Makes the tests use docker compose, but for the servers that a person names.
const COMPOSE: (&str, &str) = ("SESSION_TEST_COMPOSE", "1");

/// Starts this program again for one test, with a server. What it has said.
fn run_given(test: &str, given: (&str, &str)) -> String {
    run_again(test, &[given])
}

fn run_again(test: &str, env: &[(&str, &str)]) -> String {
    let mut program = Command::new(env::current_exe().expect("it has a path"));
    program
        .args(["--exact", test, "--nocapture"])
        .env(GIVEN, "1")
        .envs(env.iter().copied());
    let output = program.output().expect("it can be started");
    let [said, errors] = [output.stdout, output.stderr];
    String::from_utf8_lossy(&said).into_owned() + &String::from_utf8_lossy(&errors)
}

/// Stores a session, and ends without dropping anything.
async fn store_and_abort(store: &dyn SessionStore) {
    let key = StoreKey::from_stored("session:of-a-test");
    let record = Record {
        bytes: "x".into(),
        expires_at: SystemTime::now() + Duration::from_secs(3600),
        entry: None,
    };
    let written = store.insert(&key, &record).await;
    let written = written.expect("the store answers");
    assert!(matches!(written, Write::Stored(_)));
    eprintln!("{DONE}");
    std::process::abort();
}

/// Runs the test in another program, then again beside docker compose, and checks each time that the
/// server is soon as it was.
async fn leaves_all<D: PartialEq + Debug>(
    test: &str,
    given: (&str, &str),
    dump: impl AsyncFn() -> D,
) {
    let before = dump().await;
    for env in [&[given][..], &[given, COMPOSE]] {
        let said = run_again(test, env);
        assert!(said.contains(DONE), "{said}");
        let began = Instant::now();
        loop {
            let after = dump().await;
            if after == before {
                break;
            }
            let waited = began.elapsed();
            assert_in_time!(waited < Duration::from_secs(10), "{before:?}, {after:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_left_on_redis() {
    const TEST: &str = "nothing_is_left_on_redis";
    const VARIABLE: &str = "SESSION_TEST_REDIS_URL";
    let server = RedisServer::start(&[]).await;
    let url = server.url();
    if is_given() {
        store_and_abort(&RedisStore::connect(&url).expect("a valid address")).await;
    }
    server.command("SET mine 1");
    server.command("ACL SETUSER me on >secret ~mine +get");
    let questions = ["INFO keyspace", "ACL LIST", "CONFIG GET *", "GET mine"];
    let dump = async || questions.map(|it| server.command(it));
    leaves_all(TEST, (VARIABLE, &format!("{url}15")), dump).await;
    // It is not empty.
    for env in [&[(VARIABLE, &*url)][..], &[(VARIABLE, &url), COMPOSE]] {
        let said = run_again(TEST, env);
        assert!(said.contains("has keys (:1)"), "{said}");
        assert_eq!(server.command("GET mine"), "$1\r\n1\r\n");
    }
    let secret = url.replace("//", "//me:secret@");
    let said = run_given(TEST, (VARIABLE, &secret));
    assert!(said.contains("needs no password"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn nothing_is_left_on_mongodb() {
    const TEST: &str = "nothing_is_left_on_mongodb";
    let server = Mongo::start().await;
    let url = server.url();
    if is_given() {
        let store = MongoStore::connect(&url).await;
        store_and_abort(&store.expect("a valid address")).await;
    }
    let client = Client::with_uri_str(&url).await.expect("a valid address");
    let insert = async |database: &str| {
        let mine = client.database(database).collection("mine");
        let inserted = mine.insert_one(doc! { "a": 1 }).await;
        inserted.expect("the server answers");
    };
    insert("shop").await;
    let dump = async || {
        let names = client.list_database_names().await;
        let mut names = names.expect("the server answers");
        names.sort_unstable();
        names
    };
    let given = ("SESSION_TEST_MONGODB_URL", &*url);
    leaves_all(TEST, given, dump).await;
    insert("flask_session").await;
    let said = run_given(TEST, given);
    assert!(said.contains("name another server"), "{said}");
    assert!(dump().await.contains(&"flask_session".to_owned()));
}

/// A user with only the rights that CONTRIBUTING.md names.
#[tokio::test]
async fn nothing_is_left_on_postgres() {
    let server = Postgres::start().await;
    let url = server.url();
    if is_given() {
        let store = session_sql::connect(&url).expect("a valid address");
        store.migrate().await.expect("the table can be made");
        store_and_abort(&*store).await;
    }
    let connection = PgConnection::connect(&url).await;
    let mut connection = connection.expect("the server answers");
    for sql in [
        "CREATE DATABASE shop",
        "CREATE ROLE tester LOGIN CREATEDB PASSWORD 'secret'",
    ] {
        connection.execute(sql).await.expect("the server obeys");
    }
    let connection = tokio::sync::Mutex::new(connection);
    let dump = async || {
        let sql = "SELECT datname || ' of ' || rolname FROM pg_database \
            JOIN pg_roles ON pg_roles.oid = datdba UNION ALL SELECT rolname FROM pg_roles ORDER BY 1";
        let mut connection = connection.lock().await;
        let names = query_scalar::<_, String>(sql).fetch_all(&mut *connection);
        names.await.expect("the server answers")
    };
    let given = url.replace("postgres@", "tester:secret@");
    let given = ("SESSION_TEST_POSTGRES_URL", &*given);
    leaves_all("nothing_is_left_on_postgres", given, dump).await;
}

/// The same.
#[tokio::test]
async fn nothing_is_left_on_mariadb() {
    let server = MariaDb::start().await;
    let url = server.url();
    if is_given() {
        let store = session_sql::connect(&url).expect("a valid address");
        store.migrate().await.expect("the table can be made");
        store_and_abort(&*store).await;
    }
    let root = url.replace("session:session@", "root@");
    let connection = MySqlConnection::connect(&root).await;
    let mut connection = connection.expect("the server answers");
    for sql in [
        "CREATE DATABASE shop",
        "CREATE USER tester@'%' IDENTIFIED BY 'secret'",
        "GRANT ALL ON `session\\_test\\_%`.* TO tester@'%'",
        "GRANT SELECT ON shop.* TO tester@'%'",
    ] {
        connection.execute(sql).await.expect("the server obeys");
    }
    let connection = tokio::sync::Mutex::new(connection);
    let dump = async || {
        let sql = "SELECT CAST(schema_name AS CHAR) FROM information_schema.schemata \
            UNION ALL SELECT CAST(user AS CHAR) FROM mysql.user ORDER BY 1";
        let mut connection = connection.lock().await;
        let names = query_scalar::<_, String>(sql).fetch_all(&mut *connection);
        names.await.expect("the server answers")
    };
    let given = url.replace("session:session@", "tester:secret@");
    let given = given.replace("/session", "/shop");
    let given = ("SESSION_TEST_MYSQL_URL", &*given);
    leaves_all("nothing_is_left_on_mariadb", given, dump).await;
}

#[tokio::test]
async fn a_test_that_needs_another_server_than_the_one_that_is_named_fails() {
    if is_given() {
        Memcached::start(&[]).await;
        return;
    }
    let said = run_given(
        "a_test_that_needs_another_server_than_the_one_that_is_named_fails",
        ("SESSION_TEST_POSTGRES_URL", "postgres://127.0.0.1:9/shop"),
    );
    assert!(said.contains("this test needs another"), "{said}");
    assert!(said.contains("tests/own-server.txt"), "{said}");
}

#[tokio::test]
async fn a_variable_without_a_value_names_no_redis_and_is_an_error() {
    const TEST: &str = "a_variable_without_a_value_names_no_redis_and_is_an_error";
    if is_given() {
        RedisServer::start(&[]).await;
        return;
    }
    for variable in ["SESSION_TEST_REDIS_URL", "SESSION_TEST_MYSQL_URL"] {
        for env in [&[(variable, "")][..], &[(variable, " "), COMPOSE]] {
            let said = run_again(TEST, env);
            let expected = format!("{variable} is set and names no server");
            assert!(said.contains(&expected), "{said}");
        }
    }
}

/// Runs the test in another program, in which the harness refuses it.
fn is_refused(test: &str, reason: &str) {
    let said = run_again(test, &[]);
    assert!(said.contains(reason), "{said}");
    assert!(said.contains("tests/own-server.txt"), "{said}");
}

#[tokio::test]
async fn a_test_whose_name_does_not_say_which_server_it_uses_fails() {
    if is_given() {
        Memcached::start(&[]).await;
        return;
    }
    is_refused(
        "a_test_whose_name_does_not_say_which_server_it_uses_fails",
        "uses memcached and does not say so",
    );
}

#[tokio::test]
async fn a_test_that_ends_its_redis_and_is_not_listed_fails() {
    if is_given() {
        RedisServer::start(&[]).await.kill();
        return;
    }
    is_refused(
        "a_test_that_ends_its_redis_and_is_not_listed_fails",
        "ends or changes its server",
    );
}

#[tokio::test]
async fn a_test_whose_redis_has_settings_and_that_is_not_listed_fails() {
    if is_given() {
        RedisServer::start(&["--maxmemory", "2mb"]).await;
        return;
    }
    is_refused(
        "a_test_whose_redis_has_settings_and_that_is_not_listed_fails",
        "the settings [\"--maxmemory\", \"2mb\"]",
    );
}
