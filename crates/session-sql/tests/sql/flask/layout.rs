use session_core::{SessionStore, Write};
use session_sql::sqlx;

use super::tables::FlaskPlace;
use crate::{
    databases::{Place, each_database, own_table},
    records::{chain, insert, key, load, record},
};

each_database!(
    the_table_we_make_is_the_one_flask_makes,
    twenty_parallel_migrations_of_flasks_table_succeed,
    each_layout_refuses_the_others_table_at_migration,
    each_layout_refuses_the_others_table_in_use,
    a_missing_table_of_flasks_names_migrate,
    a_table_without_a_unique_id_is_refused,
    a_table_of_something_else_is_no_table_of_flasks
);

async fn the_table_we_make_is_the_one_flask_makes<D: FlaskPlace>() {
    let place = D::place().await;
    let (ours, theirs) = (own_table(), own_table());
    place.flask(&ours).migrate().await.unwrap();
    place.make(&theirs, D::THEIRS).await;
    assert_eq!(place.shape(&ours).await, place.shape(&theirs).await);
}

async fn twenty_parallel_migrations_of_flasks_table_succeed<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    let twenty: Vec<_> = (0..20)
        .map(|_| {
            let store = place.flask(&table);
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for migration in twenty {
        let done = migration.await.expect("no panic");
        done.expect("the migration succeeds");
    }
    insert(&place.flask(&table), &key(), &record(b"x")).await;
}

async fn each_layout_refuses_the_others_table_at_migration<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    place.migrated(&table).await;
    told(
        place.flask(&table).migrate().await,
        "leave out with_flask_layout()",
    );

    let table = own_table();
    let (store, key) = (place.theirs(&table).await, key());
    insert(&store, &key, &record(b"x")).await;
    told(
        place.store(&table).migrate().await,
        "share it by with_flask_layout()",
    );
    assert!(load(&store, &key).await.is_some(), "it was not left alone");
}

async fn each_layout_refuses_the_others_table_in_use<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    place.migrated(&table).await;
    let flask = place.flask(&table);
    told(flask.load(&key()).await, "leave out with_flask_layout()");
    told(
        flask.insert(&key(), &record(b"x")).await,
        "leave out with_flask_layout()",
    );

    let table = own_table();
    place.theirs(&table).await;
    let own = place.store(&table);
    told(own.load(&key()).await, "share it by with_flask_layout()");
    told(
        own.insert(&key(), &record(b"x")).await,
        "share it by with_flask_layout()",
    );
}

async fn a_missing_table_of_flasks_names_migrate<D: FlaskPlace>() {
    let place = D::place().await;
    told(
        place.flask(&own_table()).load(&key()).await,
        "run migrate()",
    );
}

async fn a_table_without_a_unique_id_is_refused<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    place
        .execute(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, session_id VARCHAR(255), data {}, expiry TIMESTAMP)",
            D::BYTES
        ))
        .await;
    told(place.flask(&table).migrate().await, "no unique constraint");
}

async fn a_table_of_something_else_is_no_table_of_flasks<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    place
        .execute(&format!("CREATE TABLE {table} (id INTEGER)"))
        .await;
    told(place.flask(&table).migrate().await, "holds something else");
}

#[tokio::test]
async fn an_expiry_with_a_time_zone_is_refused() {
    let (place, table) = (sqlx::Postgres::place().await, own_table());
    let with_zone = sqlx::Postgres::THEIRS.replace("without time zone", "with time zone");
    place.make(&table, &with_zone).await;
    told(place.flask(&table).migrate().await, "without a zone");

    let (place, table) = (sqlx::MySql::place().await, own_table());
    let with_zone = sqlx::MySql::THEIRS.replace("datetime", "timestamp NULL");
    place.make(&table, &with_zone).await;
    told(place.flask(&table).migrate().await, "without a zone");
}

#[tokio::test]
async fn a_url_of_sqlalchemy_leads_to_flasks_table() {
    let (place, table, key) = (sqlx::Sqlite::place().await, own_table(), key());
    let theirs = place.url.replace("sqlite://", "sqlite+pysqlite:///");
    let env = [
        ("SESSION_SQL", &*theirs),
        ("SESSION_SQLALCHEMY_TABLE", table.table()),
    ];
    let store = session_sql::from_env(&env.into_iter().collect()).unwrap();
    let store = store.with_flask_layout();
    store.migrate().await.unwrap();
    let write = store.insert(&key, &record(b"x")).await.unwrap();
    assert_ne!(write, Write::Refused);
    assert_eq!(place.rows(&table).await, 1);
}

fn told<T: std::fmt::Debug>(answer: session_core::Result<T>, what: &str) {
    let error = chain(&answer.expect_err("it is refused"));
    assert!(error.contains(what), "{error}");
}
