//! What all agents need of a machine.

use super::{Finding, Level};
use crate::handover::git;
use crate::journal::Journal;
use crate::{Environment, limits};
use belaykit_supervise::{Containment, Output, Process, Start, Supervisor, Tool};
use rustix::fs::{Access, access};
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Where belay keeps what it writes.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Of journals and breakers.
    pub state_dir: Option<PathBuf>,
    /// Of traces.
    pub trace_dir: Option<PathBuf>,
    /// The program that ends what an agent has started, if the program that asks is none.
    pub supervisor: Option<PathBuf>,
}

/// Looks at the machine: whether what an agent starts can be ended, whether journals and traces can be written, and
/// whether git is there, which unfinished work is told by.
///
/// # Panics
/// When it is called outside a tokio runtime.
pub async fn machine(env: &Environment, places: &Places) -> Vec<Finding> {
    vec![
        containment(places.supervisor.as_deref()).await,
        state(places.state_dir.as_deref()),
        traces(places.trace_dir.as_deref()),
        git(env, places.supervisor.as_deref()).await,
    ]
}

/// Starts a program that ends at once, as an agent is started.
async fn containment(supervisor: Option<&Path>) -> Finding {
    let about = "containment";
    let (inbox, _output) = mpsc::channel::<Output>(1);
    let start = Start {
        program: Path::new("/bin/sh"),
        args: &["-c".into(), ":".into()],
        env: Vec::new(),
        cwd: None,
        sigint: false,
        leave_running: false,
        deadline: None,
        run_id: "doctor",
    };
    let supervisor = Supervisor::start(supervisor);
    let mut process = match Process::start(start, supervisor, inbox).await {
        Ok(process) => process,
        Err(error) => {
            return Finding::new(
                Level::Problem,
                about,
                format!("no program can be started: {error}"),
            );
        }
    };
    process.wait().await;
    match process.containment() {
        Containment::Subreaper => Finding::ok(
            about,
            "whatever an agent starts is found and ended, also when belay is killed",
        ),
        _ => {
            let why = process.why_unsupervised().unwrap_or("there is no supervisor");
            let found =
                format!("what an agent starts in a session of its own may outlive it: {why}");
            Finding::new(Level::Warning, about, found)
        }
    }
}

fn state(dir: Option<&Path>) -> Finding {
    let about = "state";
    let Some(dir) = dir else {
        return Finding::new(Level::Warning, about, "there is no folder for journals")
            .hint("set HOME, XDG_STATE_HOME or BELAY_STATE_DIR");
    };
    match Journal::check(dir) {
        Ok(()) => Finding::ok(about, format!("{} can be written", dir.display())),
        Err(failure) => Finding::new(Level::Problem, about, failure.message)
            .hint("choose another folder with --state-dir or BELAY_STATE_DIR"),
    }
}

fn traces(dir: Option<&Path>) -> Finding {
    let about = "traces";
    let Some(dir) = dir else { return Finding::new(Level::Note, about, "no traces are written") };
    match writable(dir) {
        Ok(()) => Finding::ok(about, format!("{} can be written", dir.display())),
        Err(error) => {
            let found = format!("traces cannot be written to {}: {error}", dir.display());
            Finding::new(Level::Problem, about, found)
                .hint("choose another folder with --trace-dir, or run with --no-trace")
        }
    }
}

/// Whether a file could be made there; makes nothing, because nobody has asked for a folder yet.
fn writable(dir: &Path) -> io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let there = dir.ancestors().find(|folder| folder.exists()).unwrap_or(&dir);
    if !there.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    Ok(access(there, Access::WRITE_OK | Access::EXEC_OK)?)
}

async fn git(env: &Environment, supervisor: Option<&Path>) -> Finding {
    let about = "git";
    let missing = || {
        Finding::new(
            Level::Warning,
            about,
            "not found: unfinished work is handed over without a diff",
        )
        .hint("install git")
    };
    let Some(path) = git::program(env, None) else { return missing() };
    let tool = Tool::new(&path, limits::VERSION).args(["--version"]).supervisor(supervisor);
    match tool.finished().await {
        Ok(finished) if finished.is_success() => {
            let line = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
            Finding::ok(about, format!("{line} ({})", path.display()))
        }
        _ => Finding::new(Level::Warning, about, format!("{} does not run", path.display())),
    }
}
