use std::sync::Arc;

use session_core::StoreKey;
use tokio::sync::{mpsc, oneshot};

use crate::{
    driver::{Client, Item},
    failure::Failure,
};

/// Reads that travel together at most.
const BATCH: usize = 64;
const QUEUE: usize = 1024;

type Answer = Result<Option<Item>, Failure>;

/// The reads of one runtime from one node: those that arrive while a round trip is under way share the next one.
///
/// A read that nobody waits for any more is not sent; an answer that nobody waits for any more is dropped.
pub(crate) struct Lane {
    reads: mpsc::Sender<Read>,
    client: Arc<Client>,
}

struct Read {
    key: StoreKey,
    answer: oneshot::Sender<Answer>,
}

impl Lane {
    /// Starts a task on the current runtime, which ends with the lane.
    pub(crate) fn start(client: Arc<Client>) -> Self {
        let (sender, reads) = mpsc::channel(QUEUE);
        tokio::spawn(serve(Arc::clone(&client), reads));
        Self {
            reads: sender,
            client,
        }
    }

    /// Whether the runtime that it was started on is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.reads.is_closed()
    }

    pub(crate) async fn get(&self, key: &StoreKey) -> Answer {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            let key = key.clone();
            let closed = |_| Failure::Closed;
            self.reads
                .send(Read { key, answer })
                .await
                .map_err(|_| Failure::Closed)?;
            answered.await.map_err(closed)?
        };
        match tokio::time::timeout(self.client.timeout(), asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout),
        }
    }
}

async fn serve(client: Arc<Client>, mut reads: mpsc::Receiver<Read>) {
    let mut batch = Vec::with_capacity(BATCH);
    while reads.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|read: &Read| !read.answer.is_closed());
        let keys: Vec<_> = batch.iter().map(|read| read.key.as_str()).collect();
        let answers = client.get(&keys).await;
        for (read, answer) in batch.drain(..).zip(answers) {
            // Nobody waits for it any more.
            let _ = read.answer.send(answer);
        }
    }
}
