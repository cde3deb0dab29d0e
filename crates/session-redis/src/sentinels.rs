//! Asks the Sentinels which server is the primary, and connects to it.

use std::{io, sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{
    Client, RedisResult, TlsMode,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use session_core::config::ConfigError;
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "tls")]
use crate::tls;
use crate::{
    address::{Address, invalid, names, parse_url},
    connection::Connection,
    server::Server,
    timeouts,
};

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

impl Server {
    /// Opens a connection to the primary that the Sentinels name. Returns `current` if it leads
    /// there, or if they name none.
    pub(crate) async fn open_primary(
        &self,
        sentinels: &Sentinels,
        current: Option<Arc<Connection>>,
    ) -> RedisResult<Arc<Connection>> {
        #[cfg(feature = "tls")]
        tls::install_default_provider();
        let limit = match &current {
            Some(_) => timeouts::CONFIRMATION,
            None => timeouts::DISCOVERY,
        };
        let known = current.as_ref().and_then(|it| it.primary());
        let (client, address) = match sentinels.primary(known, limit).await {
            Ok(named) => named,
            Err(error) => return self.keep(current).ok_or(error),
        };
        self.primary.named(&address);
        if let Some(current) = current.filter(|it| it.primary() == Some(&address)) {
            return Ok(current);
        }
        let kind = self.open_single(&client).await?;
        Ok(Arc::new(Connection::to_primary(kind, address)))
    }

    /// The connection, if the Sentinels named its server last. They may be out of reach while the
    /// server works.
    fn keep(&self, current: Option<Arc<Connection>>) -> Option<Arc<Connection>> {
        current.filter(|it| it.primary().is_some_and(|it| self.primary.not_named(it)))
    }
}

/// Parses `[user[:password]@]host:port,host:port/name[/db]`. The user and the password are those of
/// the servers, not of the Sentinels.
pub(crate) fn address(scheme: &str, rest: &str) -> Result<Address, ConfigError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, db) = path.split_once('/').unwrap_or((path, "0"));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    if name.is_empty() || hosts.is_empty() {
        return Err(invalid(
            "names Sentinels: it must be \
             redis+sentinel://host:port,host:port/name-of-the-primary/db",
        ));
    }
    let node = parse_url(&format!("{scheme}://{user}localhost/{db}"))?;
    let sentinels = hosts.split(',').map(with_port);
    let sentinels = sentinels.map(|host| parse_url(&format!("{scheme}://{host}")));
    let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
    let mut servers = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(node.redis_settings().clone());
    if scheme == "rediss" {
        servers = servers.set_tls_mode(TlsMode::Secure);
    }
    let names = names(&sentinels);
    let name = name.to_owned();
    let clients = sentinels.into_iter().map(|sentinel| {
        let (name, servers) = (name.clone(), servers.clone());
        let new_client = move || {
            let (sentinel, servers) = (vec![sentinel.clone()], Some(servers.clone()));
            // Without TLS the driver takes no other text than a `String`.
            let name = name.clone();
            SentinelClient::build(sentinel, name, servers, SentinelServerType::Master)
        };
        Box::new(new_client) as Box<NewClient>
    });
    Ok(Address::Sentinel(Sentinels::new(clients), names))
}

/// Adds the Sentinels' default port, which is not that of the servers.
fn with_port(host: &str) -> String {
    // An IPv6 address has colons too, but in brackets.
    let has_port = host.rsplit(']').next().is_some_and(|it| it.contains(':'));
    let port = if has_port { "" } else { ":26379" };
    format!("{host}{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_have_a_default_port_of_their_own() {
        assert_eq!(with_port("a"), "a:26379");
        assert_eq!(with_port("a:1"), "a:1");
        assert_eq!(with_port("[::1]"), "[::1]:26379");
        assert_eq!(with_port("[::1]:1"), "[::1]:1");
    }
}
