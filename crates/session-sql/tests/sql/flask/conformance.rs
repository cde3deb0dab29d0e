//! The store contract in Flask-Session's layout, on each database.

macro_rules! conformance_of {
    ($database:ident, $open:expr) => {
        mod $database {
            use crate::databases::unique_table;

            session_core::conformance_tests!($open(unique_table()));
            session_core::expired_sweep_tests!($open(unique_table()));
        }
    };
}

conformance_of!(
    sqlite,
    crate::flask::tables::fixture::<session_sql::sqlx::Sqlite>
);
conformance_of!(sqlite_in_memory, crate::flask::tables::memory_fixture);
conformance_of!(
    postgres,
    crate::flask::tables::fixture::<session_sql::sqlx::Postgres>
);
conformance_of!(
    mariadb,
    crate::flask::tables::fixture::<session_sql::sqlx::MySql>
);
