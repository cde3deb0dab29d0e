//! All records of a server, or of each node of a cluster: `Scan` for `RedisStore`.

use redis::{FromRedisValue, Value};
use session_core::{Cursor, Error, KeyPrefix, Page, Result, Scan, async_trait};

use crate::RedisStore;

/// How many keys of the server one command reads: at least and at most. A thousand take it about a
/// quarter of a millisecond.
const KEYS: std::ops::RangeInclusive<usize> = 10..=1000;

/// How many commands a page sends, if the keys that they read have other prefixes.
const MAX_COMMANDS: usize = 16;

/// A primary: its name, and one of its slots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) name: String,
    slot: u16,
}

#[async_trait]
impl Scan for RedisStore {
    /// On a cluster, one node after the other. If slots move to another node meanwhile, their
    /// records may be missing: scan again when the cluster is stable.
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let nodes = self.nodes().await?;
        let (mut number, mut position) = place(&nodes, cursor)?;
        let count = limit.clamp(*KEYS.start(), *KEYS.end()).to_string();
        let pattern = pattern(prefix);
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..MAX_COMMANDS {
            let (at, pattern, count) = (position.as_bytes(), pattern.as_bytes(), count.as_bytes());
            let scan = [
                b"SCAN", at, b"MATCH", pattern, b"COUNT", count, b"TYPE", b"string",
            ];
            let (next, found): (String, Vec<Vec<u8>>) = self.read_on(&nodes[number], &scan).await?;
            // A key of somebody else's need not be text.
            let found = found
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok());
            keys.extend(found.filter(|key| prefix.is_of_record(key)));
            position = next;
            if position == "0" {
                number += 1;
            }
            if keys.len() >= limit || number == nodes.len() {
                break;
            }
        }
        let node = nodes.get(number);
        Ok(Page {
            records: self.heads(&keys).await?,
            next: node.map(|node| Cursor::new(format!("{position} {}", node.name))),
        })
    }
}

impl RedisStore {
    /// The primaries of a cluster, in the order of their names. One without a name if there is no
    /// cluster.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>> {
        if !self.server.address.is_cluster() {
            let (name, slot) = (String::new(), 0);
            return Ok(vec![Node { name, slot }]);
        }
        let slots: Vec<Value> = self.read(&[b"CLUSTER", b"SLOTS"]).await?;
        let mut nodes = Vec::with_capacity(slots.len());
        for range in slots {
            // First and last slot, the primary, its replicas; of each host, port, name and more.
            if let Value::Array(range) = &range
                && let [first, _, Value::Array(primary), ..] = &range[..]
                && let [_, _, name, ..] = &primary[..]
            {
                let (name, slot) = (self.value(name)?, self.value(first)?);
                nodes.push(Node { name, slot });
            }
        }
        nodes.sort_unstable();
        nodes.dedup_by(|one, other| one.name == other.name);
        Ok(nodes)
    }

    fn value<T: FromRedisValue>(&self, value: &Value) -> Result<T> {
        self.parse_answer(Ok(value.clone()))
    }

    #[cfg(not(feature = "cluster"))]
    pub(crate) async fn read_on<T: FromRedisValue>(
        &self,
        _: &Node,
        command: &[&[u8]],
    ) -> Result<T> {
        self.read(command).await
    }

    #[cfg(feature = "cluster")]
    pub(crate) async fn read_on<T: FromRedisValue>(
        &self,
        node: &Node,
        command: &[&[u8]],
    ) -> Result<T> {
        if self.server.address.is_cluster() {
            self.parse_answer(self.send_to_slot(node.slot, command).await)
        } else {
            self.read(command).await
        }
    }
}

/// The node that `cursor` names, and the position in it.
///
/// If the node is gone, nobody knows which of its records the others have now. So the scan begins
/// again.
fn place(nodes: &[Node], cursor: Option<&Cursor>) -> Result<(usize, String)> {
    let start = || Ok((0, "0".to_owned()));
    let Some(cursor) = cursor else {
        return start();
    };
    let text = std::str::from_utf8(cursor.as_bytes()).ok();
    let (position, name) = text
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| Error::corrupt("the cursor is not one of this store"))?;
    match nodes.iter().position(|node| node.name == name) {
        Some(number) => Ok((number, position.to_owned())),
        None => start(),
    }
}

/// The pattern of the keys that begin with `prefix`.
fn pattern(prefix: &KeyPrefix) -> String {
    let mut pattern = String::with_capacity(prefix.as_str().len() + 1);
    for character in prefix.as_str().chars() {
        if "*?[]\\^-".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern() {
        let pattern = |text| pattern(&KeyPrefix::new(text).unwrap());
        assert_eq!(pattern("session:"), "session:*");
        assert_eq!(pattern(r"a*[b-c]?\^"), r"a\*\[b\-c\]\?\\\^*");
    }

    #[test]
    fn a_scan_begins_again_without_its_node() {
        let node = |name: &str, slot| Node {
            name: name.into(),
            slot,
        };
        let nodes = [node("a", 0), node("c", 9)];
        let at = |text: &str| place(&nodes, Some(&Cursor::new(text.to_owned())));
        assert_eq!(at("17 c").unwrap(), (1, "17".into()));
        assert_eq!(at("17 b").unwrap(), (0, "0".into()));
        assert_eq!(place(&nodes, None).unwrap(), (0, "0".into()));
        assert!(matches!(at("17"), Err(Error::Corrupt { .. })));
    }
}
