//! A migration of Flask-Session's table on a server that cannot be reached.

use crate::{
    databases::{TestDatabase, each_server},
    unreachable_server::{
        MIGRATION, UNKNOWN_HOST, closed_port, fails_within, silent_port, store_at,
    },
};

each_server!(a_migration_is_an_error_that_names_address_and_cause_in_time);

async fn a_migration_is_an_error_that_names_address_and_cause_in_time<D: TestDatabase>() {
    let (_listener, silent) = silent_port();
    for (address, cause) in [
        (&*closed_port(), "refused"),
        (&*silent, "does not answer"),
        (UNKNOWN_HOST, ""),
    ] {
        let store = store_at::<D>(address).with_flask_layout();
        fails_within(MIGRATION, || store.migrate(), address, cause).await;
    }
}
