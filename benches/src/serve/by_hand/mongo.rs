//! MongoDB by hand: the session is a part of its document, `find`, and `replaceOne` for a change.

use actix_web::{Error, error::ErrorInternalServerError, rt};
use mongodb::{
    Client, Collection,
    bson::{DateTime, doc},
};
use serde::{Deserialize, Serialize};

use super::{Session, Store, serve};
use crate::{Result, serve::LIFETIME};

#[derive(Serialize, Deserialize)]
struct Stored<S> {
    _id: String,
    /// Of an index that removes what has expired.
    expires_at: DateTime,
    session: S,
}

struct Mongo(Collection<Stored<Session>>);

impl Store for Mongo {
    type Version = ();

    async fn load(&self, key: &str) -> Result<(Session, ()), Error> {
        let found = self.0.find_one(doc! { "_id": key }).await;
        let found = found.map_err(ErrorInternalServerError)?;
        let stored = found.ok_or_else(|| ErrorInternalServerError("no session"))?;
        Ok((stored.session, ()))
    }

    async fn store(&self, key: &str, session: &Session, version: Option<()>) -> Result<(), Error> {
        let expires_at =
            DateTime::now().timestamp_millis() + 1000 * LIFETIME.as_secs().cast_signed();
        let stored = Stored {
            _id: key.to_owned(),
            expires_at: DateTime::from_millis(expires_at),
            session,
        };
        let sessions = self.0.clone_with_type::<Stored<&Session>>();
        let write = if version.is_none() {
            sessions.insert_one(stored).await.map(drop)
        } else {
            let replace = sessions.replace_one(doc! { "_id": key }, stored);
            replace.await.map(drop)
        };
        write.map_err(ErrorInternalServerError)
    }
}

pub(in crate::serve) fn mongo(url: &str) -> Result<()> {
    // The driver's tasks live as long as the runtime that the client was made on.
    rt::System::new().block_on(async {
        let client = Client::with_uri_str(url).await?;
        let database = client.database("by_hand");
        serve(move || Mongo(database.collection("sessions")))?.await
    })
}
