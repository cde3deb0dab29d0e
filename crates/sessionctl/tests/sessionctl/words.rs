//! Wrong words, wrong URLs and wrong files: what is said, and what is not.

use std::{fs, path::Path, process::Command};

use session_tests::scratch_dir;

use crate::support::{Place, Ran, command, log_in, run};

/// The names in a directory.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

/// Runs the program in this directory, with these settings and no others.
fn run_in(directory: &Path, words: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = command(words, env);
    Ran::of(&command.current_dir(directory).output().unwrap())
}

/// A password in the wrong place is seen by whoever reads the log of a job; so is an id.
#[test]
fn what_may_be_a_secret_is_not_printed_wherever_it_stands() {
    let directory = scratch_dir();
    let store = format!("file://{}", directory.path().display());
    let id = "hush-hush-hush-hush-hush-hush-hush-hush-hush";
    // As long as a lineage: SESSION_ID_LENGTH=16.
    let short = "hushhushhushhushhushhu";
    for words in [
        &["ls", "redis://:hush@host"][..],
        &["redis://:hush@host", "ls"],
        &[
            "--store=redis://:hush@host",
            "--stor=redis://:hush@host",
            "ls",
        ],
        &["--store", &store, "copy", "--to", "redis:hush@host"],
        &["--store", &store, "--old", "hush", "ls"],
        &["--store", "postgres://127.0.0.1:1/db?pass=hush", "count"],
        &["--store", "mysql://u:p@127.0.0.1:1/db?pass=hush", "count"],
        &["--store", "redis://u:hush@127.0.0.1:1", "count"],
        &["--store", &store, "show", id, "--values"],
        &["--store", &store, "show", short],
        &["--store", &store, "show", short, id],
        &["--store", &store, "end", "--yes", short],
        &["--store", &store, "end", "--yes", "--owner", "ada", id],
    ] {
        let Ran { out, err, code } = run(words, &[]);
        assert!(code != 0 && out.is_empty(), "{words:?}: {code} {out}");
        assert!(!err.contains("hush"), "{words:?}: {err}");
        assert!(err.len() > 20, "{words:?}: {err}");
    }
    // What is only mistyped is named.
    let mistyped = run(&["lst"], &[]);
    assert!(mistyped.err.contains("'lst'"), "{}", mistyped.err);
}

#[test]
fn nothing_is_created_by_a_command_that_reads_or_by_a_wrong_name() {
    let directory = scratch_dir();
    let (path, other) = (
        directory.path().join("work"),
        directory.path().join("store"),
    );
    fs::create_dir(&path).unwrap();
    let store = format!("file://{}", other.display());
    run(&["--store", &store, "migrate"], &[]).ok();
    let sqlite = format!("sqlite://{}/none.db?mode=rwc", path.display());
    let none = format!("file://{}/none", path.display());
    for (words, env) in [
        // The defaults of the settings.
        (&["ls"][..], &[("SESSION_TYPE", "filesystem")][..]),
        (&["count"], &[("SESSION_TYPE", "sql")]),
        (&["doctor"], &[("SESSION_TYPE", "sql")]),
        (&["sweep"], &[("SESSION_TYPE", "filesystem")]),
        (&["--store", &store, "--old", &none, "ls"], &[]),
        (
            &["--store", &store, "--old", &sqlite, "end", "--all", "--yes"],
            &[],
        ),
        (
            &["--store", &store, "copy", "--dry-run", "--to", &none],
            &[],
        ),
        (
            &["--store", &store, "copy", "--dry-run", "--to", &sqlite],
            &[],
        ),
    ] {
        let ran = run_in(&path, words, env);
        assert!([2, 3].contains(&ran.code), "{words:?} {env:?}: {ran:?}");
        assert_eq!(names_in(&path), Vec::<String>::new(), "{words:?} {env:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_refused_where_the_copy_would_be() {
    let store = Place::files().await;
    log_in(&store.sessions(), Some("ada")).await;
    for words in [
        &["copy", "--to", &store.url][..],
        &["copy", "--to", &store.url, "--dry-run"],
    ] {
        let ran = store.run(words);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("the store that it copies from"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_used_is_named() {
    let (from, to) = (Place::files().await, Place::files().await);
    log_in(&from.sessions(), Some("ada")).await;
    let directory = scratch_dir();
    let path = directory.path();
    fs::create_dir(path.join("directory")).unwrap();
    fs::write(path.join("binary"), b"\xff\xfe").unwrap();
    fs::write(path.join("empty"), b"").unwrap();
    // The last would never end.
    for name in ["directory", "binary", "empty", "none/state", "/dev/zero"] {
        let state = path.join(name);
        let ran = from.run(&["copy", "--to", &to.url, "--state", state.to_str().unwrap()]);
        assert_eq!(ran.code, 2, "{name}: {ran:?}");
        assert!(ran.err.contains(state.to_str().unwrap()), "{name}: {ran:?}");
    }
    assert_eq!(to.run(&["count", "--json"]).json()[0]["sessions"], 0);
    // A position that the store did not make.
    let state = path.join("state");
    let words = ["copy", "--to", &to.url, "--state", state.to_str().unwrap()];
    from.run(&words).ok();
    let noted = fs::read_to_string(&state).unwrap();
    fs::write(&state, noted.replace("done.", "AAAAAAAA")).unwrap();
    let ran = from.run(&words);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains(state.to_str().unwrap()), "{ran:?}");
}

/// Two tables of one database, two databases of one socket: the way from one is not that from the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_of_one_table() {
    let (from, to) = (Place::sqlite().await, Place::files().await);
    let directory = scratch_dir();
    let state = directory.path().join("state");
    let state = state.to_str().unwrap();
    let words = [
        "--store", &from.url, "copy", "--to", &to.url, "--state", state,
    ];
    run(&words, &[]).ok();
    let table = [("SESSION_SQL_TABLE", "others")];
    run(&["--store", &from.url, "migrate"], &table).ok();
    let other = run(&words, &table);
    assert_eq!(other.code, 2, "{other:?}");
    assert!(other.err.contains("another copy"), "{other:?}");
    assert!(fs::read_to_string(state).unwrap().contains("done"));
}

#[test]
fn a_path_in_a_url_of_sqlite_is_what_the_driver_takes_it_for() {
    let directory = scratch_dir();
    let path = directory.path().join("my sessions");
    fs::create_dir(&path).unwrap();
    let url = format!("sqlite://{}/s%C3%A9.db?mode=rwc", path.display()).replace(' ', "%20");
    run(&["--store", &url, "migrate"], &[]).ok();
    assert!(names_in(&path).contains(&"sé.db".to_owned()));
    run(&["--store", &url, "count"], &[]).ok();
    let short = format!("sqlite:{}/sé.db", path.display());
    run(&["--store", &short, "count"], &[]).ok();
}

/// Colours are for terminals, also in what is logged.
#[test]
fn no_colour_goes_into_a_file() {
    for words in [
        &["--store", "redis://127.0.0.1:1", "count"][..],
        &[
            "--store",
            "redis://127.0.0.1:1",
            "--color",
            "never",
            "count",
        ],
    ] {
        let program = env!("CARGO_BIN_EXE_sessionctl");
        let output = Command::new(program)
            .args(words)
            .env_remove("NO_COLOR")
            .output();
        let ran = Ran::of(&output.unwrap());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
        // The reason once is enough.
        assert_eq!(ran.err.matches("refused").count(), 1, "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_mean_nothing_are_refused_before_anything_is_asked() {
    let store = Place::files().await;
    for words in [
        &["watch", "--times", "0"][..],
        &["watch", "--every", "0s", "--times", "1"],
        &["--old", "redis://127.0.0.1:1", "sweep"],
        &[
            "--old",
            "redis://127.0.0.1:1",
            "copy",
            "--to",
            "redis://127.0.0.1:1",
        ],
    ] {
        let ran = store.run(words);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{words:?}: {ran:?}");
    }
}

/// With what an application calls its store of Flask's.
#[test]
fn a_store_of_flasks_is_refused_with_the_reason() {
    let directory = scratch_dir();
    let path = directory.path().to_str().unwrap();
    let env = [("SESSION_TYPE", "cachelib"), ("SESSION_CACHELIB", path)];
    for word in ["ls", "count", "sweep"] {
        let ran = run(&[word], &env);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("Flask"), "{ran:?}");
        assert!(!ran.err.contains("Cargo feature"), "{ran:?}");
    }
}

/// A directory whose name was mistyped: nothing is read as sessions there, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_something_else_is_refused_and_left_alone() {
    let directory = scratch_dir();
    fs::write(directory.path().join("letter.txt"), "dear Ada").unwrap();
    let url = format!("file://{}", directory.path().display());
    let store = Place::files().await;
    log_in(&store.sessions(), Some("ada")).await;
    for words in [
        &["--store", &*url, "count"][..],
        &["--store", &url, "doctor"],
        &["--store", &url, "sweep"],
        &["--store", &url, "migrate"],
        &["--store", &store.url, "copy", "--to", &url],
    ] {
        let ran = run(words, &[]);
        let status = if words.contains(&"doctor") { 3 } else { 2 };
        assert_eq!(ran.code, status, "{words:?}: {ran:?}");
        let told = format!("{}{}", ran.out, ran.err);
        assert!(told.contains("something else"), "{words:?}: {told}");
    }
    assert_eq!(names_in(directory.path()), ["letter.txt"]);
}

/// Where there is nothing to end, nobody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_asked_about() {
    let store = Place::sqlite().await;
    for words in [
        &["end", "--all"][..],
        &["end", "--owner", "ada"],
        &["end", "--anonymous", "--idle-for", "7d"],
    ] {
        let out = store.run(words).ok();
        assert!(out.starts_with("0 session(s) ended"), "{words:?}: {out}");
    }
    assert_eq!(store.run(&["ls", "--limit", "0"]).code, 2);
}

/// A cause that repeats what the error says is printed once.
#[test]
fn a_reason_is_printed_once() {
    let ran = run(&["--store", "postgres://u@127.0.0.1:1/d", "count"], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.err.matches("Connection refused").count(), 1, "{ran:?}");
}
