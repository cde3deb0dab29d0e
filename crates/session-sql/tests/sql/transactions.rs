//! The store has no part in the transactions of an application that shares its pool.

use session_core::SessionStore;
use session_sql::{SqlStore, sqlx};
use sqlx::{Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    databases::{TestDatabase, unique_table},
    records::{insert, key, load, record},
};

macro_rules! an_application_keeps_its_transaction {
    ($name:ident, $database:ty, $options:ident) => {
        #[tokio::test]
        async fn $name() {
            let database = <$database>::open().await;
            let table = unique_table();
            database.migrated(&table).await;
            let other_table = format!("other_{}", table.table());
            database
                .execute(&format!("CREATE TABLE {other_table} (n INTEGER)"))
                .await;
            let pool = $options::new().connect_lazy(&database.url).unwrap();
            let store = SqlStore::new(pool.clone()).with_table(table.clone());
            let broken = SqlStore::new(pool.clone()).with_table(unique_table());
            for (commit, rows) in [(false, 0), (true, 1)] {
                let mut transaction = pool.begin().await.unwrap();
                let insertion =
                    sqlx::AssertSqlSafe(format!("INSERT INTO {other_table} VALUES (1)"));
                transaction.execute(insertion).await.unwrap();
                let key = key();
                insert(&store, &key, &record(b"kept")).await;
                assert!(broken.insert(&key, &record(b"x")).await.is_err());
                let rows_of_other_table = format!("SELECT COUNT(*) FROM {other_table}");
                assert_eq!(
                    database.number(&rows_of_other_table).await,
                    0,
                    "the store committed the transaction"
                );
                if commit {
                    transaction.commit().await.unwrap();
                } else {
                    transaction.rollback().await.unwrap();
                }
                assert_eq!(database.number(&rows_of_other_table).await, rows);
                assert!(
                    load(&store, &key).await.is_some(),
                    "the session was rolled back, too"
                );
            }
        }
    };
}

an_application_keeps_its_transaction!(on_postgres, sqlx::Postgres, PgPoolOptions);
an_application_keeps_its_transaction!(on_mariadb, sqlx::MySql, MySqlPoolOptions);
