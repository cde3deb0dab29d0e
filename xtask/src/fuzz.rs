//! Runs the fuzz targets: `cargo xtask fuzz`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::paths::{cargo, root, target};
use crate::setup;
use crate::steps::{StepResult, Steps};

/// Coverage as libFuzzer wants it. Without a sanitizer, which only the nightly compiler has: the
/// project has no unsafe code that one could catch.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Cargo's name of the machine that compiles: named, so that build scripts are compiled without
/// coverage.
const HERE: &str = "host-tuple";

/// Runs the fuzz targets named, or all, each for so many seconds.
pub(crate) fn run(steps: &mut Steps, seconds: u32, names: &[&str]) -> StepResult {
    setup::fuzz(steps)?;
    let directory = target().join("fuzz");
    let manifest = ["--manifest-path", "fuzz/Cargo.toml", "--locked"];
    let mut build = cargo(&["build", "--release", "--target", HERE]);
    build.args(manifest).arg("--target-dir").arg(&directory);
    steps.command("fuzz: build", build.env("RUSTFLAGS", COVERAGE))?;
    let all = targets()?;
    let names = names.iter().map(|name| (*name).to_owned());
    let names: Vec<String> = if names.len() == 0 {
        all
    } else {
        names.collect()
    };
    let failures: Vec<_> = names
        .iter()
        .filter_map(|name| fuzz(steps, &directory, name, seconds).err())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\nFAILED: "))
    }
}

fn targets() -> Result<Vec<String>, String> {
    let directory = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut names: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// New inputs go to the target directory; the corpus in the repository is only read.
fn fuzz(steps: &mut Steps, directory: &PathBuf, name: &str, seconds: u32) -> StepResult {
    let found = directory.join("corpus").join(name);
    fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let built = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("release").join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("there is no fuzz target {name}"))?;
    let mut fuzz = Command::new(built);
    fuzz.arg(found)
        .arg(root().join("fuzz/corpus").join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", directory.display()))
        .args([
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=0",
        ])
        .current_dir(directory);
    steps.command("fuzz", &mut fuzz)
}
