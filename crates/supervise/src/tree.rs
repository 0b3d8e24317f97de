//! The processes of this machine and who is below whom, as `/proc` shows it.
//!
//! Agents start each command of a tool in a session of its own (measured: Claude Code 2.1.329, Codex 0.169.0),
//! so that neither a killed agent nor its killed process group takes the command along. Where there is no
//! `/proc`, nothing is found.

use crate::LeftProcess;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// How much of a command line is kept to name a process.
const COMMAND_BYTES: usize = 200;

/// All that is below a process, itself not included: parents before their children, the dead left out.
pub(crate) fn below(root: Pid) -> Vec<Pid> {
    // A kernel without these files makes us read the whole table.
    let has_lists = Path::new("/proc/self/task").join(thread_name()).join("children").exists();
    let mut table = if has_lists { HashMap::new() } else { parents() };
    let mut found = vec![root.as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = match has_lists {
            true => listed(parent),
            false => table.remove(&parent).unwrap_or_default(),
        };
        for child in children {
            // A table that is read while it changes could lead us in circles.
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    let alive = found.into_iter().skip(1).filter(|pid| is_alive(*pid));
    alive.filter_map(Pid::from_raw).collect()
}

/// The children of a process, also those that are dead.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    listed(parent.as_raw_nonzero().get()).into_iter().filter_map(Pid::from_raw).collect()
}

/// The children of a process: of each of its threads.
fn listed(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut children = Vec::new();
    for list in lists {
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    children
}

/// The name of one of our threads, of which there is always the first.
fn thread_name() -> String {
    std::process::id().to_string()
}

/// All processes by their parents.
fn parents() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all() {
        if let Some((parent, _)) = stat(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(_, is_dead)| !is_dead)
}

/// Whether `/proc` shows the processes that this one can see: in a PID namespace it can be that of another.
pub(crate) fn is_ours() -> bool {
    let own = fs::read_link("/proc/self").ok();
    own.is_some_and(|own| own.to_str() == Some(&std::process::id().to_string()))
}

/// All whose environment has this `NAME=value`: what an agent started keeps it, wherever it hides.
pub(crate) fn marked(entry: &str) -> Vec<Pid> {
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|var| var == entry.as_bytes())
    };
    all().filter(|pid| is_alive(*pid)).filter(has).filter_map(Pid::from_raw).collect()
}

/// Sends a signal to each.
pub(crate) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // A process that is gone needs no signal.
        let _ = kill_process(*pid, signal);
    }
}

/// A process as people know it.
pub(crate) fn describe(pid: Pid, killed: bool) -> LeftProcess {
    let raw = pid.as_raw_nonzero();
    let mut line = fs::read(format!("/proc/{raw}/cmdline")).unwrap_or_default();
    if line.is_empty() {
        line = fs::read(format!("/proc/{raw}/comm")).unwrap_or_default();
    }
    line.truncate(COMMAND_BYTES);
    let command = String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned();
    LeftProcess { pid: raw.get().unsigned_abs(), command, killed }
}

/// The ids of all processes.
fn all() -> impl Iterator<Item = i32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok())
}

/// A process's parent, and whether it is dead and only waits to be reaped.
fn stat(pid: i32) -> Option<(i32, bool)> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE PARENT …`; the name may hold anything, also parentheses.
fn parse(stat: &[u8]) -> Option<(i32, bool)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut rest = str::from_utf8(&stat[end + 1..]).ok()?.split_whitespace();
    let is_dead = matches!(rest.next()?, "Z" | "X");
    Some((rest.next()?.parse().ok()?, is_dead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parse(b"7 (a) S 3 (b)) R 42 7 7 0 -1"), Some((42, false)));
        assert_eq!(parse(b"7 (a) Z 42 7"), Some((42, true)));
        assert_eq!(parse(b"7 (cut"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_grandchild_in_a_session_of_its_own_is_below_us_and_carries_the_mark() {
        let entry = format!("BELAY_TEST_MARK={}", std::process::id());
        let (name, value) = entry.split_once('=').unwrap();
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "setsid sleep 60 & wait"])
            .env(name, value)
            .spawn()
            .unwrap();
        let is_sleep = |pid: &Pid| describe(*pid, false).command == "sleep 60";
        let sleep = loop {
            if let Some(sleep) = below(Pid::from_child(&shell)).into_iter().find(is_sleep) {
                break sleep;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(marked(&entry).contains(&sleep));
        signal(&[sleep], Signal::KILL);
        // The shell waits for what we have killed.
        assert!(shell.wait().unwrap().code().is_some());
        assert!(stat(sleep.as_raw_nonzero().get()).is_none_or(|(_, is_dead)| is_dead));
    }
}
