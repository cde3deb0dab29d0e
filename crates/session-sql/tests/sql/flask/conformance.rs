macro_rules! conformance_of {
    ($database:ident, $open:expr) => {
        mod $database {
            use crate::databases::own_table;

            session_core::conformance_tests!($open(own_table()));
            session_core::expired_sweep_tests!($open(own_table()));
        }
    };
}

conformance_of!(
    sqlite,
    crate::flask::tables::open::<session_sql::sqlx::Sqlite>
);
conformance_of!(sqlite_in_memory, crate::flask::tables::memory);
conformance_of!(
    postgres,
    crate::flask::tables::open::<session_sql::sqlx::Postgres>
);
conformance_of!(
    mariadb,
    crate::flask::tables::open::<session_sql::sqlx::MySql>
);
