//! The files for operators: `cargo xtask ops`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::paths::{installed, root, target};
use crate::steps::{StepResult, Steps};
use crate::{apt, python};

/// What Prometheus makes of the names in `crates/session-core/src/measure/counted.rs`, and what it appends to
/// that of a histogram.
const SUFFIXES: [&str; 3] = ["_count", "_bucket", "_sum"];

/// The alert rules are right, fire when they should and not otherwise, and they and the dashboard use
/// only metrics that there are.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    if !installed("promtool") {
        apt::install(steps, &["prometheus"])?;
    }
    steps.check("ops", "names of metrics and alerts", names)?;
    let mut dashboard = Command::new("python3");
    dashboard
        .args(["-m", "json.tool"])
        .arg(root().join("ops/grafana.json"))
        .arg("/dev/null");
    steps.command("ops", &mut dashboard)?;
    for (words, file) in [
        (["check", "rules"], "ops/alerts.yml"),
        (["test", "rules"], "ops/alerts.test.yml"),
    ] {
        let mut rules = Command::new("promtool");
        rules.args(words).arg(root().join(file));
        steps.command("ops", &mut rules)?;
    }
    Ok(())
}

/// The same, and the dashboard is what Grafana's own schemas say, from a checkout of
/// github.com/grafana/grafana-foundation-sdk.
pub(crate) fn check_schema(steps: &mut Steps, checkout: &str) -> StepResult {
    check(steps)?;
    python::environment(steps)?;
    let mut schema = Command::new(target().join("test-venv/bin/python"));
    schema
        .arg(root().join("xtask/src/ops/schema.py"))
        .arg(root().join("ops/grafana.json"))
        .arg(Path::new(checkout).join("jsonschema"));
    steps.command("ops", &mut schema)
}

fn names() -> StepResult {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let source = read("crates/session-core/src/measure/counted.rs")?;
    let known: BTreeSet<String> = source
        .split('"')
        .filter(|text| text.starts_with("session.") && !text.contains(' '))
        .map(|name| name.replace('.', "_"))
        .collect();
    for path in ["ops/alerts.yml", "ops/grafana.json"] {
        let text = read(path)?;
        let rules = text.lines().filter(|it| !it.trim_start().starts_with('#'));
        let text = rules.collect::<Vec<_>>().join(
            "
",
        );
        let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        for word in words.filter(|it| it.starts_with("session_")) {
            let base = SUFFIXES.iter().find_map(|end| word.strip_suffix(end));
            let is_known = |name: &str| known.contains(name);
            if !is_known(word) && !base.is_some_and(is_known) {
                return Err(format!("{path}: there is no metric {word}"));
            }
        }
    }
    let (rules, tested) = (read("ops/alerts.yml")?, read("ops/alerts.test.yml")?);
    let runbook = read("RUNBOOK.md")?;
    for (name, heading) in named(&rules, "- alert: ").zip(named(&rules, "runbook: RUNBOOK.md, ")) {
        if !tested.contains(&format!("- alertname: {name}\n")) {
            return Err(format!("ops/alerts.test.yml: nothing tests {name}"));
        }
        let heading = heading.trim_matches('"');
        if !runbook.contains(&format!("## {heading}\n")) {
            return Err(format!(
                "RUNBOOK.md: {name} leads to {heading}, which is not there"
            ));
        }
        if !runbook.contains(&format!("`{name}`")) {
            return Err(format!("RUNBOOK.md: no row says when {name} is seen"));
        }
    }
    Ok(())
}

/// What follows `key` on its lines.
fn named<'t>(text: &'t str, key: &'static str) -> impl Iterator<Item = &'t str> {
    text.lines()
        .filter_map(move |line| line.trim().strip_prefix(key))
}
