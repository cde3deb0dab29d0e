//! Helpers: a directory for a test, processes that run another test in it, and records.

use std::{
    env,
    error::Error,
    fmt, fs,
    io::{self, Write as _},
    iter::successors,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use session_core::{
    IndexEntry, OwnerIndex as _, OwnerKey, Record, Revision, SessionStore, StoreKey, Write,
};
use session_fs::FileStore;
use session_tests::scratch_dir;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const DIRECTORY: &str = "SESSION_FS_TEST_DIRECTORY";
const TASK: &str = "SESSION_FS_TEST_TASK";

/// The directory of a store. A test that runs as a child process uses the directory of its parent.
pub(crate) struct TestDirectory {
    directory: PathBuf,
    task: Option<String>,
    _temporary: Option<TempDir>,
}

impl TestDirectory {
    /// Creates a directory that no other test uses.
    pub(crate) fn new() -> Self {
        let temporary = scratch_dir();
        Self {
            directory: temporary.path().join("sessions"),
            task: None,
            _temporary: Some(temporary),
        }
    }

    /// The directory of the process that started this one, or a new one.
    pub(crate) fn inherited_or_new() -> Self {
        match env::var_os(DIRECTORY) {
            Some(directory) => Self {
                directory: directory.into(),
                task: env::var(TASK).ok(),
                _temporary: None,
            },
            None => Self::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// The task of this process, or `default` if no other process started it.
    pub(crate) fn task<'a>(&'a self, default: &'a str) -> &'a str {
        self.task.as_deref().unwrap_or(default)
    }

    pub(crate) fn store(&self) -> FileStore {
        FileStore::new(&self.directory)
    }

    /// The command that runs `test` of this test program in this directory, started by `wrapper`.
    pub(crate) fn command(&self, wrapper: &[&str], test: &str, task: &str) -> Command {
        let program = env::current_exe().expect("the system names the running program");
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, arguments @ ..] => {
                let mut command = Command::new(first);
                command.args(arguments).arg(program);
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

/// Reports a word to the process that started this one, if one did.
pub(crate) fn report(word: impl fmt::Display) {
    if env::var_os(TASK).is_none() {
        return;
    }
    writeln!(io::stdout(), "report: {word}").expect("the output is open");
}

/// The reports of a process that succeeded. Panics with its output if it failed.
pub(crate) fn reports(output: &Output) -> Vec<String> {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    reports_before_exit(output)
}

/// The reports of a process, whether it succeeded or not.
pub(crate) fn reports_before_exit(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once("report: ").map(|(_, word)| word.to_owned()))
        .collect()
}

/// Fails with the command that installs `program` if it is absent.
pub(crate) fn require_program(program: &str, package: &str) {
    let found = Command::new(program).arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs {program}: apt-get install {package}"
    );
}

/// A runtime that runs all blocking work on one thread.
pub(crate) fn one_blocking_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_secs(60))
        .build()
        .expect("there are threads for a runtime")
}

pub(crate) fn key(name: &str) -> StoreKey {
    StoreKey::from_stored(format!("session:{name}"))
}

/// A record that expires in an hour.
pub(crate) fn record(bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at: SystemTime::now() + Duration::from_secs(3600),
        entry: None,
    }
}

/// A record that expires in `millis` milliseconds. With 0 it has expired, although times are
/// rounded up.
pub(crate) fn short_lived(millis: u64) -> Record {
    Record {
        expires_at: SystemTime::now() + Duration::from_millis(millis) - Duration::from_millis(1),
        ..record("short-lived")
    }
}

/// Inserts a record.
pub(crate) async fn insert_new(
    store: &dyn SessionStore,
    key: &StoreKey,
    record: &Record,
) -> Revision {
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
        provider_session: None,
        owner: ada(),
        expires_at: record.expires_at,
    };
    Record {
        entry: Some(entry),
        ..record
    }
}

/// A record of [`ada`]'s that expires in an hour.
pub(crate) fn of_ada(bytes: impl Into<Vec<u8>>) -> Record {
    listed(record(bytes))
}

/// The keys in [`ada`]'s index.
pub(crate) async fn keys_of_ada(store: &FileStore) -> Vec<StoreKey> {
    let page = store.owned_by(&ada(), None, usize::MAX).await.unwrap();
    assert!(page.next.is_none());
    page.records.into_iter().map(|listed| listed.key).collect()
}

/// The messages of an error and of all its causes, as a log shows them.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
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
