use std::time::Duration;

use redis::{ErrorKind, FromRedisValue, Pipeline, RedisResult, ServerErrorKind};

use crate::{
    failure::{Fault, has_code},
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
    pub(crate) async fn read<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        self.exchange(commands, Resend::Once).await
    }

    /// Sends commands that change something; never again, unless the server said that it did not carry them out.
    pub(crate) async fn write<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        self.exchange(commands, Resend::Never).await
    }

    /// Runs a script that answers with a number.
    pub(crate) async fn run(&self, script: &Script, key: &str, args: &[&[u8]]) -> RedisResult<i64> {
        let (answer,) = match self.write(&script.by_digest(key, args)).await {
            Err(error) if has_code(&error, "NOSCRIPT") => {
                self.write(&script.in_full(key, args)).await
            }
            answer => answer,
        }?;
        Ok(answer)
    }

    async fn exchange<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        resend: Resend,
    ) -> RedisResult<T> {
        let lane = self.here()?;
        let mut detours = DETOURS.iter();
        let mut resend = resend;
        loop {
            let mut connection = lane.connection().await?;
            let mut result = connection.ask(commands).await;
            if let Err(error) = result.as_ref()
                && error.kind() == ErrorKind::Server(ServerErrorKind::Ask)
            {
                let redirect = error.clone();
                result = connection.ask_importer(commands, redirect).await;
            }
            let Err(error) = result else {
                return result;
            };
            let fault = Fault::of(&error);
            match fault {
                Fault::Refused => return Err(error),
                Fault::Silent => {
                    lane.suspect(&connection);
                    return Err(error);
                }
                Fault::Demoted => lane.suspect_if_old(&connection),
                // A cluster mends the connection to a single node by itself.
                Fault::Broken if connection.is_cluster() => {}
                Fault::Broken | Fault::Unreachable => lane.discard(&connection),
                Fault::Elsewhere => {}
            }
            let again = match fault {
                Fault::Broken => std::mem::replace(&mut resend, Resend::Never) == Resend::Once,
                _ => connection.is_cluster(),
            };
            if !again {
                return Err(error);
            }
            if fault != Fault::Broken {
                match detours.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                }
            }
        }
    }
}
