//! `belay completions`

use crate::args::Cli;
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::terminal;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use std::io::Write as _;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "belay", &mut script);
        closed_pipe_is_fine(terminal::stdout().write_all(&script))?;
        Ok(0)
    }
}
