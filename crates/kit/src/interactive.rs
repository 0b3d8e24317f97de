//! A person at the agent's own terminal program.

use crate::client::check_surroundings;
use crate::runner::private_files::{FileArgs, PrivateFiles};
use crate::temp_folder::TempFolder;
use crate::{Client, Error, RunRequest, program};
use belay_agents::Transport;
use belay_trace::{Failure, FailureKind};
use std::path::Path;
use std::process::Command;
use uuid::Uuid;

/// An agent's own terminal program, ready to be started with its standard streams inherited.
///
/// Nothing of such a session is seen, counted or kept by belay: it is the person's own.
#[derive(Debug)]
#[non_exhaustive]
pub struct Interactive {
    /// What to start.
    pub command: Command,
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
    /// # Errors
    /// [`Error`] if the request is not sound, the agent cannot honour it, or its program is not there.
    pub fn interactive(&self, request: &RunRequest) -> Result<Interactive, Error> {
        self.turn(0).interactive_command(&self.own(request)).map_err(|failure| self.error(failure))
    }

    fn interactive_command(&self, request: &RunRequest) -> Result<Interactive, Failure> {
        check_surroundings(request)?;
        let launch = self.launch(request, Transport::Interactive)?;
        let program = program::resolve(&launch, self.program.as_deref(), &self.env)?;
        let temp = self.env.get("TMPDIR").map_or_else(|| Path::new("/tmp"), Path::new);
        let name = Uuid::now_v7().to_string();
        let temp_folder = TempFolder::of(&launch, temp, &name).ok().flatten();
        let files = PrivateFiles::write(&launch, None, temp, &name);
        let files = files.map_err(|error| {
            let message = format!("cannot write to {}: {error}", temp.display());
            Failure::new(FailureKind::LocalIo, message)
        })?;
        let files = files.into_args(&launch, &self.leading_args);
        let mut command = Command::new(program);
        command.args(&files.args).env_clear().envs(self.env.for_person(&launch.env));
        command.envs(temp_folder.as_ref().map(TempFolder::variable));
        if let Some(cwd) = &request.cwd {
            command.current_dir(cwd);
        }
        Ok(Interactive { command, _files: files, _temp_folder: temp_folder })
    }
}
