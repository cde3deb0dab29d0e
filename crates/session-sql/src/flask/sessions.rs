use std::time::SystemTime;

use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
};

use super::{FlaskSqlStore, session_id};
use crate::{
    attempts::Kind,
    dialect::{Dialect, Row, Value},
    instant::{from_micros, now_micros, to_micros},
};

#[async_trait]
impl<D: Dialect> SessionStore for FlaskSqlStore<D> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let key = Value::Text(session_id::<D>(key)?);
        let values = [key, key, Value::Number(now_micros())];
        let sql = &self.place.queries.load;
        let answer = self.place.run(Kind::Read, sql, &values).await?;
        answer.rows.into_iter().next().map(loaded).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.place.check_size(&record.payload)?;
        let queries = &self.place.queries;
        let mut values = vec![
            Value::Text(session_id::<D>(key)?),
            Value::Bytes(&record.payload),
            Value::Number(to_micros(record.expires_at)),
        ];
        let now = Value::Number(now_micros());
        values.resize(values.len() + queries.nows_in_insert, now);
        let answer = self
            .place
            .run(Kind::Write, &queries.insert, &values)
            .await?;
        Ok(written(answer.changed, record))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.place.check_size(&record.payload)?;
        // Flask may have stored a larger one: both must fit the statement.
        let (size, limit) = (revision.as_bytes().len(), D::MAX_PAYLOAD);
        if size > limit - record.payload.len() {
            return Err(Error::TooLarge { size, limit });
        }
        let key = Value::Text(session_id::<D>(key)?);
        let values = [
            Value::Bytes(&record.payload),
            Value::Number(to_micros(record.expires_at)),
            key,
            key,
            Value::Bytes(revision.as_bytes()),
            Value::Number(now_micros()),
        ];
        let sql = &self.place.queries.update;
        let answer = self.place.run(Kind::Write, sql, &values).await?;
        Ok(written(answer.changed, record))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let key = Value::Text(session_id::<D>(key)?);
        let values = [
            Value::Number(to_micros(expires_at)),
            key,
            key,
            Value::Number(now_micros()),
        ];
        let sql = &self.place.queries.touch;
        let answer = self.place.run(Kind::Write, sql, &values).await?;
        Ok(match answer.changed {
            0 => Touch::Refused,
            _ => Touch::Moved,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let key = Value::Text(session_id::<D>(key)?);
        let sql = &self.place.queries.delete;
        self.place
            .run(Kind::Write, sql, &[key, key])
            .await
            .map(drop)
    }
}

fn loaded(row: Row) -> Result<Loaded> {
    let expires_at =
        from_micros(row.expires_at).ok_or_else(|| Error::corrupt("the record ends before 1970"))?;
    Ok(Loaded {
        expires_at,
        revision: token(&row.payload),
        payload: row.payload,
    })
}

fn written(changed: u64, record: &Record) -> Write {
    match changed {
        0 => Write::Refused,
        _ => Write::Stored(token(&record.payload)),
    }
}

/// The bytes themselves: the layout has no room for a number, and Flask-Session would not count it.
fn token(payload: &[u8]) -> Revision {
    Revision::new(payload.to_vec())
}
