//! The files for operators: `cargo xtask ops`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::apt;
use crate::paths::{installed, root};
use crate::steps::{StepResult, Steps};

/// What Prometheus makes of the names in `crates/session-core/src/measure.rs`, and what it appends to
/// that of a histogram.
const SUFFIXES: [&str; 3] = ["_count", "_bucket", "_sum"];

/// The alert rules are right, and they and the dashboard use only metrics that there are.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    if !installed("promtool") {
        apt::install(steps, &["prometheus"])?;
    }
    steps.check("ops", "names of metrics", names)?;
    let mut dashboard = Command::new("python3");
    dashboard
        .args(["-m", "json.tool"])
        .arg(root().join("ops/grafana.json"))
        .arg("/dev/null");
    steps.command("ops", &mut dashboard)?;
    let mut rules = Command::new("promtool");
    rules
        .args(["check", "rules"])
        .arg(root().join("ops/alerts.yml"));
    steps.command("ops", &mut rules)
}

fn names() -> StepResult {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let source = read("crates/session-core/src/measure.rs")?;
    let known: BTreeSet<String> = source
        .split('"')
        .filter(|text| text.starts_with("session.") && !text.contains(' '))
        .map(|name| name.replace('.', "_"))
        .collect();
    for path in ["ops/alerts.yml", "ops/grafana.json"] {
        let text = read(path)?;
        let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        for word in words.filter(|it| it.starts_with("session_")) {
            let base = SUFFIXES.iter().find_map(|end| word.strip_suffix(end));
            let is_known = |name: &str| known.contains(name);
            if !is_known(word) && !base.is_some_and(is_known) {
                return Err(format!("{path}: there is no metric {word}"));
            }
        }
    }
    Ok(())
}
