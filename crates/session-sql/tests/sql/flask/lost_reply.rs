//! Messages that are lost, come in part, or end their connection, in Flask-Session's layout.

use session_sql::{FlaskSqlStore, SqlStore};

use super::tables::FlaskDatabase;
use crate::{databases::each_server, lost_reply::damaged_calls_end};

each_server!(a_damaged_message_ends_every_call_and_costs_no_place);

async fn a_damaged_message_ends_every_call_and_costs_no_place<D: FlaskDatabase>() {
    damaged_calls_end(
        SqlStore::<D>::with_flask_layout,
        FlaskSqlStore::<D>::migrate,
    )
    .await;
}
