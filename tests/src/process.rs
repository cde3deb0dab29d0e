//! A process with its output in files.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::guard::Guard;
use crate::host::Host;
use crate::tree;

/// How a process is started, the first time and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env_removed: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Where it works, unless in the directory of its output.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) account: Option<Account>,
    /// Asked to end by this before it is killed, where a kill would leave something behind in the
    /// system.
    pub(crate) farewell: Option<Signal>,
}

impl Recipe {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self {
            program,
            ..Self::default()
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// A process with its output in files, which ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    recipe: Recipe,
    directory: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pid: Pid,
    _guard: Guard,
}

impl Process {
    pub(crate) fn new(recipe: Recipe, directory: &Path) -> Self {
        Self {
            recipe,
            directory: directory.to_owned(),
            running: Mutex::new(None),
        }
    }

    pub(crate) fn launch(&self) -> io::Result<()> {
        let mut command = Command::new(&self.recipe.program);
        command
            .args(&self.recipe.args)
            .current_dir(self.recipe.directory.as_ref().unwrap_or(&self.directory))
            .envs(self.recipe.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(append(&self.directory.join("stdout"))?)
            .stderr(append(&self.directory.join("stderr"))?);
        for name in &self.recipe.env_removed {
            if !self.recipe.env.iter().any(|(given, _)| given == name) {
                command.env_remove(name);
            }
        }
        if let Some(account) = self.recipe.account {
            account.run(&mut command);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let guard = Guard::over(pid, &self.directory);
        *self.running() = Some(Running {
            child,
            pid,
            _guard: guard,
        });
        Ok(())
    }

    /// Sends `signal` to the process itself.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.id() {
            tree::signal(pid, signal);
        }
    }

    fn id(&self) -> Option<Pid> {
        self.running().as_ref().map(|running| running.pid)
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.directory.join("stdout")).unwrap_or_default()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap_or_default()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Process {
    fn start(&self) -> Result<(), String> {
        self.launch().map_err(|error| error.to_string())
    }

    fn kill(&self) {
        if let Some(mut running) = self.running().take() {
            tree::kill(running.pid);
            running.child.wait().expect("a child can be waited for");
        }
    }

    fn freeze(&self) {
        if let Some(pid) = self.id() {
            tree::stop(pid);
        }
    }

    fn thaw(&self) {
        if let Some(pid) = self.id() {
            tree::resume(pid);
        }
    }

    fn pid(&self) -> Option<i32> {
        self.id().map(|pid| pid.as_raw_nonzero().get())
    }

    fn exited(&self) -> Option<ExitStatus> {
        let mut running = self.running();
        let status = running
            .as_mut()?
            .child
            .try_wait()
            .expect("a child can be waited for");
        if status.is_some() {
            *running = None;
        }
        status
    }

    fn output(&self) -> String {
        self.stdout() + &self.stderr()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(signal) = self.recipe.farewell {
            self.thaw();
            self.signal(signal);
            let begin = Instant::now();
            while self.id().is_some()
                && self.exited().is_none()
                && begin.elapsed() < Duration::from_secs(3)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.kill();
    }
}

fn append(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().create(true).append(true).open(path)
}
