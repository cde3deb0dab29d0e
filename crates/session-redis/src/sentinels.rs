//! Asks the Sentinels which server is the primary.

use std::{io, sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{Client, RedisResult, sentinel::SentinelClient};
use tokio::time::{Instant, timeout_at};

use crate::timeouts;

/// How long the others may take once one Sentinel has named a server. The first answer may be that
/// of one that is near, and cut off together with the old primary.
const AFTER_FIRST: Duration = timeouts::CONFIRMATION;

/// Makes a client of one Sentinel.
pub(crate) type NewClient = dyn Fn() -> RedisResult<SentinelClient> + Send + Sync;

/// A client for each Sentinel: one client of several waits for the first in its list, however long
/// that is silent.
#[derive(Clone)]
pub(crate) struct Sentinels(Arc<[Box<NewClient>]>);

impl Sentinels {
    pub(crate) fn new(clients: impl IntoIterator<Item = Box<NewClient>>) -> Self {
        Self(clients.into_iter().collect())
    }

    /// The primary that most Sentinels name, and its address. Asks all at once, and waits for no
    /// more than decide.
    ///
    /// One that is cut off together with the old primary names that one. It is not believed if
    /// others answer, and `current` is preferred if as many name each.
    pub(crate) async fn primary(
        &self,
        current: Option<&str>,
        limit: Duration,
    ) -> RedisResult<(Client, String)> {
        let clients = self.0.iter().map(|new_client| new_client());
        let mut asked: FuturesUnordered<_> = clients
            .map(async |client| client?.async_get_client().await)
            .collect();
        let mut named: Vec<(Client, String, usize)> = Vec::new();
        let mut failure = io::Error::from(io::ErrorKind::TimedOut).into();
        let mut end = Instant::now() + limit;
        while let Ok(Some(answer)) = timeout_at(end, asked.next()).await {
            let client = match answer {
                Ok(client) => client,
                Err(error) => {
                    failure = error;
                    continue;
                }
            };
            let address = client.get_connection_info().addr().to_string();
            let known = named.iter().position(|(_, it, _)| *it == address);
            let at = known.unwrap_or_else(|| {
                named.push((client, address, 0));
                named.len() - 1
            });
            let (_, _, count) = &mut named[at];
            *count += 1;
            if *count > self.0.len() / 2 {
                break;
            }
            end = end.min(Instant::now() + AFTER_FIRST);
        }
        let most = named
            .into_iter()
            .max_by_key(|(_, address, count)| (*count, Some(address.as_str()) == current));
        most.map(|(client, address, _)| (client, address))
            .ok_or(failure)
    }
}
