use std::{sync::Arc, time::Duration};

use redis::{ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind};
use tokio::time::Instant;

use crate::{
    batch::Command,
    connection::Connection,
    failure::{Fault, failed_with, within},
    lane::Lane,
    lanes::Lanes,
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

impl Lanes {
    /// Runs a script, and on a server that is full what it has for that case.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> RedisResult<T> {
        let by_digest = || script.by_digest(keys, args);
        let mut answer = self.exchange(&by_digest, Resend::Never).await;
        if failed_with(&answer, "NOSCRIPT") {
            let in_full = || script.in_full(keys, args);
            answer = Box::pin(self.exchange(&in_full, Resend::Never)).await;
        }
        match script.when_full {
            Some(other) if failed_with(&answer, "OOM") => {
                Box::pin(self.run(other, keys, args)).await
            }
            _ => answer,
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) async fn exchange<T: FromRedisValue>(
        &self,
        command: Command<'_>,
        resend: Resend,
    ) -> RedisResult<T> {
        let lane = self.here()?;
        let deadline = Instant::now() + self.patience.connect + self.patience.response;
        let failed = match lane.standing() {
            // This is nearly always all, and the connection keeps the time.
            Some(connection) => match connection.ask(command).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Some((connection, error)),
            },
            None => None,
        };
        // What is rare is not to make the future of every request larger.
        let rest = Self::go_on(&lane, command, resend, deadline, failed);
        Box::pin(rest).await
    }

    /// Connects, follows the key to where it went, sends again what may be sent again; `failed` was the first try.
    async fn go_on<T: FromRedisValue>(
        lane: &Arc<Lane>,
        command: Command<'_>,
        mut resend: Resend,
        deadline: Instant,
        mut failed: Option<(Arc<Connection>, RedisError)>,
    ) -> RedisResult<T> {
        let mut detours = DETOURS.iter();
        loop {
            let (connection, error) = if let Some(failed) = failed.take() {
                failed
            } else {
                let connection = match lane.standing() {
                    Some(connection) => connection,
                    None => within(deadline - Instant::now(), lane.connection()).await?,
                };
                match within(deadline - Instant::now(), ask(&connection, command)).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (connection, error),
                }
            };
            let fault = Fault::of(&error);
            match fault {
                Fault::Silent => lane.suspect(&connection),
                Fault::Demoted => lane.suspect_if_old(&connection),
                // A cluster mends the connection to a single node by itself.
                Fault::Broken if connection.is_cluster() => {}
                Fault::Broken | Fault::Unreachable => lane.discard(&connection),
                Fault::Refused | Fault::Elsewhere => {}
            }
            match fault {
                Fault::Broken if resend == Resend::Once => resend = Resend::Never,
                Fault::Refused | Fault::Silent | Fault::Broken => return Err(error),
                Fault::Demoted | Fault::Unreachable | Fault::Elsewhere => match detours.next() {
                    Some(pause) if connection.is_cluster() => tokio::time::sleep(*pause).await,
                    _ => return Err(error),
                },
            }
        }
    }
}

async fn ask<T: FromRedisValue>(connection: &Connection, command: Command<'_>) -> RedisResult<T> {
    match connection.ask(command).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
            connection.ask_importer(command, error).await
        }
        answer => answer,
    }
}
