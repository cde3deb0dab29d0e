//! Runs `cargo test`, shows its output, and reads in it what passed and what failed.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::steps::StepResult;

/// As much of a failed test's message as the error repeats.
const MESSAGE_CHARS: usize = 200;

/// How many tests passed and failed, in all programs of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

/// The error names each failed test: half an hour of output lies above the last lines of CI.
pub(crate) fn run(tests: &mut Command) -> Result<(Counts, StepResult), String> {
    let failure = |error: io::Error| format!("cargo test: {error}");
    let mut run = tests.stdout(Stdio::piped()).spawn().map_err(failure)?;
    let output = run.stdout.take().expect("it is piped");
    let mut report = Report::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(failure)?;
        let line = String::from_utf8_lossy(&line);
        writeln!(io::stdout(), "{line}").map_err(failure)?;
        report.read(&line);
    }
    let status = run.wait().map_err(failure)?;
    let result = match (status.success(), report.counts.passed) {
        (true, 0) => Err("no test has run".to_owned()),
        (true, _) => Ok(()),
        (false, _) => {
            let mut error = format!("{} tests failed ({status})", report.counts.failed);
            for line in &report.failures {
                error += "\n  ";
                error += line;
            }
            Err(error)
        }
    };
    Ok((report.counts, result))
}

#[derive(Debug, Default)]
struct Report {
    counts: Counts,
    /// The name of each failed test, and the place and the first line of its panic.
    failures: Vec<String>,
    awaits_message: bool,
}

impl Report {
    fn read(&mut self, line: &str) {
        if self.awaits_message {
            self.awaits_message = false;
            self.failures
                .push(line.chars().take(MESSAGE_CHARS).collect());
        } else if let Some(counts) = counts(line) {
            self.counts.passed += counts.passed;
            self.counts.failed += counts.failed;
        } else if let Some(test) = line.strip_prefix("---- ") {
            self.failures
                .push(test.trim_end_matches(" ----").to_owned());
        } else if let Some((_, place)) = line.split_once(" panicked at ")
            && line.starts_with("thread '")
        {
            self.failures.push(place.to_owned());
            self.awaits_message = true;
        }
    }
}

/// The numbers of the line that ends each test program's output.
fn counts(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |name: &str| {
        let before = rest.split(name).next()?;
        before.rsplit([' ', ';']).next()?.parse().ok()
    };
    Some(Counts {
        passed: number(" passed")?,
        failed: number(" failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_test_is_named_with_the_place_and_the_first_line_of_its_panic() {
        let mut report = Report::default();
        let output = "running 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\nfailures:\n\n\
                      ---- b::c stdout ----\n\nthread 'b::c' (7) panicked at src/b.rs:3:5:\n\
                      left is not right\nnote: run with\n\nfailures:\n    b::c\n\n\
                      test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n";
        output.lines().for_each(|line| report.read(line));
        assert_eq!(
            report.failures,
            ["b::c stdout", "src/b.rs:3:5:", "left is not right"]
        );
        let counts = Counts {
            passed: 1,
            failed: 1,
        };
        assert_eq!(report.counts, counts);
    }
}
