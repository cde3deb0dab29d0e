//! All records of a table, by its primary key: `Scan` for `SqlStore`.

use session_core::{Cursor, KeyPrefix, Page, Result, Scan, async_trait};

use crate::{
    dialect::{Dialect, Value},
    owner_index::page_of,
    queries::statement,
    retry::Operation,
    store::SqlStore,
};

/// A page of the records between two keys, with the first [`Record::HEAD`](session_core::Record::HEAD)
/// bytes of each.
const PAGE: &str = "SELECT store_key, substr(payload, 1, 1024), revision, expires_at \
    FROM {table} WHERE store_key > ? AND store_key < ? ORDER BY store_key LIMIT ?";

/// The most rows of a page: few enough for a statement to take a few milliseconds.
const MAX_ROWS: usize = 1000;

#[async_trait]
impl<D: Dialect> Scan for SqlStore<D> {
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let limit = limit.clamp(1, MAX_ROWS);
        let start = prefix.as_str().as_bytes();
        // Every key is ASCII, so no key that begins with the prefix comes after this.
        let end = [start, &[0x7f]].concat();
        let values = [
            Value::Bytes(cursor.map_or(start, Cursor::as_bytes)),
            Value::Bytes(&end),
            Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        let sql = statement::<D>(&self.table, PAGE);
        let rows = self.run(Operation::Read, &sql, &values).await?.rows;
        let mut page = page_of(rows, limit);
        page.records
            .retain(|it| prefix.is_of_record(it.key.as_str()));
        Ok(page)
    }
}
