//! The store contract, on each database.

macro_rules! conformance_of {
    ($database:ident, $open:expr) => {
        mod $database {
            use crate::databases::unique_table;
            use session_sql::TableName;

            session_core::conformance_tests!($open(TableName::default()));
            session_core::owner_index_tests!($open(TableName::default()));
            session_core::scan_tests!($open(TableName::default()));

            mod sweep {
                use super::*;

                session_core::expired_sweep_tests!($open(unique_table()));
            }
        }
    };
}

conformance_of!(
    sqlite,
    crate::databases::fixture::<session_sql::sqlx::Sqlite>
);
conformance_of!(sqlite_in_memory, crate::databases::memory_fixture);
conformance_of!(
    postgres,
    crate::databases::fixture::<session_sql::sqlx::Postgres>
);
conformance_of!(
    mariadb,
    crate::databases::fixture::<session_sql::sqlx::MySql>
);
