use std::{io, sync::Arc, time::Duration};

use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use tokio::time::Instant;

use crate::{
    batch::Commands,
    connection::Connection,
    failure::{Fault, has_code},
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

/// Whether commands may be sent a second time when the connection broke before they were answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    Once,
    Never,
}

impl Lanes {
    /// Sends commands that change nothing; once more if the connection broke.
    pub(crate) async fn read<T: FromRedisValue>(&self, commands: Commands<'_>) -> RedisResult<T> {
        self.exchange(commands, Resend::Once).await
    }

    /// Sends commands that change something; never again, unless the server said that it did not carry them out.
    pub(crate) async fn write<T: FromRedisValue>(&self, commands: Commands<'_>) -> RedisResult<T> {
        self.exchange(commands, Resend::Never).await
    }

    /// Runs a script that answers with a number.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> RedisResult<i64> {
        match self.run_one(script, keys, args).await {
            Err(error) if has_code(&error, "OOM") => match script.when_full {
                Some(other) => Box::pin(self.run_one(other, keys, args)).await,
                None => Err(error),
            },
            answer => answer,
        }
    }

    async fn run_one(&self, script: &Script, keys: &[&str], args: &[&[u8]]) -> RedisResult<i64> {
        let by_digest = |commands: &mut Pipeline| script.by_digest(commands, keys, args);
        let (answer,) = match self.write(&by_digest).await {
            Err(error) if has_code(&error, "NOSCRIPT") => {
                let in_full = |commands: &mut Pipeline| script.in_full(commands, keys, args);
                Box::pin(self.write(&in_full)).await
            }
            answer => answer,
        }?;
        Ok(answer)
    }

    async fn exchange<T: FromRedisValue>(
        &self,
        commands: Commands<'_>,
        resend: Resend,
    ) -> RedisResult<T> {
        let lane = self.here()?;
        let deadline = Instant::now() + self.patience.connect + self.patience.response;
        let failed = match lane.standing() {
            // This is nearly always all, and the connection keeps the time.
            Some(connection) => match connection.ask(commands).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Some((connection, error)),
            },
            None => None,
        };
        // What is rare is not to make the future of every request larger.
        let rest = Self::go_on(&lane, commands, resend, deadline, failed);
        Box::pin(rest).await
    }

    /// Connects, follows the key to where it went, sends again what may be sent again; `failed` was the first try.
    async fn go_on<T: FromRedisValue>(
        lane: &Arc<Lane>,
        commands: Commands<'_>,
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
                    None => until(deadline, lane.connection()).await?,
                };
                match until(deadline, ask(&connection, commands)).await {
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

async fn ask<T: FromRedisValue>(connection: &Connection, commands: Commands<'_>) -> RedisResult<T> {
    match connection.ask(commands).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
            connection.ask_importer(commands, error).await
        }
        answer => answer,
    }
}

async fn until<T>(deadline: Instant, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(elapsed) => Err(io::Error::from(elapsed).into()),
    }
}
