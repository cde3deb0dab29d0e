//! Tests that are run by another test as a process of their own, on the same directory.

use std::{
    env, fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use session_core::{
    IndexEntry, OwnerIndex as _, OwnerKey, Record, Revision, SessionStore as _, StoreKey, Write,
};
use session_fs::FileStore;
use session_tests::scratch_dir;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const DIRECTORY: &str = "SESSION_FS_TEST_DIRECTORY";
const TASK: &str = "SESSION_FS_TEST_TASK";

/// Where a test works: in a directory that another process gave it, or in one of its own.
pub(crate) struct Place {
    directory: PathBuf,
    task: Option<String>,
    _own: Option<TempDir>,
}

impl Place {
    /// A directory of this test alone.
    pub(crate) fn own() -> Self {
        let own = scratch_dir();
        Self {
            directory: own.path().join("sessions"),
            task: None,
            _own: Some(own),
        }
    }

    /// The directory that the process was given, or else one of its own.
    pub(crate) fn given_or_own() -> Self {
        match env::var_os(DIRECTORY) {
            Some(directory) => Self {
                directory: directory.into(),
                task: env::var(TASK).ok(),
                _own: None,
            },
            None => Self::own(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the process was asked to do, or `usual`.
    pub(crate) fn task<'a>(&'a self, usual: &'a str) -> &'a str {
        self.task.as_deref().unwrap_or(usual)
    }

    pub(crate) fn store(&self) -> FileStore {
        FileStore::new(&self.directory)
    }

    /// The command that runs `test` of this test program in this directory, behind the words of `before`.
    pub(crate) fn process(&self, before: &[&str], test: &str, task: &str) -> Command {
        let program = env::current_exe().expect("the system names the running program");
        let mut command = match before {
            [] => Command::new(program),
            [wrapper, words @ ..] => {
                let mut command = Command::new(wrapper);
                command.args(words).arg(program);
                command
            }
        };
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &self.directory)
            .env(TASK, task);
        command
    }
}

/// Tells the process that started this one, if one did.
pub(crate) fn tell(word: impl fmt::Display) {
    if env::var_os(TASK).is_none() {
        return;
    }
    writeln!(io::stdout(), "told: {word}").expect("the output is open");
}

/// What the process told, or a panic with all it wrote if it failed.
pub(crate) fn told(output: &Output) -> Vec<String> {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    words(output)
}

/// What the process told before it ended, in whichever way.
pub(crate) fn words(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once("told: ").map(|(_, word)| word.to_owned()))
        .collect()
}

/// Fails with the line that installs `program` unless it is there.
pub(crate) fn need(program: &str, package: &str) {
    let found = Command::new(program).arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs {program}: apt-get install {package}"
    );
}

/// A runtime all of whose blocking work is done by one thread.
pub(crate) fn one_blocking_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_mins(1))
        .build()
        .expect("there are threads for a runtime")
}

pub(crate) fn key(name: &str) -> StoreKey {
    StoreKey::from_stored(format!("session:{name}"))
}

/// A record that is kept for an hour.
pub(crate) fn record(bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at: SystemTime::now() + Duration::from_hours(1),
        entry: None,
    }
}

/// A record that is kept for `millis` milliseconds; 0 are over, although times are rounded up.
pub(crate) fn brief(millis: u64) -> Record {
    Record {
        expires_at: SystemTime::now() + Duration::from_millis(millis) - Duration::from_millis(1),
        ..record("brief")
    }
}

/// Stores a new record.
pub(crate) async fn put(store: &FileStore, key: &StoreKey, record: &Record) -> Revision {
    match store.insert(key, record).await {
        Ok(Write::Stored(revision)) => revision,
        other => panic!("the record was not stored: {other:?}"),
    }
}

pub(crate) fn ada() -> OwnerKey {
    OwnerKey::from_stored("session:owner:ada")
}

/// `record` with an entry in [`ada`]'s index that has the same time.
pub(crate) fn listed(record: Record) -> Record {
    let entry = IndexEntry {
        owner: ada(),
        expires_at: record.expires_at,
    };
    Record {
        entry: Some(entry),
        ..record
    }
}

/// A record of [`ada`]'s that is kept for an hour.
pub(crate) fn of_ada(bytes: impl Into<Vec<u8>>) -> Record {
    listed(record(bytes))
}

/// The keys that [`ada`]'s index names.
pub(crate) async fn keys_of_ada(store: &FileStore) -> Vec<StoreKey> {
    let page = store.owned_by(&ada(), None, usize::MAX).await.unwrap();
    assert!(page.next.is_none());
    page.records.into_iter().map(|listed| listed.key).collect()
}

/// Every regular file below `directory`.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.expect("the directory can be read");
        let kind = entry.file_type().expect("the file system tells");
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}
