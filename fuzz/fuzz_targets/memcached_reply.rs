//! Any reply of a memcached node is understood or is an error, and is never taken for another
//! reply.
//!
//! The bytes are the answer to the first command on each connection; then the node hangs up. Memory
//! is not limited: the driver reserves up to 1 GiB for a value of whose length it is told.

#![no_main]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use libfuzzer_sys::fuzz_target;
use session_core::{Bytes, KeyPrefix, Record, SessionId, SessionStore, StoreKey, Write};
use session_memcached::MemcachedStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

/// The number that an update compares.
const CAS: u64 = 7;

/// The second is no answer to a write, but the driver takes it for one.
const STORED: [&[u8]; 2] = [b"HD", b"VA"];
const REFUSED: [&[u8]; 3] = [b"NS", b"EX", b"NF"];

struct Case {
    runtime: Runtime,
    store: MemcachedStore,
    key: StoreKey,
    answer: Arc<Mutex<Vec<u8>>>,
}

thread_local! {
    static CASE: Case = case();
}

fn case() -> Case {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = Arc::<Mutex<Vec<u8>>>::default();
    let (id, given) = (SessionId::random(SessionId::DEFAULT_BYTES), answer.clone());
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = given.lock().expect("nobody panics with the lock").clone();
            tokio::spawn(serve(stream, answer));
        }
    });
    Case {
        runtime,
        store: MemcachedStore::connect(&address)
            .expect("an address")
            .with_timeout(Duration::from_secs(5)),
        key: KeyPrefix::default().hashed_key(&id),
        answer,
    }
}

async fn serve(mut stream: TcpStream, answer: Vec<u8>) {
    let mut command = [0; 1024];
    if stream.read(&mut command).await.is_ok_and(|read| read > 0) {
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

fuzz_target!(|bytes: &[u8]| {
    CASE.with(|case| case.check(bytes));
});

impl Case {
    fn check(&self, bytes: &[u8]) {
        bytes.clone_into(&mut self.answer.lock().expect("nobody panics with the lock"));
        let (store, key) = (&self.store, &self.key);
        let record = Record {
            bytes: Bytes::from_static(b"\xc1 a record"),
            expires_at: SystemTime::now() + Duration::from_mins(1),
            entry: None,
        };
        let code = bytes
            .split(|byte| b" \r\n".contains(byte))
            .find(|it| !it.is_empty());
        let code = code.unwrap_or_default();
        self.runtime.block_on(async {
            match store.load(key).await {
                Ok(Some(loaded)) => {
                    assert_eq!(code, b"VA");
                    let held = &loaded.bytes[..];
                    assert!(
                        bytes
                            .windows(held.len().max(1))
                            .any(|it| it.starts_with(held))
                    );
                    assert_ne!(loaded.revision.as_u64(), Some(0));
                }
                Ok(None) => assert_eq!(code, b"EN"),
                Err(_) => {}
            }
            let writes = [
                store.insert(key, &record).await,
                store.update(key, &record, &CAS.into()).await,
            ];
            for write in writes {
                match write {
                    Ok(Write::Stored(_)) => assert!(STORED.contains(&code)),
                    Ok(Write::Refused) => assert!(REFUSED.contains(&code)),
                    Err(_) => {}
                }
            }
            if store.delete(key).await.is_ok() {
                assert!(STORED.contains(&code) || REFUSED.contains(&code));
            }
        });
    }
}
