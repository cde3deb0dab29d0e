//! Counts code lines: `cargo xtask lines`.

mod code;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::paths::root;
use crate::steps::{StepResult, Steps, output};
use code::Code;

/// Rows of their own: they are much of session-core and no rules of sessions.
const PARTS: &[&str] = &["conformance", "payload", "timestamp"];

/// Code lines of each crate, beside those of another checkout if one is named.
pub(crate) fn run(steps: &mut Steps, other: Option<&str>) -> StepResult {
    let what = "Rust in crates/*/src after rustfmt, without tests, comments and blank lines";
    steps.check("lines", what, || {
        let before = other.map(|checkout| count(Path::new(checkout)));
        let before = before.transpose()?;
        let now = count(root())?;
        match before {
            None => print(&now),
            Some(before) => compare(&before, &now),
        }
        Ok(())
    })
}

/// Lines by row of the table.
type Rows = BTreeMap<String, usize>;

fn count(checkout: &Path) -> Result<Rows, String> {
    let mut rows = Rows::new();
    for dir in entries(&checkout.join("crates"))? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let source = dir.join("src");
        let mut files = Vec::new();
        rust_files(&source, &mut files)?;
        let mut codes = Vec::new();
        for file in files {
            let code = Code::of(&formatted(&file)?).map_err(|error| at(&file, error))?;
            codes.push((file, code));
        }
        let tests: Vec<PathBuf> = codes
            .iter()
            .flat_map(|(file, code)| code.test_modules.iter().map(|it| submodules(file).join(it)))
            .collect();
        for (file, code) in codes {
            let module = file.with_extension("");
            if tests.iter().any(|test| module.starts_with(test)) {
                continue;
            }
            let within = module.strip_prefix(&source).unwrap_or(&module);
            let part = PARTS
                .iter()
                .find(|part| name == "session-core" && within.starts_with(part));
            let row = part.map_or_else(|| name.to_string(), |part| format!("{name}: {part}"));
            *rows.entry(row).or_default() += code.lines.len();
        }
    }
    Ok(rows)
}

fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, String> {
    fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| at(dir, error))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) -> StepResult {
    for path in entries(dir)? {
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The directory of the modules that `file` declares.
fn submodules(file: &Path) -> PathBuf {
    if file.ends_with("lib.rs") {
        file.with_file_name("")
    } else {
        file.with_extension("")
    }
}

/// The text of `file` in the format of this checkout, so that another choice of format elsewhere
/// makes no difference.
fn formatted(file: &Path) -> Result<String, String> {
    let text = File::open(file).map_err(|error| at(file, error))?;
    let mut rustfmt = Command::new("rustfmt");
    rustfmt
        .args(["--edition", "2024", "--config-path"])
        .arg(root())
        .stdin(Stdio::from(text));
    output(&mut rustfmt).map_err(|error| at(file, error))
}

fn print(now: &Rows) {
    println!("\n| crate | lines |\n|---|---:|");
    for (row, now) in now {
        println!("| {row} | {now} |");
    }
    println!("| total | {} |", now.values().sum::<usize>());
}

fn compare(before: &Rows, now: &Rows) {
    println!("\n| crate | lines there | lines here | here, % of there |\n|---|---:|---:|---:|");
    let line = |row: &str, before: usize, now: usize| {
        let percent = (now * 100 + before / 2).checked_div(before);
        let percent = percent.map_or_else(|| "new".to_owned(), |percent| percent.to_string());
        println!("| {row} | {before} | {now} | {percent} |");
    };
    let rows: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for row in rows {
        let of = |rows: &Rows| rows.get(row).copied().unwrap_or_default();
        line(row, of(before), of(now));
    }
    line("total", before.values().sum(), now.values().sum());
}
