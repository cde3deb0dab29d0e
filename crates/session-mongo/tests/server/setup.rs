//! Helpers: a server with a collection for each test, stores, keys and records.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_core::{
    IndexEntry, KeyPrefix, OwnerIndex as _, OwnerKey, Record, Revision, SessionId, StoreKey, Write,
    conformance::Shared,
};
use session_mongo::{
    CollectionName, MongoStore,
    mongodb::{
        Client, Collection, Database,
        bson::{Document, doc},
        options::ClientOptions,
    },
};
use session_tests::Mongo;

/// The server of the tests that do not stop, freeze or configure it.
pub(crate) static SERVER: Shared<Mongo> = Shared::new();

/// A server, a collection that no other test uses, a store on it, and a client of the test's own.
pub(crate) struct Setup {
    pub(crate) server: Arc<Mongo>,
    pub(crate) store: MongoStore,
    pub(crate) client: Client,
    pub(crate) name: CollectionName,
}

impl Setup {
    /// On the server that tests share.
    pub(crate) async fn shared() -> Self {
        let server = SERVER.get_or_start(Mongo::start).await;
        let mut setup = Self::on(Arc::clone(&server)).await;
        setup.store = connect(&with_long_timeouts(&server), &setup.name).await;
        setup
    }

    /// On a server that no other test uses.
    pub(crate) async fn own_server() -> Self {
        Self::on(Mongo::start().await.into()).await
    }

    pub(crate) async fn on(server: Arc<Mongo>) -> Self {
        let name = CollectionName::new(&unique()).unwrap();
        let store = connect(&server.url(), &name).await;
        let client = Client::with_uri_str(server.url()).await.unwrap();
        Self {
            server,
            store,
            client,
            name,
        }
    }

    /// A store on the same collection, with a client whose options `change` changes.
    pub(crate) async fn store_with(
        &self,
        url: &str,
        change: impl FnOnce(&mut ClientOptions),
    ) -> MongoStore {
        let mut options = ClientOptions::parse(url).await.unwrap();
        change(&mut options);
        let client = Client::with_options(options).unwrap();
        MongoStore::new(client).with_collection(&self.name)
    }

    /// The collection itself, for access without the store.
    pub(crate) fn raw(&self) -> Collection<Document> {
        self.client
            .database("flask_session")
            .collection(self.name.as_str())
    }

    pub(crate) fn admin(&self) -> Database {
        self.client.database("admin")
    }

    pub(crate) async fn documents(&self) -> u64 {
        self.raw().count_documents(doc! {}).await.unwrap()
    }
}

pub(crate) async fn connect(url: &str, name: &CollectionName) -> MongoStore {
    MongoStore::connect(url)
        .await
        .unwrap()
        .with_collection(name)
}

/// For tests that are not about timeouts: a busy machine can delay the server for seconds.
pub(crate) fn with_long_timeouts(server: &Mongo) -> String {
    let limits = "serverSelectionTimeoutMS=20000&connectTimeoutMS=20000&heartbeatFrequencyMS=20000";
    format!("{}?{limits}", server.url())
}

/// A name or a value that no other test uses.
pub(crate) fn unique() -> String {
    SessionId::random(SessionId::MIN_BYTES).as_str().to_owned()
}

pub(crate) fn key() -> StoreKey {
    KeyPrefix::default().hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES))
}

pub(crate) fn owner() -> OwnerKey {
    KeyPrefix::default().owner_key(&unique())
}

/// A record that expires in an hour.
pub(crate) fn record(bytes: &[u8]) -> Record {
    record_for(bytes, Duration::from_secs(3600))
}

pub(crate) fn record_for(bytes: &[u8], lifetime: Duration) -> Record {
    Record {
        bytes: bytes.to_vec().into(),
        expires_at: SystemTime::now() + lifetime,
        entry: None,
    }
}

/// `record` with an entry in the index of `owner` that has the same time.
pub(crate) fn listed(record: Record, owner: &OwnerKey) -> Record {
    let entry = IndexEntry {
        provider_session: None,
        owner: owner.clone(),
        expires_at: record.expires_at,
    };
    Record {
        entry: Some(entry),
        ..record
    }
}

/// The keys in the index of `owner`.
pub(crate) async fn keys_of(store: &MongoStore, owner: &OwnerKey) -> Vec<StoreKey> {
    let page = store.owned_by(owner, None, 100).await.unwrap();
    assert!(page.next.is_none());
    page.records.into_iter().map(|it| it.key).collect()
}

#[track_caller]
pub(crate) fn stored(write: Write) -> Revision {
    match write {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("the write was refused"),
    }
}
