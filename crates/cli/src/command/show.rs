//! `belay show`

use super::runs::{state_word, store, unreadable};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::surroundings::Color;
use belay_trace::{RunState, exit_code, visible, visible_line};
use belaykit::Logger;
use clap::{Args, ValueEnum};
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

/// Show a run again: what happened, its answer, and how it stands.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// What is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    /// Where the journals are [default: $XDG_STATE_HOME/belay or ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The log of the run, as it was shown, and its answer.
    #[default]
    Text,
    /// Its events as they are stored, a JSON object a line.
    Jsonl,
}

impl Show {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let run = store(self.state_dir)?.find(&self.run).map_err(|error| {
            Fail::not_found(error)
                .hint("`belay runs` lists them; `belay show latest` is the newest")
        })?;
        if self.format == Format::Jsonl {
            closed_pipe_is_fine(run.write_events(BufWriter::new(io::stdout())))?;
            return Ok(exit_code::ANSWERED);
        }
        let mut text = Vec::new();
        let mut logger = Logger::new(&mut text).color(self.color.paints(&io::stdout()));
        for record in run.records().map_err(unreadable)? {
            logger.record(&record);
        }
        let summary = run.summary().map_err(unreadable)?;
        let _ = writeln!(text, "\nrun {}: {}", summary.id, state_word(summary.state));
        if summary.state != RunState::Running && !summary.integrity.is_whole() {
            let _ = writeln!(text, "its journal is not whole: {}", summary.integrity);
        }
        if let (RunState::Crashed, Some(session)) = (summary.state, &summary.session_id) {
            let (agent, session) = (visible_line(&summary.agent), visible_line(session));
            let _ = writeln!(text, "to go on: belay run -a {agent} --resume {session} \"…\"");
        }
        if let Some(result) = summary.result.filter(|result| !result.result.is_empty()) {
            let _ = writeln!(text, "\n{}", visible(&result.result));
        }
        closed_pipe_is_fine(io::stdout().write_all(&text))?;
        Ok(exit_code::ANSWERED)
    }
}
