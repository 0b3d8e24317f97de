//! Placing the fake agent where a runner looks for the real one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Log, Play};

/// How far above the test executable the binary can be: `target/debug/deps/` is one step.
const STEPS_UP_MAX: usize = 4;

/// A fake agent that lies in a folder under an agent's name, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeAgent {
    program: PathBuf,
    log: PathBuf,
}

impl FakeAgent {
    /// Puts the binary into `dir` under this name and its play beside it; a second call replaces both.
    pub fn new(dir: &Path, name: &str, play: &Play) -> io::Result<Self> {
        let program = dir.join(name);
        let log = play.log.clone().unwrap_or_else(|| dir.join(format!("{name}.log.jsonl")));
        let play = Play { log: Some(log.clone()), ..play.clone() };
        fs::write(play_path(&program), serde_json::to_vec_pretty(&play)?)?;
        if program.exists() {
            fs::remove_file(&program)?;
        }
        link_or_copy(&fake_agent_binary()?, &program)?;
        Ok(Self { program, log })
    }

    /// The program to start.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What it was given so far, over all its starts; empty before the first.
    ///
    /// # Panics
    ///
    /// When the log is not what a fake agent writes.
    pub fn log(&self) -> Log {
        Log::read(&self.log)
    }
}

/// The `fake-agent` binary that was built together with the running test.
pub fn fake_agent_binary() -> io::Result<PathBuf> {
    binary("fake-agent")
}

/// The supervisor that was built together with the running test.
///
/// # Panics
///
/// When there is none.
pub fn supervisor() -> PathBuf {
    binary("belay-supervisor").unwrap_or_else(|error| panic!("{error}"))
}

/// A program of this workspace that was built together with the running test.
pub(crate) fn binary(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders = test.ancestors().skip(1).take(STEPS_UP_MAX);
    folders.map(|folder| folder.join(&name)).find(|path| path.is_file()).ok_or_else(|| {
        let why = format!(
            "no {name} beside {} or above it; build it with `cargo build --workspace --bins`",
            test.display()
        );
        io::Error::new(io::ErrorKind::NotFound, why)
    })
}

/// The file a fake agent reads its play from.
pub(crate) fn play_path(program: &Path) -> PathBuf {
    let mut path = program.as_os_str().to_owned();
    path.push(".play.json");
    path.into()
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    // Another file system. `cp` and not fs::copy: while we hold the new file open for writing, a
    // fork in another test thread inherits that handle, and starting the file fails with ETXTBSY.
    let status = Command::new("cp").arg("-p").arg(from).arg(to).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("cannot copy {} to {}", from.display(), to.display())))
}
