use session_core::{
    Cursor, Error, Listed, Loaded, OwnerIndex, OwnerKey, Page, Record, Result, Revision,
    SessionStore, StoreKey, Write, async_trait,
};
use sqlx::SqlStr;

use crate::{
    attempts::Kind,
    dialect::{Dialect, Value},
    instant::now,
    layout::{Change, Layout, own::PAGE},
    queries::spell,
    store::{SqlStore, SqlTable},
};

#[async_trait]
impl<D: Dialect, L: Layout> SessionStore for SqlTable<D, L> {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let values = L::key::<D>(key)?;
        let answer = self.run(Kind::Read, &self.queries.load, &values).await?;
        Ok(answer.rows.into_iter().next().map(L::loaded))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let change = L::insert::<D>(key, record)?;
        self.write(std::slice::from_ref(&self.queries.insert), change)
            .await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        match L::update::<D>(key, record, revision)? {
            Some(change) => self.write(&self.queries.update, change).await,
            None => Ok(Write::Refused),
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let values = L::key::<D>(key)?;
        self.run(Kind::Write, &self.queries.delete, &values)
            .await
            .map(drop)
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// Sends one statement after the other until one has changed a record.
    async fn write(&self, statements: &[SqlStr], change: Change<'_>) -> Result<Write> {
        for sql in statements {
            if self.run(Kind::Write, sql, &change.values).await?.changed > 0 {
                return Ok(change.done);
            }
        }
        Ok(Write::Refused)
    }
}

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
            Value::Number(now()),
            Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        let sql = spell::<D>(&self.table, PAGE);
        let rows = self.run(Kind::Read, &sql, &values).await?.rows;
        let last = rows.last().filter(|_| rows.len() >= limit);
        let next = last.map(|row| Cursor::new(row.key.clone()));
        let records = rows.into_iter().map(|row| {
            let key = String::from_utf8(row.key).map_err(Error::corrupt)?;
            Ok(Listed {
                key: StoreKey::from_stored(key),
                head: row.bytes.into(),
            })
        });
        Ok(Page {
            records: records.collect::<Result<_>>()?,
            next,
        })
    }
}
