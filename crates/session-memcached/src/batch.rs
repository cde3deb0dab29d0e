//! Sends reads that arrive at the same time in one round trip.

use std::sync::Arc;

use session_core::StoreKey;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::CallError,
    node_client::{Item, NodeClient},
};

/// How many reads one round trip carries at most.
const MAX_READS: usize = 64;
/// How many reads may wait before further callers wait to join them.
const QUEUE: usize = 1024;

type ReadResult = Result<Option<Item>, CallError>;

/// The reads from one node on one runtime. Reads that arrive while a round trip is under way share
/// the next one.
///
/// A read whose caller was dropped is not sent. If it was sent already, its answer is discarded.
pub(crate) struct Batch {
    reads: mpsc::Sender<Read>,
    client: Arc<NodeClient>,
}

struct Read {
    key: StoreKey,
    reply: oneshot::Sender<ReadResult>,
}

impl Batch {
    /// Spawns the task that sends the reads on the current runtime. It ends when the batch is
    /// dropped.
    pub(crate) fn spawn(client: Arc<NodeClient>) -> Self {
        let (sender, reads) = mpsc::channel(QUEUE);
        tokio::spawn(send_reads(Arc::clone(&client), reads));
        Self {
            reads: sender,
            client,
        }
    }

    /// Whether the runtime that runs the task was shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.reads.is_closed()
    }

    pub(crate) async fn get(&self, key: &StoreKey) -> ReadResult {
        let call = async {
            let (reply, result) = oneshot::channel();
            let key = key.clone();
            self.reads
                .send(Read { key, reply })
                .await
                .map_err(|_| CallError::RuntimeClosed)?;
            result.await.map_err(|_| CallError::RuntimeClosed)?
        };
        match tokio::time::timeout(self.client.timeout(), call).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout),
        }
    }
}

async fn send_reads(client: Arc<NodeClient>, mut reads: mpsc::Receiver<Read>) {
    let mut batch = Vec::with_capacity(MAX_READS);
    while reads.recv_many(&mut batch, MAX_READS).await > 0 {
        batch.retain(|read: &Read| !read.reply.is_closed());
        let keys: Vec<_> = batch.iter().map(|read| read.key.as_str()).collect();
        let results = client.get(&keys).await;
        for (read, result) in batch.drain(..).zip(results) {
            // It fails if the caller was dropped meanwhile.
            let _ = read.reply.send(result);
        }
    }
}
