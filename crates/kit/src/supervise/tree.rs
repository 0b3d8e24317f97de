//! The processes of this machine and who is below whom, as `/proc` shows it.
//!
//! Agents start each command of a tool in a session of its own (measured: Claude Code 2.1.329, Codex 0.169.0),
//! so that neither a killed agent nor its killed process group takes the command along. Where there is no
//! `/proc`, nothing is found.

use belay_trace::LeftProcess;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fs;

/// How much of a command line is kept to name a process.
const COMMAND_BYTES: usize = 200;

/// All that is below a process, itself not included: parents before their children, the dead left out.
pub(super) fn below(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<(i32, bool)>> = HashMap::new();
    for pid in all() {
        if let Some((parent, is_dead)) = stat(pid) {
            children.entry(parent).or_default().push((pid, is_dead));
        }
    }
    let mut found = vec![(root.as_raw_nonzero().get(), true)];
    let mut next = 0;
    while let Some((parent, _)) = found.get(next).copied() {
        // Removed, so that a table read while it changed cannot lead us in circles.
        found.extend(children.remove(&parent).unwrap_or_default());
        next += 1;
    }
    let alive = found.into_iter().skip(1).filter(|(_, is_dead)| !is_dead);
    alive.filter_map(|(pid, _)| Pid::from_raw(pid)).collect()
}

/// All whose environment has this `NAME=value`: what an agent started keeps it, wherever it hides.
pub(super) fn marked(entry: &str) -> Vec<Pid> {
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|var| var == entry.as_bytes())
    };
    let alive = |pid: &i32| stat(*pid).is_some_and(|(_, is_dead)| !is_dead);
    all().filter(alive).filter(has).filter_map(Pid::from_raw).collect()
}

/// Sends a signal to each.
pub(super) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // A process that is gone needs no signal.
        let _ = kill_process(*pid, signal);
    }
}

/// A process as people know it.
pub(super) fn describe(pid: Pid, killed: bool) -> LeftProcess {
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
