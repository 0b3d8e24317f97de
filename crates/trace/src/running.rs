//! Which runs of a trace are at work: each holds a lock on a small file beside the trace, which the system takes
//! away when its process dies, however that dies.

use crate::liveness::{self, Liveness};
use crate::{Node, RunProcess, TraceId};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _};
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
    /// The same with its machine, where locks may be none or kept to each machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<RunProcess>,
}

/// How much is read of a mark: belay writes less than half of it.
const MARK_BYTES_MAX: u64 = 1024;

impl RunningMark {
    /// What stands in a mark; one that cannot be read belongs to no trace.
    pub fn read(file: &File) -> Self {
        let mut text = String::new();
        let read = file.take(MARK_BYTES_MAX).read_to_string(&mut text);
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

/// True while the run of an opened mark may be at work: its process lives, or that cannot be found out here.
pub fn is_mark_held(file: &File, mark: &RunningMark) -> bool {
    match (liveness::held(file), &mark.process) {
        (Some(true), _) => true,
        (None, None) => true,
        (held, process) => liveness::of(held, process.as_ref(), file) != Liveness::Gone,
    }
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
    match File::open(&path) {
        Ok(file) => is_mark_held(&file, &RunningMark::read(&file)),
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
