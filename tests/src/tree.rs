use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Stops a process and everything it started, the parent first so that it cannot start more meanwhile.
///
/// `PostgreSQL` puts each of its processes in a group of its own, so a signal to the group would not reach them.
pub(crate) fn stop(root: Pid) -> Vec<Pid> {
    signal(root, Signal::STOP);
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
            signal(*pid, Signal::STOP);
        }
        stopped.extend(new);
    }
}

pub(crate) fn resume(root: Pid) {
    let mut pids = descendants(root);
    pids.push(root);
    for pid in pids {
        signal(pid, Signal::CONT);
    }
}

pub(crate) fn kill(root: Pid) {
    for pid in stop(root) {
        signal(pid, Signal::KILL);
    }
}

/// A process that is gone already is what the caller wanted.
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
        if let Some((pid, parent)) = parentage(&entry.path().join("stat")) {
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

fn parentage(stat: &std::path::Path) -> Option<(Pid, Pid)> {
    let text = fs::read_to_string(stat).ok()?;
    let pid = text
        .split(' ')
        .next()?
        .parse()
        .ok()
        .and_then(Pid::from_raw)?;
    // The program's name stands in parentheses and may hold anything, so the fields are counted from its end.
    let parent = text
        .rsplit(')')
        .next()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok();
    Some((pid, parent.and_then(Pid::from_raw)?))
}
