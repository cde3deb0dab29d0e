use std::sync::Arc;

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo, TlsMode,
    cluster::ClusterClient,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use session_core::config::ConfigError;

use crate::server::Address;

pub(crate) const SETTING: &str = "SESSION_REDIS";
pub(crate) const DEFAULT: &str = "redis://127.0.0.1:6379/0";

/// Reads an address; what is wrong with it is said without repeating it, since it may hold a password.
pub(crate) fn parse(text: &str) -> Result<Address, ConfigError> {
    let text = text.trim();
    if let Some((scheme @ ("redis" | "rediss"), rest)) = text.split_once("+sentinel://") {
        return sentinel(scheme, rest);
    }
    let nodes = text.split(',').map(str::trim).filter(|url| !url.is_empty());
    let nodes = nodes.map(info).collect::<Result<Vec<_>, _>>()?;
    match nodes.as_slice() {
        [] => Err(shape()),
        [node] => {
            let client = Client::open(node.clone()).map_err(|_| shape())?;
            Ok(Address::Single(Box::new(client)))
        }
        _ => {
            let names = names(&nodes);
            Address::cluster(ClusterClient::builder(nodes), names).map_err(|_| {
            wrong("names a cluster, whose nodes must be redis:// or all rediss://, with one user, password and database 0")
        })
        }
    }
}

/// `[user[:password]@]host:port,host:port/name[/db]`; user and password are those of the servers behind the Sentinels.
fn sentinel(scheme: &str, rest: &str) -> Result<Address, ConfigError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, db) = path.split_once('/').unwrap_or((path, "0"));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    if name.is_empty() || hosts.is_empty() {
        return Err(wrong(
            "names Sentinels, and must be redis+sentinel://host:port,host:port/name-of-the-primary/db",
        ));
    }
    let node = info(format!("{scheme}://{user}localhost/{db}"))?;
    let sentinels = hosts
        .split(',')
        .map(|host| info(format!("{scheme}://{}", with_port(host))));
    let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
    let mut servers = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(node.redis_settings().clone());
    if scheme == "rediss" {
        servers = servers.set_tls_mode(TlsMode::Secure);
    }
    let name = name.to_owned();
    let names = names(&sentinels);
    let make = move || {
        SentinelClient::build(
            sentinels.clone(),
            &name,
            Some(servers.clone()),
            SentinelServerType::Master,
        )
    };
    Ok(Address::Sentinel(Arc::new(make), names))
}

/// Where they are, but not as whom.
fn names(nodes: &[ConnectionInfo]) -> String {
    let names = nodes.iter().map(|node| node.addr().to_string());
    names.collect::<Vec<_>>().join(",")
}

/// The Sentinels' own port is not the servers'.
fn with_port(host: &str) -> String {
    let after_address = host.rsplit(']').next().unwrap_or(host);
    if after_address.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:26379")
    }
}

fn info(url: impl IntoConnectionInfo) -> Result<ConnectionInfo, ConfigError> {
    url.into_connection_info().map_err(|_| shape())
}

fn shape() -> ConfigError {
    wrong(
        "must be redis://host:port/db, rediss://host:port/db, redis+unix:///path, several of the first two \
         separated by commas for a cluster, or redis+sentinel://host:port,host:port/name-of-the-primary/db",
    )
}

fn wrong(reason: &str) -> ConfigError {
    ConfigError::new(SETTING, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        format!("{:?}", parse(url).unwrap())
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(shown(DEFAULT), "127.0.0.1:6379/0");
        assert_eq!(shown(" redis://user:secret@host:7000/3 "), "host:7000/3");
        assert_eq!(shown("rediss://host"), "host:6379/0");
        assert_eq!(
            shown("redis+unix:///run/redis.sock?db=2"),
            "/run/redis.sock/2"
        );
        assert_eq!(
            shown("redis://:secret@a:1, redis://:secret@b:2"),
            "cluster(a:1,b:2)"
        );
        assert_eq!(
            shown("redis+sentinel://a:1,b:2/primary/1"),
            "sentinel(a:1,b:2)"
        );
        assert_eq!(
            shown("rediss+sentinel://u:p@a/primary"),
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
            let error = parse(bad).unwrap_err();
            assert_eq!(error.name(), SETTING);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        assert_eq!(with_port("a"), "a:26379");
        assert_eq!(with_port("a:1"), "a:1");
        assert_eq!(with_port("[::1]"), "[::1]:26379");
        assert_eq!(with_port("[::1]:1"), "[::1]:1");
    }
}
