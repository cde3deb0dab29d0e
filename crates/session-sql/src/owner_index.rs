//! Lists of an owner's sessions, by the index on the column `owner`, and of those of an identity
//! provider's session, by the one on `provider_session`.

use std::time::SystemTime;

use session_core::{Cursor, Listed, OwnerIndex, OwnerKey, Page, Result, StoreKey, async_trait};

use crate::{
    dialect::{Dialect, Row, Value},
    instant::to_micros,
    queries::statement,
    retry::Operation,
    store::SqlStore,
};

/// A page of the records under a name of the column `owner`, with the first [`Record::HEAD`](session_core::Record::HEAD) bytes
/// of each.
const PAGE: &str = "SELECT store_key, substr(payload, 1, 1024), revision, expires_at \
    FROM {table} {by_owner} \
    WHERE owner = ? AND store_key > ? AND listed_until > ? ORDER BY store_key LIMIT ?";

/// The same of the column `provider_session`.
const PAGE_BY_SID: &str = "SELECT store_key, substr(payload, 1, 1024), revision, expires_at \
    FROM {table} {by_provider_session} \
    WHERE provider_session = ? AND store_key > ? AND listed_until > ? ORDER BY store_key LIMIT ?";

#[async_trait]
impl<D: Dialect> OwnerIndex for SqlStore<D> {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let limit = limit.max(1);
        let values = [
            Value::Bytes(owner.as_str().as_bytes()),
            Value::Bytes(cursor.map_or(b"", Cursor::as_bytes)),
            // By this machine's clock. The database's clock is never used.
            Value::Number(to_micros(SystemTime::now())),
            Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        let by_sid = owner.is_provider_session();
        let sql = statement::<D>(&self.table, if by_sid { PAGE_BY_SID } else { PAGE });
        let rows = self.run(Operation::Read, &sql, &values).await?.rows;
        Ok(page_of(rows, limit))
    }
}

/// A page of up to `limit` rows in the order of their keys.
pub(crate) fn page_of(rows: Vec<Row>, limit: usize) -> Page {
    let last = rows.last().filter(|_| rows.len() >= limit);
    let next = last.map(|row| Cursor::new(row.key.clone()));
    let records = rows.into_iter().filter_map(|row| {
        // What is no text is no key of a record: somebody else wrote the row.
        let key = String::from_utf8(row.key).ok()?;
        Some(Listed {
            key: StoreKey::from_stored(key),
            head: row.bytes.into(),
        })
    });
    Page {
        records: records.collect(),
        next,
    }
}
