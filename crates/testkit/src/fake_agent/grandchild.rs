//! A process that the agent leaves behind: this binary once more, asleep.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::Grandchild;

/// The first argument of the grandchild; nobody else would pass it to an agent.
const SLEEPER: &str = "--belay-fake-agent-sleeper";
const OWN_SESSION: &str = "setsid";

/// Starts the grandchild and returns its process id once it sleeps in the session it should be in.
pub(crate) fn start(grandchild: Grandchild) -> io::Result<u32> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SLEEPER).arg(grandchild.seconds.to_string());
    if grandchild.setsid {
        command.arg(OWN_SESSION);
    }
    let stdout = if grandchild.holds_stdout { Stdio::inherit() } else { Stdio::null() };
    // Stderr is our pipe and not the agent's, so that `holds_stdout` is the only handle it holds.
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut ready = String::new();
    BufReader::new(child.stderr.take().expect("stderr is piped")).read_line(&mut ready)?;
    if ready.trim_end() != "ready" {
        return Err(io::Error::other(format!("the grandchild did not start: {ready}")));
    }
    Ok(child.id())
}

/// Sleeps and returns true when this process was started as a grandchild.
pub(crate) fn slept(argv: &[OsString]) -> io::Result<bool> {
    if argv.get(1).is_none_or(|argument| argument != SLEEPER) {
        return Ok(false);
    }
    if argv.get(3).is_some_and(|argument| argument == OWN_SESSION) {
        rustix::process::setsid()?;
    }
    writeln!(io::stderr(), "ready")?;
    let seconds = argv.get(2).and_then(|seconds| seconds.to_str()?.parse().ok());
    thread::sleep(Duration::from_secs(seconds.expect("our parent passes a number of seconds")));
    Ok(true)
}
