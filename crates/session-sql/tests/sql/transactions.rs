use session_core::SessionStore;
use session_sql::{SqlStore, sqlx};
use sqlx::{Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    databases::{Place, own_table},
    records::{insert, key, load, record},
};

macro_rules! an_application_keeps_its_transaction {
    ($name:ident, $database:ty, $options:ident) => {
        #[tokio::test]
        async fn $name() {
            let place = <$database>::place().await;
            let table = own_table();
            place.migrated(&table).await;
            let work = format!("work_{}", table.table());
            place
                .execute(&format!("CREATE TABLE {work} (n INTEGER)"))
                .await;
            let pool = $options::new().connect_lazy(&place.url).unwrap();
            let store = SqlStore::new(pool.clone()).with_table(table.clone());
            let broken = SqlStore::new(pool.clone()).with_table(own_table());
            for (commit, rows) in [(false, 0), (true, 1)] {
                let mut transaction = pool.begin().await.unwrap();
                let insertion = sqlx::AssertSqlSafe(format!("INSERT INTO {work} VALUES (1)"));
                transaction.execute(insertion).await.unwrap();
                let key = key();
                insert(&store, &key, &record(b"kept")).await;
                assert!(broken.insert(&key, &record(b"x")).await.is_err());
                let rows_of_work = format!("SELECT COUNT(*) FROM {work}");
                assert_eq!(
                    place.number(&rows_of_work).await,
                    0,
                    "the store committed it"
                );
                if commit {
                    transaction.commit().await.unwrap();
                } else {
                    transaction.rollback().await.unwrap();
                }
                assert_eq!(place.number(&rows_of_work).await, rows);
                assert!(
                    load(&store, &key).await.is_some(),
                    "the session went with it"
                );
            }
        }
    };
}

an_application_keeps_its_transaction!(on_postgres, sqlx::Postgres, PgPoolOptions);
an_application_keeps_its_transaction!(on_mariadb, sqlx::MySql, MySqlPoolOptions);
