//! Runs `cargo test`, shows its output, and reads in it what passed and what failed.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitStatus, Stdio};

use crate::steps::StepResult;

/// As much of a failed test's message as the error repeats.
const MESSAGE_CHARS: usize = 200;

/// How many tests passed and failed, in all programs of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// The tests that were late beside others and passed alone, in lines of their own.
    pub(crate) late: String,
    pub(crate) result: StepResult,
}

/// More late tests than this are not the machine's fault.
const MOST_LATE: usize = 3;
/// How a panic begins whose reason was that something took too long: that of `assert_in_time!`, and of a call that had to
/// succeed and met the store's timeout.
const LATE: [&str; 2] = [
    "late: ",
    "called `Result::unwrap()` on an `Err` value: Timeout {",
];
/// The former, in the error of the task that it ended.
const LATE_IN_A_TASK: &str = "\"late: ";

/// The error names each failed test: half an hour of output lies above the last lines of CI. If nothing was wrong but a
/// time, which a machine that has other work can make too long, the late tests run once more, alone. Every other failure
/// stands.
pub(crate) fn run(tests: &mut Command) -> Result<Outcome, String> {
    let (mut report, status) = read(tests)?;
    let late = report.late();
    if !late.is_empty() {
        println!("=== late, and run again alone: {}", late.join(" "));
        let (again, status) = read(&mut alone(tests, &late))?;
        if status.success() && again.counts.passed as usize >= late.len() {
            report.counts.passed += report.counts.failed;
            report.counts.failed = 0;
            return Ok(Outcome {
                counts: report.counts,
                late: report.failures(),
                result: Ok(()),
            });
        }
    }
    let result = match (status.success(), report.counts.passed) {
        (true, 0) => Err("no test has run".to_owned()),
        (true, _) => Ok(()),
        (false, _) => Err(format!(
            "{} tests failed ({status}){}",
            report.counts.failed,
            report.failures()
        )),
    };
    Ok(Outcome {
        counts: report.counts,
        late: String::new(),
        result,
    })
}

/// Runs the tests to their end.
fn read(tests: &mut Command) -> Result<(Report, ExitStatus), String> {
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
    Ok((report, run.wait().map_err(failure)?))
}

/// The same command for some tests, one after another.
fn alone(tests: &Command, names: &[String]) -> Command {
    let mut alone = Command::new(tests.get_program());
    alone.args(tests.get_args().take_while(|arg| *arg != "--"));
    alone
        .args(["--", "--test-threads=1", "--exact"])
        .args(names);
    for (name, value) in tests.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    if let Some(directory) = tests.get_current_dir() {
        alone.current_dir(directory);
    }
    alone
}

#[derive(Debug, Default)]
struct Report {
    counts: Counts,
    failed: Vec<Failed>,
    /// Test programs that began, and have not ended with their counts.
    running: u32,
    awaits_message: bool,
}

/// A failed test, and the place and the first line of each of its panics.
#[derive(Debug, Default)]
struct Failed {
    name: String,
    panics: Vec<(String, String)>,
}

impl Report {
    fn read(&mut self, line: &str) {
        if self.awaits_message {
            self.awaits_message = false;
            let panic = self.failed.last_mut().and_then(|it| it.panics.last_mut());
            if let Some((_, message)) = panic {
                *message = line.chars().take(MESSAGE_CHARS).collect();
            }
        } else if let Some(counts) = counts(line) {
            self.counts.passed += counts.passed;
            self.counts.failed += counts.failed;
            self.running = self.running.saturating_sub(1);
        } else if line.starts_with("running ") && line.contains(" test") {
            self.running += 1;
        } else if let Some(test) = line.strip_prefix("---- ") {
            let name = test.trim_end_matches(" ----").trim_end_matches(" stdout");
            self.failed.push(Failed {
                name: name.to_owned(),
                panics: Vec::new(),
            });
        } else if let Some((_, place)) = line.split_once(" panicked at ")
            && line.starts_with("thread '")
            && let Some(failed) = self.failed.last_mut()
        {
            failed.panics.push((place.to_owned(), String::new()));
            self.awaits_message = true;
        }
    }

    /// The failed tests, if all were only late.
    fn late(&self) -> Vec<String> {
        let is_late = |message: &String| {
            LATE.iter().any(|late| message.starts_with(late)) || message.contains(LATE_IN_A_TASK)
        };
        let only_late = |it: &Failed| {
            let mut messages = it.panics.iter().map(|(_, message)| message);
            !it.panics.is_empty() && messages.all(is_late)
        };
        let all_are_known = self.failed.len() == self.counts.failed as usize && self.running == 0;
        if all_are_known && self.failed.len() <= MOST_LATE && self.failed.iter().all(only_late) {
            self.failed.iter().map(|it| it.name.clone()).collect()
        } else {
            Vec::new()
        }
    }

    /// The failed tests and their panics, in lines of their own.
    fn failures(&self) -> String {
        let mut lines = String::new();
        for failed in &self.failed {
            let _ = write!(lines, "\n  {}", failed.name);
            for (place, message) in &failed.panics {
                let _ = write!(lines, "\n  {place}\n  {message}");
            }
        }
        lines
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

    fn report(panics: &str) -> Report {
        let mut report = Report::default();
        let output = format!(
            "running 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\nfailures:\n\n\
             ---- b::c stdout ----\n\n{panics}note: run with\n\nfailures:\n    b::c\n\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n"
        );
        output.lines().for_each(|line| report.read(line));
        report
    }

    fn panic(message: &str) -> String {
        format!("thread 'b::c' (7) panicked at src/b.rs:3:5:\n{message}\n")
    }

    #[test]
    fn a_failed_test_is_named_with_the_place_and_the_first_line_of_its_panic() {
        let report = report(&panic("left is not right\nmore"));
        assert_eq!(
            report.failures(),
            "\n  b::c\n  src/b.rs:3:5:\n  left is not right"
        );
        let counts = Counts {
            passed: 1,
            failed: 1,
        };
        assert_eq!(report.counts, counts);
    }

    #[test]
    fn only_tests_that_were_late_and_nothing_else_run_again() {
        let late = panic("late: took 2.1s");
        let in_a_task = panic("no check fails: JoinError::Panic(Id(7), \"late: round 90\", ...)");
        assert_eq!(report(&late).late(), ["b::c"]);
        assert_eq!(report(&(late.clone() + &in_a_task)).late(), ["b::c"]);
        for wrong in [
            panic("changes are lost: [1]"),
            panic("[1] lost too early or late: 2 s"),
            late.clone() + &panic("changes are lost: [1]"),
            // It returned an error.
            String::new(),
        ] {
            assert!(report(&wrong).late().is_empty(), "{wrong}");
        }
        // A program that was ended says no more.
        let mut ended = report(&late);
        ended.read("running 9 tests");
        assert!(ended.late().is_empty());
        let mut many = report(&late);
        for _ in 0..MOST_LATE {
            many.failed.push(Failed {
                name: "d".to_owned(),
                panics: vec![(String::new(), "late: ".to_owned())],
            });
            many.counts.failed += 1;
        }
        assert!(many.late().is_empty());
    }

    #[test]
    fn late_tests_run_alone_by_the_same_command() {
        let mut tests = Command::new("cargo");
        tests
            .args(["test", "--workspace", "--", "--nocapture"])
            .env("A", "1");
        let alone = alone(&tests, &["b::c".to_owned()]);
        let line = format!("{alone:?}");
        assert!(
            line.ends_with(
                r#"A="1" "cargo" "test" "--workspace" "--" "--test-threads=1" "--exact" "b::c""#
            ),
            "{line}"
        );
    }
}
