macro_rules! conformance_of {
    ($database:ident, $open:expr) => {
        mod $database {
            use crate::databases::own_table;
            use session_sql::TableName;

            session_core::conformance_tests!($open(TableName::default()));
            session_core::owner_index_tests!($open(TableName::default()));

            mod sweep {
                use super::*;

                session_core::expired_sweep_tests!($open(own_table()));
            }
        }
    };
}

conformance_of!(sqlite, crate::databases::open::<session_sql::sqlx::Sqlite>);
conformance_of!(sqlite_in_memory, crate::databases::memory);
conformance_of!(
    postgres,
    crate::databases::open::<session_sql::sqlx::Postgres>
);
conformance_of!(mariadb, crate::databases::open::<session_sql::sqlx::MySql>);
