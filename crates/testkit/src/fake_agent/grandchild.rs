//! Processes that the agent starts and does not wait for: this binary once more, asleep.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Child, Grandchild, Place, Signal, signals};

/// The first argument of such a process; nobody else would pass it to an agent. The second says what it does.
const SLEEPER: &str = "--belay-fake-agent-sleeper";
/// The same for one that starts the sleeper and is gone.
const FORKER: &str = "--belay-fake-agent-forker";

impl From<Grandchild> for Child {
    fn from(grandchild: Grandchild) -> Self {
        Self {
            place: if grandchild.setsid { Place::OwnSession } else { Place::Group },
            holds_stdout: grandchild.holds_stdout,
            seconds: grandchild.seconds,
            ..Self::default()
        }
    }
}

/// Starts the process and returns its id once it sleeps where it should be.
pub(crate) fn start(child: &Child) -> io::Result<u32> {
    let stdout = if child.holds_stdout { Stdio::inherit() } else { Stdio::null() };
    let first = if child.place == Place::Daemon { FORKER } else { SLEEPER };
    let mut command = command(first, child)?;
    // Stderr is our pipe and not the agent's, so that `holds_stdout` is the only handle it holds.
    let mut started = command.stdout(stdout).stderr(Stdio::piped()).spawn()?;
    let mut ready = String::new();
    BufReader::new(started.stderr.take().expect("stderr is piped")).read_line(&mut ready)?;
    if first == FORKER {
        started.wait()?;
    }
    let pid = ready.trim_end().strip_prefix("ready ").and_then(|pid| pid.parse().ok());
    pid.ok_or_else(|| io::Error::other(format!("the child did not start: {ready}")))
}

/// Does the work of such a process, and returns true when this one is such a process.
pub(crate) fn slept(argv: &[OsString]) -> io::Result<bool> {
    let Some(role) = argv.get(1).filter(|role| *role == SLEEPER || *role == FORKER) else {
        return Ok(false);
    };
    let orders = argv.get(2).and_then(|orders| orders.to_str()).unwrap_or_default();
    let child: Child = serde_json::from_str(orders)?;
    if role == FORKER {
        rustix::process::setsid()?;
        command(SLEEPER, &Child { place: Place::OwnSession, ..child })?.spawn()?;
        return Ok(true);
    }
    if child.place != Place::Group {
        rustix::process::setsid()?;
    }
    if child.stubborn {
        signals::ignore(&[Signal::Int, Signal::Term, Signal::Hup])?;
    }
    writeln!(io::stderr(), "ready {}", process::id())?;
    thread::sleep(Duration::from_secs(child.seconds));
    Ok(true)
}

/// This binary in the given role; stdout and stderr are inherited.
fn command(role: &str, child: &Child) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).arg(serde_json::to_string(child)?).stdin(Stdio::null());
    if child.no_env {
        command.env_clear();
    }
    Ok(command)
}
