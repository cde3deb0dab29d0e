//! What is wrong with a node.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{Finding, Result};

use crate::{MemcachedStore, questions::ask};

/// The oldest version that has the meta protocol.
const OLDEST: (u32, u32) = (1, 6);

impl MemcachedStore {
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (number, address) in self.shared.nodes.addresses().enumerate() {
            let asked = SystemTime::now();
            let stats = self.stats(number, address, "stats").await?;
            let answered = SystemTime::now();
            let settings = self.stats(number, address, "stats settings").await?;
            findings.extend(of_node(address, &stats, &settings, (asked, answered)));
        }
        Ok(findings)
    }

    async fn stats(
        &self,
        number: usize,
        address: &str,
        command: &str,
    ) -> Result<HashMap<String, String>> {
        let mut stats = HashMap::new();
        let answer = ask(address, command, self.shared.timeout, |line| {
            let pair = line.strip_prefix("STAT ").and_then(|it| it.split_once(' '));
            stats.extend(pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
        });
        answer.await.map_err(|error| self.failed(number, error))?;
        Ok(stats)
    }
}

fn of_node(
    address: &str,
    stats: &HashMap<String, String>,
    settings: &HashMap<String, String>,
    (asked, answered): (SystemTime, SystemTime),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let number = |name: &str| stats.get(name).and_then(|it| it.parse::<u64>().ok());
    let version = stats.get("version").map_or("", String::as_str);
    let mut parts = version.split('.').filter_map(|it| it.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (parts.next(), parts.next())
        && (major, minor) < OLDEST
    {
        findings.push(Finding::new(
            format!("{address} is memcached {version}; the store needs 1.6."),
            "Update it.",
        ));
    }
    if let Some(seconds) = number("time") {
        // It tells whole seconds, and looks at its clock once a second.
        let earliest = UNIX_EPOCH + Duration::from_secs(seconds);
        let asked = asked - Duration::from_secs(2);
        findings.extend(Finding::of_clock(earliest, asked, answered));
    }
    if settings.get("cas_enabled").is_some_and(|it| it == "no") {
        findings.push(Finding::new(
            format!("{address} was started with -C: it cannot compare and set, so no session can be changed."),
            "Start it without -C.",
        ));
    }
    if let Some(evicted @ 1..) = number("evictions") {
        findings.push(Finding::new(
            format!("{address} has evicted {evicted} item(s) since it was started: sessions ended before their time."),
            "Give it more memory (-m), and keep nothing else in it.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_named_and_a_healthy_node_has_none() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let problems = |stat: (&str, &str), setting: (&str, &str)| {
            let healthy = [
                ("version", "1.6.18"),
                ("time", "1800000000"),
                ("evictions", "0"),
            ];
            let stats = healthy.into_iter().chain([stat]);
            let stats = stats
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            let settings = [(setting.0.into(), setting.1.into())].into();
            let found = of_node("node:1", &stats, &settings, (now, now));
            found.into_iter().map(|it| it.problem).collect::<Vec<_>>()
        };
        let none = ("", "");
        assert_eq!(problems(none, ("cas_enabled", "yes")), Vec::<String>::new());
        assert_eq!(problems(("time", "1799999999"), none), Vec::<String>::new());
        for (stat, setting, named) in [
            (("version", "1.5.22"), none, "needs 1.6"),
            (("time", "1799999000"), none, "behind"),
            (("time", "1800000100"), none, "ahead"),
            (("evictions", "3"), none, "evicted 3"),
            (none, ("cas_enabled", "no"), "-C"),
        ] {
            let found = problems(stat, setting);
            assert!(
                found.len() == 1 && found[0].contains(named),
                "{named}: {found:?}"
            );
        }
    }
}
