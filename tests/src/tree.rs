//! Sends signals to a process and everything that it started.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::assert_in_time;
use rustix::process::{Pid, Signal, kill_process};

/// Stops a process and everything it started, the parent first so that it cannot start more
/// meanwhile.
///
/// `PostgreSQL` puts each of its processes in a group of its own, so a signal to the group would
/// not reach them.
pub(crate) fn stop(root: Pid) -> Vec<Pid> {
    stop_one(root);
    let mut stopped = vec![root];
    loop {
        let new: Vec<_> = descendants(root)
            .into_iter()
            .filter(|pid| !stopped.contains(pid))
            .collect();
        if new.is_empty() {
            return stopped;
        }
        for pid in &new {
            stop_one(*pid);
        }
        stopped.extend(new);
    }
}

/// The longest that a process takes to stop, or to end: one with some gigabytes gives them back first.
const OBEYED: Duration = Duration::from_secs(60);

/// The signal is sent at once and obeyed a moment later; who froze a server counts on the later.
fn stop_one(pid: Pid) {
    signal(pid, Signal::STOP);
    wait_until(pid, "TtZX", "stop");
}

/// Waits until the process is in one of these states or has ended.
fn wait_until(pid: Pid, states: &str, what: &str) {
    let begin = Instant::now();
    while stat(pid).is_some_and(|(state, _)| !states.contains(state.as_str())) {
        assert_in_time!(begin.elapsed() < OBEYED, "process {pid:?} does not {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

pub(crate) fn resume(root: Pid) {
    let mut pids = descendants(root);
    pids.push(root);
    for pid in pids {
        signal(pid, Signal::CONT);
    }
}

/// Kills them all and waits for their end, or what they share would keep the server from starting
/// again.
pub(crate) fn kill(root: Pid) {
    let pids = stop(root);
    for pid in &pids {
        signal(*pid, Signal::KILL);
    }
    for pid in pids {
        wait_until(pid, "ZX", "die");
    }
}

#[cfg(feature = "sql")]
pub(crate) fn is_stopped(pid: Pid) -> bool {
    stat(pid).is_some_and(|(state, _)| "Tt".contains(&state))
}

/// Whether it is gone, or only waits for its parent to hear of its end.
#[cfg(feature = "sql")]
pub(crate) fn has_ended(pid: Pid) -> bool {
    stat(pid).is_none_or(|(state, _)| "ZX".contains(&state))
}

/// An error because the process has ended already is no error here.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        assert_eq!(
            error,
            rustix::io::Errno::SRCH,
            "cannot signal process {pid:?}"
        );
    }
}

fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw);
        if let Some((pid, (_, Some(parent)))) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![root];
    while let Some(pid) = pending.pop() {
        let of_pid = children.remove(&pid).unwrap_or_default();
        pending.extend(&of_pid);
        found.extend(of_pid);
    }
    found
}

/// State and parent of a process, if it is there.
fn stat(pid: Pid) -> Option<(String, Option<Pid>)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The program's name stands in parentheses and may hold anything, so the fields are counted
    // from its end.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, fields.next()?.parse().ok().and_then(Pid::from_raw)))
}
