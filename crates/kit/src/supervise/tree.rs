//! The processes below an agent, which a kill of its process group does not reach.
//!
//! Agents start each command of a tool in a session of its own (measured: Claude Code 2.1.329, Codex 0.169.0),
//! so that a killed agent leaves the command running. On Linux the tree is read from `/proc`; elsewhere a kill
//! reaches the group and no further.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fs;

/// What was below a process when we looked.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pids: Vec<Pid>,
}

impl Tree {
    /// Looks now: once its parent is dead, a process is nobody's child.
    pub(crate) fn below(root: Pid) -> Self {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, parent) in processes() {
            children.entry(parent).or_default().push(pid);
        }
        let mut found = vec![root.as_raw_nonzero().get()];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            // Removed, so that a table read while it changed cannot lead us in circles.
            found.extend(children.remove(&parent).unwrap_or_default());
            next += 1;
        }
        Self { pids: found.into_iter().skip(1).filter_map(Pid::from_raw).collect() }
    }

    /// Kills them all.
    pub(crate) fn kill(&self) {
        for pid in &self.pids {
            // A process that is gone needs no signal.
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

/// Every process with its parent; none where there is no `/proc`.
fn processes() -> impl Iterator<Item = (i32, i32)> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(|folder| {
        let pid = folder.file_name().to_str()?.parse().ok()?;
        let stat = fs::read(folder.path().join("stat")).ok()?;
        Some((pid, parent(&stat)?))
    })
}

/// `PID (NAME) STATE PARENT …`; the name may hold anything, also parentheses.
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent(b"7 (a) S 3 (b)) R 42 7 7 0 -1"), Some(42));
        assert_eq!(parent(b"7 (cut"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_grandchild_in_a_session_of_its_own_is_below_us() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "setsid sleep 60 & wait"])
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&shell);
        let tree = loop {
            let tree = Tree::below(pid);
            let sleeps = |pid: &Pid| {
                let path = format!("/proc/{}/comm", pid.as_raw_nonzero());
                fs::read_to_string(path).is_ok_and(|name| name == "sleep\n")
            };
            if tree.pids.iter().any(sleeps) {
                break tree;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        tree.kill();
        // The shell waits for what we have killed.
        assert!(shell.wait().unwrap().code().is_some());
        assert!(tree.pids.iter().all(|pid| !is_alive(*pid)));
    }

    #[cfg(target_os = "linux")]
    fn is_alive(pid: Pid) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}
