//! Half-done work, told to whoever goes on with it.
//!
//! What an agent leaves behind when it fails is a changed folder and what was seen of its doings; the next one gets
//! both as text, marked as what it is: words of another program, which are no orders.

mod brief;
mod compare;
mod diff;
pub(crate) mod git;
mod ignored;
mod index;
mod object;
mod patience;
mod repository;
mod snapshot;
mod stat;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod work;

pub(crate) use self::tree::{Base, Changes};
pub(crate) use self::work::Work;
use crate::redact::Redactor;
use crate::{Environment, Redaction};
use belay_trace::{Event, Failure, FailureKind, Record};
use std::path::{Path, PathBuf};

/// Where files may be that are no one's work.
fn temp_folder(env: &Environment) -> PathBuf {
    let named = env.get("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    named.unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// What an agent is told that goes on in its own session.
pub(crate) fn go_on(kind: FailureKind) -> String {
    format!(
        "Your last turn was cut off ({kind}) before it was done. Look at the state of the work first, since what \
         you did last may be half done or may not have taken effect, and then go on until the task is done."
    )
}

/// The prompt for an agent that goes on with the work of a stored run: its task, why the run ended, what was done
/// and changed, and what was under way.
///
/// `folder` is where the run worked; what is not committed there is told, because nobody knows what it was like
/// before. The values of secret variables of `env`, and what looks like a secret, are redacted there.
pub fn handoff(
    task: &str,
    folder: Option<&Path>,
    env: &Environment,
    records: impl IntoIterator<Item = Record>,
) -> String {
    let (mut work, mut from) = (Work::default(), "an agent".to_owned());
    let message = "it was cut off: nobody has noted how it ended";
    let mut failure = Failure::new(FailureKind::Crashed, message);
    for record in records {
        match &record.event {
            Event::AttemptStarted(started) => {
                from = match &started.model {
                    Some(model) => format!("{}:{model}", record.agent),
                    None => record.agent.clone(),
                };
                work.begin(&record.agent);
            }
            Event::AttemptEnded(ended) => {
                let message = "it had answered";
                let answered = || Failure::new(FailureKind::Unknown, message);
                failure = ended.failure.clone().unwrap_or_else(answered);
            }
            event => work.see(event),
        }
    }
    let nowhere = || Changes::unknown("nobody knows where the run worked");
    let changes = folder.map_or_else(nowhere, |folder| tree::uncommitted(folder, env));
    let redactor = Redactor::new(&Redaction::default(), env, None);
    work.brief(task, &from, &failure, &changes, &redactor)
}
