//! Which runs of a trace are at work: each holds a lock on a small file beside the trace, which the system takes
//! away when its process dies, however that dies.

use crate::{Node, TraceId};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of these files, in the folder of the traces.
pub const RUNNING_DIR: &str = ".running";

/// What such a file holds, for people and for who finds it when everything else is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningMark {
    /// The trace that the run writes.
    pub trace: String,
    /// The process that writes it. Another one may have this number by now: the lock says whether it lives.
    pub pid: u32,
}

/// The file of a run, if its id can be one.
pub fn running_file(dir: &Path, run: &str) -> Option<PathBuf> {
    TraceId::new(run).ok().map(|id| dir.join(RUNNING_DIR).join(id.as_str()))
}

/// The runs that the trace in `dir` shows at work and nobody works on any more, in order.
///
/// A run that has ended between the reading of `tree` and this call seems dead too: whoever does not hold the lock
/// of the folder reads the tree once more before it believes it.
pub fn dead_runs(dir: &Path, tree: &Node) -> Vec<String> {
    let runs = tree.running().into_iter();
    runs.filter(|run| !is_at_work(dir, run)).map(str::to_owned).collect()
}

/// True while the process that writes this run's part lives, and when that cannot be found out.
pub fn is_at_work(dir: &Path, run: &str) -> bool {
    // A name that no file can have is not one of our runs'.
    let Some(path) = running_file(dir, run) else { return false };
    // Not through a link, and not waiting for a pipe.
    match fs::symlink_metadata(&path) {
        Ok(data) if data.is_file() => {}
        Ok(_) => return false,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    }
    match File::open(&path).map(|file| file.try_lock_shared()) {
        Ok(Ok(())) => false,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeStatus;

    #[test]
    fn a_run_is_dead_when_nobody_holds_its_file() {
        let dir = std::env::temp_dir().join(format!("belay-running-{}", std::process::id()));
        fs::create_dir_all(dir.join(RUNNING_DIR)).unwrap();
        let child = |run: &str| Node {
            run: run.to_owned(),
            status: Some(NodeStatus::Running),
            ..Node::default()
        };
        let names = ["held", "left", "gone", "linked", "../held", ""];
        let tree = Node { children: names.map(child).into(), ..Node::default() };
        let file = |run: &str| running_file(&dir, run).unwrap();
        let held = File::create(file("held")).unwrap();
        held.lock().unwrap();
        File::create(file("left")).unwrap();
        std::os::unix::fs::symlink(file("held"), file("linked")).unwrap();
        assert_eq!(dead_runs(&dir, &tree), ["left", "gone", "linked", "../held"]);
        drop(held);
        assert_eq!(dead_runs(&dir, &tree).len(), 5);
        fs::remove_dir_all(dir).unwrap();
    }
}
