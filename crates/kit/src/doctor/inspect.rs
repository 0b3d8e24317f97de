//! An agent of which nothing is known but its command: it is started, and says itself what it is.

use super::{Finding, Level};
use crate::{Client, environment, limits};
use belay_agents::{Heard, Inspection, Launch, Readiness, RunRequest, Transport};
use belaykit_supervise::{Next, Tool};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How the agent is started for a run.
pub(super) fn launch(turn: &Client) -> Result<Launch, belay_trace::Failure> {
    turn.launch(&RunRequest::new(""), Transport::Dialogue)
}

/// What it says of itself, within [`limits::INSPECTION`].
pub(super) async fn findings(
    turn: &Client,
    inspection: Inspection,
    program: &Path,
    launch: &Launch,
    mut env: Vec<(OsString, OsString)>,
) -> Vec<Finding> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    environment::move_to(&mut env, Some(&cwd));
    let tool = Tool::new(program, limits::INSPECTION).supervisor(turn.supervisor.as_deref());
    let tool = tool.args(&turn.leading_args).args(&launch.args).env(env).cwd(&cwd);
    let shared = Arc::new(Mutex::new(inspection));
    let inspecting = Arc::clone(&shared);
    let mut read = 0;
    let answered = move |stdout: &[u8]| {
        let mut inspection = inspecting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = Vec::new();
        while let Some(end) = stdout[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&stdout[read..read + end]).into_owned();
            read += end + 1;
            match inspection.hear(&line, &cwd) {
                Heard::Nothing => {}
                Heard::Say(bytes) => said.extend(bytes),
                Heard::Enough => return Next::Enough,
            }
        }
        if said.is_empty() { Next::Wait } else { Next::Say(said) }
    };
    let finished = tool.stdin(Inspection::hello()).talked_with(answered).await;
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            let words = format!("it cannot be started: {error}");
            return vec![Finding::new(Level::Problem, "program", words)];
        }
    };
    let inspection = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let learned = inspection.learned().into_iter();
    let mut findings: Vec<_> = learned
        .map(|learned| {
            let level = match learned.standing {
                Readiness::Ready => Level::Ok,
                Readiness::Unknown => Level::Warning,
                Readiness::NotReady => Level::Problem,
            };
            Finding::new(level, learned.about, learned.words)
        })
        .collect();
    if findings.iter().any(|finding| finding.level == Level::Problem) {
        findings.extend(last_words(&finished.stderr));
    } else {
        findings.push(Finding::ok("configuration", entry(turn, program, launch)));
    }
    findings
}

/// The last line that it printed for people: it may say why.
fn last_words(stderr: &[u8]) -> Option<Finding> {
    let text = String::from_utf8_lossy(stderr).into_owned();
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let line: String = belay_trace::plain(line).chars().take(200).collect();
    Some(Finding::new(Level::Note, "stderr", line))
}

/// What puts the agent into the configuration file.
fn entry(turn: &Client, program: &Path, launch: &Launch) -> String {
    let words = std::iter::once(program.to_string_lossy().into_owned());
    let words = words.chain(turn.leading_args.iter().map(|arg| arg.to_string_lossy().into_owned()));
    let words: Vec<_> = words.chain(launch.args.iter().cloned()).collect();
    let command = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let command = format!("acp:{command}").replace('\\', "\\\\").replace('"', "\\\"");
    format!("chain = [\"{command}\"] in belay's configuration file makes it the agent of every run")
}

/// A word as a shell would be given it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=:@+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
