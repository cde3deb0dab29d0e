//! Where the sessions are: one server, a cluster or Sentinels, parsed from an address.

use std::fmt;

#[cfg(feature = "cluster")]
use redis::cluster::ClusterClient;
use redis::{Client, ConnectionInfo, IntoConnectionInfo};
use session_core::config::ConfigError;

#[cfg(feature = "cluster")]
use crate::cluster;
#[cfg(feature = "sentinel")]
use crate::sentinels::{self, Sentinels};
use crate::settings;

#[derive(Clone)]
pub(crate) enum Address {
    Single(Box<Client>),
    /// The client, and the nodes for `Debug`. They are empty if the client was made elsewhere.
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterClient>, String),
    /// The Sentinels. The text is for `Debug`, as above.
    #[cfg(feature = "sentinel")]
    Sentinel(Sentinels, String),
}

impl Address {
    /// Parses an address. The error does not repeat it, because it may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        match text.split_once("+sentinel://") {
            #[cfg(feature = "sentinel")]
            Some((scheme @ ("redis" | "rediss"), rest)) => return sentinels::address(scheme, rest),
            #[cfg(not(feature = "sentinel"))]
            Some(("redis" | "rediss", _)) => {
                return Err(not_compiled_in("names Sentinels", "sentinel"));
            }
            _ => {}
        }
        let nodes = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        let nodes = nodes.map(parse_url).collect::<Result<Vec<_>, _>>()?;
        match nodes.as_slice() {
            [] => Err(invalid_form()),
            [node] => {
                let client = Client::open(node.clone()).map_err(|_| invalid_form())?;
                Ok(Self::Single(Box::new(client)))
            }
            #[cfg(feature = "cluster")]
            _ => cluster::address(nodes),
            #[cfg(not(feature = "cluster"))]
            _ => Err(not_compiled_in("names a cluster", "cluster")),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            Self::Single(_) => false,
            #[cfg(feature = "cluster")]
            Self::Cluster(..) => true,
            #[cfg(feature = "sentinel")]
            Self::Sentinel(..) => false,
        }
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
            #[cfg(feature = "cluster")]
            Self::Cluster(_, names) => write!(f, "cluster({names})"),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(_, names) => write!(f, "sentinel({names})"),
        }
    }
}

/// The hosts and ports, separated by commas.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) fn names(nodes: &[ConnectionInfo]) -> String {
    let names = nodes.iter().map(|node| node.addr().to_string());
    names.collect::<Vec<_>>().join(",")
}

pub(crate) fn parse_url(url: &str) -> Result<ConnectionInfo, ConfigError> {
    url.into_connection_info().map_err(|_| {
        if url.starts_with("rediss:") && !cfg!(feature = "tls") {
            not_compiled_in("names a server over TLS", "tls")
        } else {
            invalid_form()
        }
    })
}

/// The error of an address that needs a Cargo feature which is not enabled.
fn not_compiled_in(what: &str, feature: &str) -> ConfigError {
    invalid(&format!(
        "{what}, which is not compiled in: enable the Cargo feature \"{feature}\""
    ))
}

fn invalid_form() -> ConfigError {
    invalid(
        "must be redis://host:port/db, rediss://host:port/db, redis+unix:///path, several of the \
         first two separated by commas for a cluster, or \
         redis+sentinel://host:port,host:port/name-of-the-primary/db",
    )
}

pub(crate) fn invalid(reason: &str) -> ConfigError {
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
        assert_eq!(
            debug("redis+unix:///run/redis.sock?db=2"),
            "/run/redis.sock/2"
        );
    }

    #[cfg(feature = "tls")]
    #[test]
    fn servers_over_tls_are_parsed() {
        assert_eq!(debug("rediss://host"), "host:6379/0");
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn clusters_are_parsed() {
        assert_eq!(
            debug("redis://:secret@a:1, redis://:secret@b:2"),
            "cluster(a:1,b:2)"
        );
    }

    #[cfg(all(feature = "sentinel", feature = "tls"))]
    #[test]
    fn sentinels_are_parsed() {
        assert_eq!(
            debug("redis+sentinel://a:1,b:2/primary/1"),
            "sentinel(a:1,b:2)"
        );
        assert_eq!(
            debug("rediss+sentinel://u:p@a/primary"),
            "sentinel(a:26379)"
        );
    }

    /// `cargo test -p session-redis --lib` enables none of the features.
    #[test]
    fn an_address_whose_feature_is_not_enabled_names_it() {
        for (is_enabled, feature, urls) in [
            (
                cfg!(feature = "tls"),
                "tls",
                &[
                    "rediss://:secret@a",
                    "rediss://:secret@a,rediss://:secret@b",
                ][..],
            ),
            (
                cfg!(feature = "cluster"),
                "cluster",
                &["redis://:secret@a,redis://:secret@b"],
            ),
            (
                cfg!(feature = "sentinel"),
                "sentinel",
                &[
                    "redis+sentinel://:secret@a/primary",
                    "rediss+sentinel://:secret@a/primary",
                ],
            ),
        ] {
            for url in urls.iter().filter(|_| !is_enabled) {
                let error = Address::parse(url).unwrap_err().to_string();
                let advice = format!("enable the Cargo feature \"{feature}\"");
                assert!(error.starts_with(settings::ADDRESS), "{error}");
                assert!(error.ends_with(&advice), "{error}");
                assert!(!error.contains("secret"), "{error}");
            }
        }
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
}
