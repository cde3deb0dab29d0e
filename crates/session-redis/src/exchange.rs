use std::{sync::Arc, time::Duration};

use redis::{FromRedisValue, RedisError, RedisResult, Value, from_redis_value};
use session_core::{Error, Result};
use tokio::time::Instant;

use crate::{
    RedisStore,
    connection::Connection,
    failure::{Fault, failed_with, told, within},
    lane::Lane,
    script::Script,
};

// A slot that moves, or a node that was just promoted: the first try again is at once, since the driver asked for the map.
const DETOURS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(100),
];

/// Whether a command may be sent a second time when the connection broke before it was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    /// It changes nothing.
    Once,
    /// It changes something: unless the server said that it did not carry it out.
    Never,
}

impl RedisStore {
    /// Runs a script, and on a server that is full what it has for that case.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<T> {
        let count = keys.len().to_string();
        let mut words: Vec<&[u8]> = vec![b"EVALSHA", script.digest.as_bytes(), count.as_bytes()];
        words.extend(keys.iter().map(|key| key.as_bytes()));
        words.extend(args);
        let mut answer = self.exchange(&words, Resend::Never).await;
        if failed_with(&answer, "NOSCRIPT") {
            words[0] = b"EVAL";
            words[1] = script.text.as_bytes();
            answer = Box::pin(self.exchange(&words, Resend::Never)).await;
        }
        match script.when_full {
            Some(other) if failed_with(&answer, "OOM") => {
                Box::pin(self.run(other, keys, args)).await
            }
            _ => self.read_answer(answer),
        }
    }

    /// What the answer says, or the store's failure.
    pub(crate) fn read_answer<T: FromRedisValue>(&self, answer: RedisResult<Value>) -> Result<T> {
        let read = answer.and_then(|value| Ok(from_redis_value(value)?));
        read.map_err(|error| Error::backend("redis", told(&self.server.address, &error)))
    }

    /// The answer to a command that changes nothing.
    pub(crate) async fn read<T: FromRedisValue>(&self, words: &[&[u8]]) -> Result<T> {
        self.read_answer(self.exchange(words, Resend::Once).await)
    }

    /// Sends the command of these words and waits for its reply.
    pub(crate) async fn exchange(&self, words: &[&[u8]], resend: Resend) -> RedisResult<Value> {
        let lane = self.lanes.here(&self.server)?;
        let deadline = Instant::now() + self.server.connect_timeout + self.server.response_timeout;
        let failed = match lane.standing() {
            // This is nearly always all, and the connection keeps the time.
            Some(connection) => match connection.ask(words).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Some((connection, error)),
            },
            None => None,
        };
        // What is rare is not to make the future of every request larger.
        Box::pin(go_on(&lane, words, resend, deadline, failed)).await
    }
}

/// Connects, follows the key to where it went, sends again what may be sent again; `failed` was the first try.
async fn go_on(
    lane: &Arc<Lane>,
    words: &[&[u8]],
    mut resend: Resend,
    deadline: Instant,
    mut failed: Option<(Arc<Connection>, RedisError)>,
) -> RedisResult<Value> {
    let mut detours = DETOURS.iter();
    loop {
        if let Some((connection, error)) = failed {
            let fault = Fault::of(&error);
            match fault {
                // A new connection might well not change it.
                Fault::Demoted if connection.is_new() => {}
                Fault::Silent | Fault::Demoted => lane.suspect(&connection),
                // A cluster mends the connection to a single node by itself.
                Fault::Broken if lane.server.is_cluster() => {}
                Fault::Broken | Fault::Unreachable => lane.discard(&connection),
                Fault::Refused | Fault::Elsewhere => {}
            }
            match fault {
                Fault::Broken if resend == Resend::Once => resend = Resend::Never,
                Fault::Refused | Fault::Silent | Fault::Broken => return Err(error),
                Fault::Demoted | Fault::Unreachable | Fault::Elsewhere => match detours.next() {
                    Some(pause) if lane.server.is_cluster() => tokio::time::sleep(*pause).await,
                    _ => return Err(error),
                },
            }
        }
        let connection = within(deadline - Instant::now(), lane.connection()).await?;
        match within(deadline - Instant::now(), connection.ask(words)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = Some((connection, error)),
        }
    }
}
