//! The list of memcached nodes, and which of them stores a key.

use std::{fmt, str::FromStr};

use session_core::config::ConfigError;

use crate::settings;

const DEFAULT_PORT: u16 = 11211;

/// The memcached nodes that store the sessions, parsed from a comma-separated list of `host:port`.
/// The default port is 11211.
///
/// Each key is stored on one node. Rendezvous hashing over the addresses as written chooses the
/// node. The order of the addresses does not matter. Adding a node moves only the keys that it
/// gains; removing one moves only the keys that it had. All processes must use the same addresses
/// in the same spelling. The hash function belongs to this crate and does not change between
/// versions.
#[derive(Clone, PartialEq, Eq)]
pub struct Nodes(Box<[Node]>);

#[derive(Clone, PartialEq, Eq)]
struct Node {
    address: Box<str>,
    hash: u64,
}

impl Nodes {
    /// The addresses, as `host:port`.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|node| &*node.address)
    }

    /// The index of the node that stores the key with this [`hash`].
    pub(crate) fn index_of(&self, key_hash: u64) -> usize {
        (0..self.0.len())
            .max_by_key(|&index| mix(key_hash ^ self.0[index].hash))
            .expect("parsing refuses an empty list")
    }
}

impl FromStr for Nodes {
    type Err = ConfigError;

    fn from_str(list: &str) -> Result<Self, ConfigError> {
        let mut nodes: Vec<Node> = Vec::new();
        for text in list.split(',').map(str::trim) {
            let address = address(text)?;
            let hash = hash(address.as_bytes());
            if nodes.iter().any(|node| node.address == address) {
                return Err(ConfigError::new(
                    settings::NODES,
                    "names a node twice: each node must be listed once",
                ));
            }
            nodes.push(Node { address, hash });
        }
        Ok(Self(nodes.into()))
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

fn address(text: &str) -> Result<Box<str>, ConfigError> {
    let (host, port) = match text.rsplit_once(':') {
        // Colons inside brackets belong to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port != 0))
        }
        _ => (text, Some(DEFAULT_PORT)),
    };
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or_default(),
        None if host.contains(':') => "",
        None => host,
    };
    let legal = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    match port {
        Some(port) if legal => Ok(format!("{host}:{port}").into()),
        _ => Err(ConfigError::new(
            settings::NODES,
            "must be a comma-separated list of host:port, with IPv6 addresses in brackets",
        )),
    }
}

/// FNV-1a. The standard library's hasher may change between versions of Rust; this one does not.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of `SplitMix64`. FNV alone would send similar keys to the same node.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(list: &str) -> Nodes {
        list.parse().unwrap()
    }

    fn node_of<'a>(nodes: &'a Nodes, key: &str) -> &'a str {
        let index = nodes.index_of(hash(key.as_bytes()));
        nodes.addresses().nth(index).unwrap()
    }

    #[test]
    fn addresses_are_parsed_as_host_and_port() {
        let list = nodes("cache, 10.0.0.1:1 ,[::1]:2,[::1]");
        let addresses: Vec<_> = list.addresses().collect();
        assert_eq!(
            addresses,
            ["cache:11211", "10.0.0.1:1", "[::1]:2", "[::1]:11211"]
        );
        for bad in [
            "",
            ",",
            "a,",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "::1",
            "::1:2",
            "[]:1",
            "[::1:2",
            "a b:1",
            "a:1,a:1",
            "a,a:11211",
            "memcached://a:1",
        ] {
            assert!(bad.parse::<Nodes>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let (one, other) = (nodes("a:1,b:1,c:1"), nodes("c:1,a:1,b:1"));
        for key in (0..1000).map(|n| format!("session:{n}")) {
            assert_eq!(node_of(&one, &key), node_of(&other, &key));
        }
    }

    #[test]
    fn removing_a_node_moves_only_its_own_keys_and_all_nodes_get_a_share() {
        let (three, two) = (nodes("a:1,b:1,c:1"), nodes("a:1,c:1"));
        let mut shares = std::collections::BTreeMap::new();
        for key in (0..3000).map(|n| format!("session:{n}")) {
            let before = node_of(&three, &key);
            *shares.entry(before).or_insert(0) += 1;
            if before != "b:1" {
                assert_eq!(node_of(&two, &key), before);
            }
        }
        assert!(
            shares.len() == 3 && shares.values().all(|n| (850..1150).contains(n)),
            "{shares:?}"
        );
    }

    /// If a key moved, an upgrade would log every user out.
    #[test]
    fn keys_stay_on_their_nodes_from_version_to_version() {
        let list = nodes("10.0.0.1:11211,10.0.0.2:11211,10.0.0.3:11211");
        let nodes_of_keys: String = (0..16)
            .map(|n| char::from(node_of(&list, &format!("session:{n}")).as_bytes()[7]))
            .collect();
        assert_eq!(nodes_of_keys, "1213232213113213");
    }
}
