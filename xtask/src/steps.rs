//! Runs steps and reports them.

use std::fmt::{self, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::test_run;

/// `Err` says in one line what has to be done.
pub(crate) type StepResult = Result<(), String>;

/// What has been run so far; the report at the end is made of it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<FinishedStep>,
    /// The tests that were late beside others and passed alone.
    late: String,
}

#[derive(Debug)]
struct FinishedStep {
    name: &'static str,
    seconds: Duration,
    passed: bool,
}

impl Steps {
    /// Runs a command whose output is seen, and fails if it does.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) -> StepResult {
        let line = line(command);
        self.check(name, &line, || {
            let status = command
                .status()
                .map_err(|error| format!("{line}: {error}"))?;
            if status.success() {
                Ok(())
            } else {
                Err(format!("{line}: {status}"))
            }
        })
    }

    /// Runs a `cargo test` whose output is seen; if it fails, the error names the failed tests.
    pub(crate) fn tests(&mut self, name: &'static str, command: &mut Command) -> StepResult {
        let (line, mut late) = (line(command), String::new());
        let result = self.check(name, &line, || {
            let outcome = test_run::run(command)?;
            late = outcome.late;
            let result = outcome.result;
            result.map_err(|error| format!("{line}: {error}"))
        });
        self.late += &late;
        result
    }

    /// Runs a check of our own, which `what` describes.
    pub(crate) fn check(
        &mut self,
        name: &'static str,
        what: &str,
        check: impl FnOnce() -> StepResult,
    ) -> StepResult {
        println!("\n=== {name}: {what}");
        let begin = Instant::now();
        let outcome = check();
        let done = FinishedStep {
            name,
            seconds: begin.elapsed(),
            passed: outcome.is_ok(),
        };
        println!("=== {done}");
        self.done.push(done);
        outcome
    }

    /// The last lines: each step with its seconds, and what has to be done.
    pub(crate) fn summary(&self, outcome: &StepResult) {
        println!();
        for done in &self.done {
            println!("{done}");
        }
        let total: Duration = self.done.iter().map(|done| done.seconds).sum();
        println!("{:8.1} s  in total", total.as_secs_f64());
        if !self.late.is_empty() {
            println!("late beside others, and passed alone:{}", self.late);
        }
        match outcome {
            Ok(()) => println!("all passed"),
            Err(reason) => println!("FAILED: {reason}"),
        }
    }
}

impl fmt::Display for FinishedStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = if self.passed { "passed" } else { "FAILED" };
        write!(
            out,
            "{:8.1} s  {result}  {}",
            self.seconds.as_secs_f64(),
            self.name
        )
    }
}

/// What `command` does, run to its end with its output kept.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = line(command);
    let output = command
        .output()
        .map_err(|error| format!("{line}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{line}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line(command: &Command) -> String {
    let mut line = String::new();
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in set {
        let value = value.to_string_lossy();
        let _ = write!(line, "{}={} ", name.to_string_lossy(), quoted(&value));
    }
    line += &command.get_program().to_string_lossy();
    for arg in command.get_args() {
        line.push(' ');
        line += &quoted(&arg.to_string_lossy());
    }
    line
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains(' ') {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}
