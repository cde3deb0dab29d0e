//! What is wrong with a server.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{Finding, Result};

use crate::{RedisStore, scan::Node};

/// The oldest version that the store works with.
const OLDEST: (u32, u32) = (6, 2);

/// After so many seconds a server with the usual save rules has written a snapshot.
const UNSAVED: u64 = 60 * 60;

/// From this share of its memory on a server is nearly full, in percent.
const NEARLY_FULL: u64 = 90;

impl RedisStore {
    /// Of a cluster, each primary is asked.
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings: Vec<Finding> = Vec::new();
        let nodes = self.nodes().await?;
        for node in &nodes {
            for found in self.findings_of(node).await? {
                match findings.iter_mut().find(|it| it.remedy == found.remedy) {
                    // Once for all nodes.
                    Some(known) if known.problem == found.problem => {}
                    Some(known) if nodes.len() > 1 => {
                        known.problem = format!("{} {}", known.problem, found.problem);
                    }
                    _ => findings.push(found),
                }
            }
        }
        Ok(findings)
    }

    async fn findings_of(&self, node: &Node) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let asked = SystemTime::now();
        let time: (u64, u64) = self.read_on(node, &[b"TIME"]).await?;
        let server = UNIX_EPOCH + Duration::from_secs(time.0) + Duration::from_micros(time.1);
        findings.extend(Finding::of_clock(server, asked, SystemTime::now()));
        let answer: Result<String> = self.read_on(node, &[b"INFO"]).await;
        let Ok(text) = answer else {
            findings.push(Finding::new(
                "The user may not call INFO, so version and memory were not checked.",
                "Let an administrator run the check, or allow INFO.",
            ));
            return Ok(findings);
        };
        let mut info: HashMap<_, _> = text.lines().filter_map(|it| it.split_once(':')).collect();
        // Where CONFIG is forbidden, as in a managed service, INFO has to do.
        let config = self.read_on(node, &[b"CONFIG", b"GET", b"save"]).await;
        let config: HashMap<String, String> = config.unwrap_or_default();
        if let Some(rules) = config.get("save") {
            info.insert("save", rules);
        }
        findings.extend(of_info(&info));
        Ok(findings)
    }
}

/// What the server says about itself.
fn of_info(info: &HashMap<&str, &str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let number = |name: &str| info.get(name).and_then(|it| it.parse::<u64>().ok());
    let version = info.get("redis_version").copied().unwrap_or_default();
    let mut parts = version.split('.').filter_map(|it| it.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (parts.next(), parts.next())
        && (major, minor) < OLDEST
        && !info.contains_key("valkey_version")
    {
        findings.push(Finding::new(
            format!("The server is Redis {version}; the store needs 6.2."),
            "Update it.",
        ));
    }
    let (limit, policy) = (
        number("maxmemory").unwrap_or(0),
        info.get("maxmemory_policy"),
    );
    if let Some(policy) = policy.filter(|it| **it != "noeviction" && limit > 0) {
        findings.push(Finding::new(
            format!(
                "The server evicts sessions when its memory is full: maxmemory-policy is {policy}."
            ),
            "Set maxmemory-policy noeviction, or keep sessions on a server of their own.",
        ));
    }
    let used = number("used_memory").unwrap_or(0);
    if limit > 0 && used / NEARLY_FULL >= limit / 100 {
        findings.push(Finding::new(
            format!("The server's memory is nearly full: {used} of {limit} bytes."),
            "Raise maxmemory, or end old sessions.",
        ));
    }
    // Without save rules there is no snapshot. INFO alone tells that of a server that has been changed
    // for an hour and has written none since it started.
    let keeps_nothing = info.get("save").map_or_else(
        || {
            let (up, since) = (number("uptime_in_seconds"), number("rdb_saves"));
            let changed = number("rdb_changes_since_last_save").unwrap_or_default() > 0;
            since == Some(0) && changed && up.is_some_and(|it| it > UNSAVED)
        },
        |rules| rules.is_empty(),
    );
    if number("aof_enabled") == Some(0) && keeps_nothing {
        findings.push(Finding::new(
            "The server keeps nothing on disk: a restart logs everybody out.",
            "Set appendonly yes, or a save rule, unless that is what you want.",
        ));
    }
    if info.get("role").is_some_and(|it| *it == "slave") {
        findings.push(Finding::new(
            "The server is a replica, which takes no writes.",
            "Connect to the primary, or through Sentinels.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        let findings = of_info(&pairs.iter().copied().collect());
        findings.into_iter().map(|it| it.problem).collect()
    }

    #[test]
    fn each_problem_is_named_and_a_healthy_server_has_none() {
        let healthy = [
            ("redis_version", "7.0.15"),
            ("maxmemory", "0"),
            ("maxmemory_policy", "allkeys-lru"),
            ("aof_enabled", "1"),
            ("role", "master"),
        ];
        assert_eq!(problems(&healthy), Vec::<String>::new());
        for (wrong, named) in [
            (&[("redis_version", "6.0.16")][..], "needs 6.2"),
            (
                &[("maxmemory", "100"), ("maxmemory_policy", "volatile-ttl")],
                "evicts",
            ),
            (
                &[
                    ("maxmemory", "1000"),
                    ("maxmemory_policy", "noeviction"),
                    ("used_memory", "950"),
                ],
                "nearly full",
            ),
            (&[("role", "slave")], "replica"),
            (&[("aof_enabled", "0"), ("save", "")], "nothing on disk"),
            (
                &[
                    ("aof_enabled", "0"),
                    ("uptime_in_seconds", "90000"),
                    ("rdb_saves", "0"),
                    ("rdb_changes_since_last_save", "1"),
                    // That is when it started.
                    ("rdb_last_save_time", "1764000000"),
                ],
                "nothing on disk",
            ),
        ] {
            let found = problems(wrong);
            assert!(
                found.len() == 1 && found[0].contains(named),
                "{wrong:?}: {found:?}"
            );
        }
        assert_eq!(
            problems(&[("aof_enabled", "0"), ("save", "3600 1")]).len(),
            0
        );
        assert_eq!(
            problems(&[("redis_version", "6.0.16"), ("valkey_version", "9.1.0")]).len(),
            0
        );
    }
}
