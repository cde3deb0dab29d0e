use session_core::ExpiredSweep;

use super::tables::FlaskPlace;
use crate::{
    databases::{each_database, own_table},
    records::{insert, key, load, record},
};

each_database!(
    a_sweep_finds_what_has_ended_wherever_it_is,
    a_sweep_stops_at_its_limit_and_goes_on_the_next_time
);

/// Of 1,200 rows each third has ended and each tenth never had an expiry.
async fn filled<D: FlaskPlace>() -> (crate::databases::Ground<D>, session_sql::TableName, u64) {
    let (place, table) = (D::place().await, own_table());
    place.theirs(&table).await;
    let mut due = 0;
    for rows in (0..1200).collect::<Vec<_>>().chunks(300) {
        let values: Vec<_> = rows
            .iter()
            .map(|row| {
                let expiry = match row {
                    _ if row % 10 == 0 => "NULL",
                    _ if row % 3 == 0 => "'2001-01-01 00:00:00'",
                    _ => "'2999-12-31 23:59:59'",
                };
                due += u64::from(row % 10 == 0 || row % 3 == 0);
                format!("('flask:{row}', {expiry})")
            })
            .collect();
        let values = values.join(", ");
        place
            .execute(&format!(
                "INSERT INTO {table} (session_id, expiry) VALUES {values}"
            ))
            .await;
    }
    (place, table, due)
}

async fn a_sweep_finds_what_has_ended_wherever_it_is<D: FlaskPlace>() {
    let (place, table, due) = filled::<D>().await;
    let (store, key) = (place.flask(&table), key());
    insert(&store, &key, &record(b"live")).await;
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), due);
    assert_eq!(place.rows(&table).await.unsigned_abs(), 1201 - due);
    assert!(load(&store, &key).await.is_some());
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 0);
}

async fn a_sweep_stops_at_its_limit_and_goes_on_the_next_time<D: FlaskPlace>() {
    let (place, table, due) = filled::<D>().await;
    let store = place.flask(&table);
    assert_eq!(store.sweep(300).await.unwrap(), 300);
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), due - 300);
}
