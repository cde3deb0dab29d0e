use std::time::SystemTime;

use session_core::{
    Error, Loaded, OwnerIndex, OwnerKey, Record, Result, Revision, SessionStore, StoreKey, Touch,
    Write, async_trait,
};

use crate::{
    attempts::Kind,
    dialect::{Dialect, Row, Value},
    instant::{now, to_millis},
    queries::Change,
    store::SqlStore,
};

#[async_trait]
impl<D: Dialect> SessionStore for SqlStore<D> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let values = [bytes(key), Value::Number(now())];
        let answer = self
            .place
            .run(Kind::Read, &self.place.queries.record.load, &values)
            .await?;
        answer.rows.into_iter().next().map(Row::loaded).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.place.check_size(&record.payload)?;
        let revision = first_revision::<D>()?;
        let mut values = vec![
            bytes(key),
            Value::Bytes(&record.payload),
            Value::Number(revision),
            Value::Number(to_millis(record.expires_at)),
            owner(record),
            Value::Number(to_millis(record.expires_at)),
        ];
        values.resize(values.len() + D::NOWS_IN_INSERT, Value::Number(now()));
        let answer = self
            .place
            .run(Kind::Write, &self.place.queries.insert, &values)
            .await?;
        Ok(written(answer.changed, revision))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.place.check_size(&record.payload)?;
        // Another store's revision is of bytes that are not here.
        let Some(loaded) = revision.as_u64().map(u64::cast_signed) else {
            return Ok(Write::Refused);
        };
        let end = Value::Number(to_millis(record.expires_at));
        let values = [
            Value::Bytes(&record.payload),
            end,
            end,
            owner(record),
            bytes(key),
            Value::Number(loaded),
            Value::Number(now()),
        ];
        let changed = self
            .change(&self.place.queries.record.update, &values)
            .await?;
        Ok(written(changed, loaded.wrapping_add(1)))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let end = Value::Number(to_millis(expires_at));
        let values = [end, end, bytes(key), Value::Number(now())];
        let changed = self
            .change(&self.place.queries.record.touch, &values)
            .await?;
        Ok(match changed {
            0 => Touch::Refused,
            _ => Touch::Moved,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.place
            .run(
                Kind::Write,
                &self.place.queries.record.delete,
                &[bytes(key)],
            )
            .await?;
        Ok(())
    }
}

impl<D: Dialect> SqlStore<D> {
    /// How many records `change` was made to.
    async fn change(&self, change: &Change, values: &[Value<'_>]) -> Result<u64> {
        if let Some(lean) = &change.lean {
            let changed = self.place.run(Kind::Write, lean, values).await?.changed;
            if changed > 0 {
                return Ok(changed);
            }
        }
        let answer = self.place.run(Kind::Write, &change.whole, values).await?;
        Ok(answer.changed)
    }
}

#[async_trait]
impl<D: Dialect> OwnerIndex for SqlStore<D> {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let values = [
            Value::Bytes(owner.as_str().as_bytes()),
            Value::Number(now()),
        ];
        let answer = self
            .place
            .run(Kind::Read, &self.place.queries.record.owned, &values)
            .await?;
        let named = |mut row: Row| {
            let key = String::from_utf8(std::mem::take(&mut row.store_key))
                .map_err(|error| Error::corrupt(error.utf8_error()))?;
            Ok((StoreKey::from_stored(key), row.loaded()?))
        };
        answer.rows.into_iter().map(named).collect()
    }
}

fn bytes(key: &StoreKey) -> Value<'_> {
    Value::Bytes(key.as_str().as_bytes())
}

fn owner(record: &Record) -> Value<'_> {
    Value::Owner(record.owner.as_ref().map(|owner| owner.as_str().as_bytes()))
}

fn written(changed: u64, revision: i64) -> Write {
    match changed {
        0 => Write::Refused,
        _ => Write::Stored(Revision::from(revision.cast_unsigned())),
    }
}

/// Where a record begins to count; at random, so that one that replaces it under the same key never repeats a number.
fn first_revision<D: Dialect>() -> Result<i64> {
    let random = getrandom::u64().map_err(|error| Error::backend(D::STORE, error))?;
    // Positive, and far from the end of what the column counts to.
    Ok((random >> 2).cast_signed())
}
