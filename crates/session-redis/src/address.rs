//! Where the sessions are: one server, a cluster or Sentinels, parsed from an address.

use std::fmt;

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult, TlsMode,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use session_core::config::ConfigError;

use crate::{
    sentinels::{NewClient, Sentinels},
    settings,
};

#[derive(Clone)]
pub(crate) enum Address {
    Single(Box<Client>),
    /// The client, and the nodes for `Debug`. They are empty if the client was made elsewhere.
    Cluster(Box<ClusterClient>, String),
    /// The Sentinels. The text is for `Debug`, as above.
    Sentinel(Sentinels, String),
}

impl Address {
    /// Parses an address. The error does not repeat it, because it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        if let Some((scheme @ ("redis" | "rediss"), rest)) = text.split_once("+sentinel://") {
            return parse_sentinel(scheme, rest);
        }
        let nodes = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        let nodes = nodes.map(parse_url).collect::<Result<Vec<_>, _>>()?;
        match nodes.as_slice() {
            [] => Err(invalid_form()),
            [node] => {
                let client = Client::open(node.clone()).map_err(|_| invalid_form())?;
                Ok(Self::Single(Box::new(client)))
            }
            _ => {
                let names = names(&nodes);
                Self::cluster(ClusterClient::builder(nodes), names).map_err(|_| {
                    invalid(
                        "names a cluster: all nodes must be redis:// or all rediss://, with the \
                         same user and password and with database 0",
                    )
                })
            }
        }
    }

    /// Turns the driver's retries off, because the driver cannot tell a read from a
    /// compare-and-set.
    pub(crate) fn cluster(nodes: ClusterClientBuilder, names: String) -> RedisResult<Self> {
        let client = nodes
            .retries(0)
            .overall_response_timeout(None)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .use_protocol(ProtocolVersion::RESP3)
            .build()?;
        Ok(Self::Cluster(Box::new(client), names))
    }
}

impl fmt::Debug for Address {
    /// Shows hosts and ports, but no user and no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(client) => {
                let info = client.get_connection_info();
                write!(f, "{}/{}", info.addr(), info.redis_settings().db())
            }
            Self::Cluster(_, names) => write!(f, "cluster({names})"),
            Self::Sentinel(_, names) => write!(f, "sentinel({names})"),
        }
    }
}

/// Parses `[user[:password]@]host:port,host:port/name[/db]`. The user and the password are those of
/// the servers, not of the Sentinels.
fn parse_sentinel(scheme: &str, rest: &str) -> Result<Address, ConfigError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, db) = path.split_once('/').unwrap_or((path, "0"));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    if name.is_empty() || hosts.is_empty() {
        return Err(invalid(
            "names Sentinels: it must be \
             redis+sentinel://host:port,host:port/name-of-the-primary/db",
        ));
    }
    let node = parse_url(format!("{scheme}://{user}localhost/{db}"))?;
    let sentinels = hosts.split(',').map(with_port);
    let sentinels = sentinels.map(|host| parse_url(format!("{scheme}://{host}")));
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
            SentinelClient::build(sentinel, &name, servers, SentinelServerType::Master)
        };
        Box::new(new_client) as Box<NewClient>
    });
    Ok(Address::Sentinel(Sentinels::new(clients), names))
}

/// The hosts and ports, separated by commas.
fn names(nodes: &[ConnectionInfo]) -> String {
    let names = nodes.iter().map(|node| node.addr().to_string());
    names.collect::<Vec<_>>().join(",")
}

/// Adds the Sentinels' default port, which is not that of the servers.
fn with_port(host: &str) -> String {
    // An IPv6 address has colons too, but in brackets.
    let has_port = host.rsplit(']').next().is_some_and(|it| it.contains(':'));
    let port = if has_port { "" } else { ":26379" };
    format!("{host}{port}")
}

fn parse_url(url: impl IntoConnectionInfo) -> Result<ConnectionInfo, ConfigError> {
    url.into_connection_info().map_err(|_| invalid_form())
}

fn invalid_form() -> ConfigError {
    invalid(
        "must be redis://host:port/db, rediss://host:port/db, redis+unix:///path, several of the \
         first two separated by commas for a cluster, or \
         redis+sentinel://host:port,host:port/name-of-the-primary/db",
    )
}

fn invalid(reason: &str) -> ConfigError {
    ConfigError::new(settings::ADDRESS, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debug(url: &str) -> String {
        format!("{:?}", Address::parse(url).unwrap())
    }

    #[test]
    fn every_form_is_parsed() {
        assert_eq!(debug(settings::DEFAULT_ADDRESS), "127.0.0.1:6379/0");
        assert_eq!(debug(" redis://user:secret@host:7000/3 "), "host:7000/3");
        assert_eq!(debug("rediss://host"), "host:6379/0");
        assert_eq!(
            debug("redis+unix:///run/redis.sock?db=2"),
            "/run/redis.sock/2"
        );
        assert_eq!(
            debug("redis://:secret@a:1, redis://:secret@b:2"),
            "cluster(a:1,b:2)"
        );
        assert_eq!(
            debug("redis+sentinel://a:1,b:2/primary/1"),
            "sentinel(a:1,b:2)"
        );
        assert_eq!(
            debug("rediss+sentinel://u:p@a/primary"),
            "sentinel(a:26379)"
        );
    }

    #[test]
    fn the_address_may_hold_a_password_and_is_not_repeated() {
        for bad in [
            "",
            "http://secret@host",
            "redis://secret@host/db",
            "redis://:secret@a,redis+unix:///b",
            "redis+sentinel://:secret@a:1",
            "redis+sentinel://:secret@a:1/primary/x",
            "redis+sentinel:///primary",
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert_eq!(error.name(), settings::ADDRESS);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn sentinels_have_a_default_port_of_their_own() {
        assert_eq!(with_port("a"), "a:26379");
        assert_eq!(with_port("a:1"), "a:1");
        assert_eq!(with_port("[::1]"), "[::1]:26379");
        assert_eq!(with_port("[::1]:1"), "[::1]:1");
    }
}
