//! All records of a server, or of each node of a cluster: `Scan` for `RedisStore`.

use redis::{FromRedisValue, RedisResult, Value};
use session_core::{Cursor, Error, KeyPrefix, Page, Result, Scan, async_trait};

use crate::{RedisStore, command::Retry, error::has_code};

/// How many keys of the server one command reads: at least and at most. Of a million keys, five
/// hundred take it about a millisecond, in which it serves nobody else.
const KEYS: std::ops::RangeInclusive<usize> = 10..=500;

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
    ///
    /// A server that was started again, or replaced by its replica, has another order of its keys, in
    /// which a position means nothing. So the scan of that node begins again. It is noticed by the
    /// `run_id` of `INFO server`. If the user may not call that, scan again after a restart.
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let nodes = self.nodes().await?;
        let Place {
            mut number,
            mut position,
            run,
        } = Place::of(&nodes, cursor)?;
        let run = match run {
            Some(run) => run,
            None => self.run_of(&nodes[number]).await?,
        };
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
            if keys.len() >= limit || position == "0" {
                break;
            }
        }
        let run_now = self.run_of(&nodes[number]).await?;
        let next = if run_now != run {
            Some(("0", Some(run_now)))
        } else if position == "0" {
            number += 1;
            (number < nodes.len()).then_some(("0", None))
        } else {
            Some((&*position, Some(run)))
        };
        let next = next.map(|(position, run)| {
            let run = run.unwrap_or_default();
            Cursor::new(format!("{position} {run} {}", nodes[number].name))
        });
        Ok(Page {
            records: self.heads(&keys).await?,
            next,
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

    /// What tells one run of a server from the next. Always the same if the user may not know it.
    async fn run_of(&self, node: &Node) -> Result<String> {
        let answer = self.send_on(node, &[b"INFO", b"server"]).await;
        if has_code(&answer, "NOPERM") {
            return Ok(UNKNOWN.into());
        }
        let info: String = self.parse_answer(answer)?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(run.unwrap_or(UNKNOWN).to_owned())
    }

    fn value<T: FromRedisValue>(&self, value: &Value) -> Result<T> {
        self.parse_answer(Ok(value.clone()))
    }

    pub(crate) async fn read_on<T: FromRedisValue>(
        &self,
        node: &Node,
        command: &[&[u8]],
    ) -> Result<T> {
        self.parse_answer(self.send_on(node, command).await)
    }

    #[cfg(not(feature = "cluster"))]
    async fn send_on(&self, _: &Node, command: &[&[u8]]) -> RedisResult<Value> {
        self.send(command, Retry::Once).await
    }

    #[cfg(feature = "cluster")]
    async fn send_on(&self, node: &Node, command: &[&[u8]]) -> RedisResult<Value> {
        if self.server.address.is_cluster() {
            self.send_to_slot(node.slot, command).await
        } else {
            self.send(command, Retry::Once).await
        }
    }
}

/// The run of a server that does not tell it.
const UNKNOWN: &str = "-";

/// Where a page begins.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The node, by its place among the others.
    number: usize,
    position: String,
    /// The run of the node that the position is of. `None` before its first page.
    run: Option<String>,
}

impl Place {
    /// The node that `cursor` names, and the position in it.
    ///
    /// If the node is gone, nobody knows which of its records the others have now. So the scan begins
    /// again.
    fn of(nodes: &[Node], cursor: Option<&Cursor>) -> Result<Self> {
        let start = || Self {
            number: 0,
            position: "0".to_owned(),
            run: None,
        };
        let Some(cursor) = cursor else {
            return Ok(start());
        };
        let text = std::str::from_utf8(cursor.as_bytes()).ok();
        let mut parts = text.unwrap_or_default().splitn(3, ' ');
        let (Some(position), Some(run), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::corrupt("the cursor is not one of this store"));
        };
        let number = nodes.iter().position(|node| node.name == name);
        Ok(number.map_or_else(start, |number| Self {
            number,
            position: position.to_owned(),
            run: (!run.is_empty()).then(|| run.to_owned()),
        }))
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
        let at = |text: &str| Place::of(&nodes, Some(&Cursor::new(text.to_owned())));
        let place = |number, position: &str, run: Option<&str>| Place {
            number,
            position: position.into(),
            run: run.map(Into::into),
        };
        assert_eq!(at("17 r c").unwrap(), place(1, "17", Some("r")));
        assert_eq!(at("0  c").unwrap(), place(1, "0", None));
        assert_eq!(at("17 r b").unwrap(), place(0, "0", None));
        assert_eq!(Place::of(&nodes, None).unwrap(), place(0, "0", None));
        assert!(matches!(at("17 c"), Err(Error::Corrupt { .. })));
    }
}
