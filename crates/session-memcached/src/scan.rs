//! All records of the nodes: `Scan` for `MemcachedStore`.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use session_core::{Cursor, Error, KeyPrefix, Listed, Page, Result, Scan, StoreKey, async_trait};

use crate::{
    MemcachedStore,
    error::{CallError, NodeError},
    questions::ask,
};

/// How many records one round trip reads.
const READS: usize = 64;

/// A node lists its keys for one connection at a time. How often, and how long after each other, it is
/// asked again.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// The keys of a node, in their order. A node has no order of its own in which it could go on, so a list
/// serves all pages of a walk.
#[derive(Default)]
pub(crate) struct Listing(Mutex<Option<Keys>>);

struct Keys {
    prefix: KeyPrefix,
    node: usize,
    sorted: Vec<String>,
}

impl Listing {
    /// The first `limit` keys after `after`, and whether there are more. `None` if they are not listed.
    fn after(
        &self,
        prefix: &KeyPrefix,
        node: usize,
        after: &str,
        limit: usize,
    ) -> Option<(Vec<String>, bool)> {
        let kept = self.kept();
        let listed = kept.as_ref()?;
        if listed.prefix != *prefix || listed.node != node {
            return None;
        }
        let start = listed.sorted.partition_point(|key| &**key <= after);
        let rest = &listed.sorted[start..];
        let page = &rest[..rest.len().min(limit)];
        Some((page.to_vec(), rest.len() > page.len()))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Keys>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Scan for MemcachedStore {
    /// One node after the other, by `lru_crawler metadump hash`. It lists the keys of a node at once, which
    /// takes about a second for a million, in a thread of its own, and they are kept in memory for the
    /// pages. The values are read whole: memcached reads no part of one. An item that the node moves
    /// meanwhile may be missing, as memcached says itself.
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (node, after) = self.place(cursor)?;
        let listing = &self.shared.listing;
        let limit = limit.max(1);
        // Where the keys of a node begin, they are listed anew.
        let listed = match &*after {
            "" => None,
            after => listing.after(prefix, node, after, limit),
        };
        let (keys, more) = if let Some(listed) = listed {
            listed
        } else {
            let sorted = self.keys(prefix, node).await?;
            let prefix = prefix.clone();
            let start = sorted.partition_point(|key| *key <= after);
            let end = sorted.len().min(start + limit);
            let page = (sorted[start..end].to_vec(), end < sorted.len());
            *listing.kept() = Some(Keys {
                prefix,
                node,
                sorted,
            });
            page
        };
        let next = if more {
            keys.last().map(|last| (node, &**last))
        } else {
            listing.kept().take();
            (node + 1 < self.shared.nodes.addresses().len()).then_some((node + 1, ""))
        };
        let next = next.and_then(|(node, after)| {
            let address = self.shared.nodes.addresses().nth(node)?;
            Some(Cursor::new(format!("{address} {after}")))
        });
        Ok(Page {
            records: self.heads(node, &keys).await?,
            next,
        })
    }
}

impl MemcachedStore {
    /// The node at which a page begins, and the key after which.
    fn place(&self, cursor: Option<&Cursor>) -> Result<(usize, String)> {
        let Some(cursor) = cursor else {
            return Ok((0, String::new()));
        };
        let text = std::str::from_utf8(cursor.as_bytes()).ok();
        let place = text
            .and_then(|it| it.split_once(' '))
            .and_then(|(address, after)| {
                let mut addresses = self.shared.nodes.addresses();
                Some((addresses.position(|it| it == address)?, after.to_owned()))
            });
        place.ok_or_else(|| Error::corrupt("the cursor is not one of this store"))
    }

    /// The keys of the prefix's records on this node, in their order.
    async fn keys(&self, prefix: &KeyPrefix, node: usize) -> Result<Vec<String>> {
        let address = self.shared.nodes.addresses().nth(node).unwrap_or_default();
        for _ in 0..ATTEMPTS {
            let mut keys = Vec::new();
            let command = "lru_crawler metadump hash";
            let asked = ask(address, command, self.shared.timeout, |line| {
                let key = line
                    .split(' ')
                    .next()
                    .and_then(|it| it.strip_prefix("key="));
                let key = key.and_then(decoded).filter(|key| prefix.is_of_record(key));
                keys.extend(key);
            });
            match asked.await {
                Ok(()) => {
                    keys.sort_unstable();
                    keys.dedup();
                    return Ok(keys);
                }
                Err(CallError::Busy) => tokio::time::sleep(PAUSE).await,
                Err(CallError::Server(text)) => {
                    let error = NodeError {
                        address: address.into(),
                        error: CallError::Server(text),
                    };
                    let reason = format!("{error}: lists need lru_crawler, which is on by default");
                    return Err(Error::unsuitable("memcached", reason));
                }
                Err(error) => return Err(self.failed(node, error)),
            }
        }
        Err(self.failed(node, CallError::Busy))
    }

    /// Those records that are still there.
    async fn heads(&self, node: usize, keys: &[String]) -> Result<Vec<Listed>> {
        let connections = self
            .shared
            .connections
            .of_current_runtime(&self.shared.nodes)?;
        let client = &connections[node].client;
        let mut records = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READS) {
            let texts: Vec<_> = keys.iter().map(String::as_str).collect();
            for (key, item) in keys.iter().zip(client.get(&texts).await) {
                let item = item.map_err(|error| self.failed(node, error))?;
                records.extend(item.map(|item| Listed {
                    key: StoreKey::from_stored(key.clone()),
                    head: item.value.into(),
                }));
            }
        }
        Ok(records)
    }
}

/// A key as it was stored: in a list each of its bytes may be `%` and two digits.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, others)) = rest.split_first() {
        rest = others;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, others) = rest.split_first_chunk::<2>()?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = others;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_decoded() {
        assert_eq!(decoded("session%3Aa%25").as_deref(), Some("session:a%"));
        assert_eq!(decoded("plain").as_deref(), Some("plain"));
        for wrong in ["a%", "a%4", "a%zz", "%ff%fe"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
