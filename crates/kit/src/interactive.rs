//! A person at the agent's own terminal program.

use crate::client::check_surroundings;
use crate::private_files::{self, FileArgs, PrivateFiles};
use crate::session_lock::{self, Claim, SessionLocks};
use crate::temp_folder::TempFolder;
use crate::{Client, Error, RunRequest, environment, interpreter, limits, program};
use belay_agents::{Transport, WhenInUse};
use belay_trace::{Failure, FailureKind};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often is looked whether the agent of a killed run has ended.
const LOOK: Duration = Duration::from_millis(20);

/// An agent's own terminal program, ready to be started with its standard streams inherited.
///
/// Nothing of such a session is seen, counted or kept by belay: it is the person's own.
#[derive(Debug)]
#[non_exhaustive]
pub struct Interactive {
    /// What to start.
    pub command: Command,
    /// What the person should know first: runs that may edit the same files, a session that cannot be locked.
    pub warnings: Vec<String>,
    /// The session that the person is in, as long as this lives.
    locks: Option<SessionLocks>,
    /// What it reads at its start; gone when this is dropped.
    _files: FileArgs,
    _temp_folder: Option<TempFolder>,
}

impl Client {
    /// Prepares the agent's own terminal program for a person; starts nothing.
    ///
    /// The prompt, if the request has one, stands in the arguments, where other users of the machine can see it:
    /// there is no other way to hand it to a terminal program. The environment is that of a run and what a
    /// person's terminal and editor need.
    ///
    /// A session that is resumed is this one's until the value is dropped; one that is in use is an error, unless
    /// the request is to [`Force`](WhenInUse::Force) it: nobody is made to wait here.
    ///
    /// # Errors
    /// [`Error`] if the request is not sound, the agent cannot honour it, its program is not there, or another run
    /// uses the session.
    pub fn interactive(&self, request: &RunRequest) -> Result<Interactive, Error> {
        let prepared = self.turn(0).interactive_command(&self.own(request));
        let claimed = prepared.and_then(|prepared| self.claim_for_person(prepared, request));
        claimed.map_err(|failure| self.error(failure))
    }

    fn claim_for_person(
        &self,
        mut prepared: Interactive,
        request: &RunRequest,
    ) -> Result<Interactive, Failure> {
        let is_needed = SessionLocks::is_needed(request);
        // Sorts by time, and is no run's.
        let id = format!("{}-interactive", Uuid::now_v7());
        let Some(mut locks) = SessionLocks::of(self, request, &id) else {
            let words = || session_lock::unlocked_words(request, "there is no state folder");
            prepared.warnings.extend(is_needed.then(words));
            return Ok(prepared);
        };
        if is_needed {
            prepared.warnings.extend(claim_session(&mut locks, request)?);
        }
        let neighbors = locks.enter_now();
        if !neighbors.is_empty() {
            let words = session_lock::neighbor_words(&neighbors, request.cwd.as_deref());
            prepared.warnings.push(words);
        }
        prepared.locks = Some(locks);
        Ok(prepared)
    }

    fn interactive_command(&self, request: &RunRequest) -> Result<Interactive, Failure> {
        check_surroundings(request)?;
        let launch = self.launch(request, Transport::Interactive)?;
        let program = program::resolve(&launch, self.program.as_deref(), &self.env)?;
        let temp = self.env.get("TMPDIR").map_or_else(|| Path::new("/tmp"), Path::new);
        let name = Uuid::now_v7().to_string();
        let temp_folder = TempFolder::wanted(&launch, temp, &name).map_err(|error| {
            let message = format!("cannot make a folder in {}: {error}", temp.display());
            Failure::new(FailureKind::LocalIo, message)
        })?;
        let place = private_files::place(self.state_dir.as_deref(), temp);
        let files = PrivateFiles::write(&launch, &place, &name).map_err(|error| {
            let message = format!("cannot write to {}: {error}", place.display());
            Failure::new(FailureKind::LocalIo, message)
        })?;
        let files = files.into_args(&launch, &self.leading_args);
        let mut command = belaykit_supervise::foreground(&program);
        let mut env = self.env.for_person(&launch.env);
        environment::move_to(&mut env, request.cwd.as_deref());
        interpreter::supply(&program, self.program.as_deref(), &mut env)?;
        command.args(&files.args).env_clear().envs(env);
        command.envs(temp_folder.as_ref().map(TempFolder::variable));
        if let Some(cwd) = &request.cwd {
            command.current_dir(cwd);
        }
        let held = environment::held_back_words(&self.env.held_back(&launch.env));
        let words = |held| format!("{} does not see {held}", self.agent.name());
        Ok(Interactive {
            command,
            warnings: held.map(words).into_iter().collect(),
            locks: None,
            _files: files,
            _temp_folder: temp_folder,
        })
    }
}

/// Takes the session; returns what is to be said of it.
fn claim_session(
    locks: &mut SessionLocks,
    request: &RunRequest,
) -> Result<Option<String>, Failure> {
    let until = Instant::now() + limits::SESSION_LEFT_BEHIND;
    loop {
        match locks.claim_now() {
            Claim::Ours => return Ok(None),
            Claim::LeftBehind(_) if Instant::now() < until => thread::sleep(LOOK),
            Claim::InUse(user) | Claim::LeftBehind(user) => {
                let failure = session_lock::failure(request, &user);
                if request.when_in_use != WhenInUse::Force {
                    return Err(failure);
                }
                locks.force();
                return Ok(Some(failure.message));
            }
            Claim::Unlocked(why) => return Ok(Some(session_lock::unlocked_words(request, &why))),
        }
    }
}

impl Interactive {
    /// Says which process the program has become: if yours is killed, its session is in use as long as that lives.
    pub fn started(&mut self, pid: u32) {
        if let Some(locks) = &mut self.locks {
            locks.works_unseen_with(&[pid]);
        }
    }
}
