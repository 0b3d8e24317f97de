//! The processes of this machine, as `/proc` shows them.

use rustix::process::Pid;
use std::fs;

/// A process that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// As `ps` shows it: `S` sleeps, `T` is stopped.
    pub(crate) state: char,
    pub(crate) command: String,
}

/// Every process that is alive; one that is dead and waits for its parent is not.
pub(crate) fn processes() -> Vec<Process> {
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

pub(crate) fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next().filter(|state| !matches!(state, 'Z' | 'X'))?;
    let parent = words.next()?.parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(Process { pid, parent, state, command })
}

/// The supervisors that a `belay` has started.
pub(crate) fn supervisors_of(belay: u32) -> Vec<u32> {
    let is_one = |p: &Process| p.parent == belay && p.command.starts_with("belay-supervisor ");
    processes().into_iter().filter(is_one).map(|process| process.pid).collect()
}

/// `pid`, as a signal wants it.
pub(crate) fn pid(raw: u32) -> Pid {
    Pid::from_raw(i32::try_from(raw).unwrap()).unwrap()
}
