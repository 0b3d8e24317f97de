//! `belay schema`

use crate::fail::{Fail, closed_pipe_is_fine};
use crate::terminal;
use belay_trace::{Node, Record, RunResult};
use clap::{Args, ValueEnum};
use schemars::schema_for;
use std::io::Write as _;

/// Print the JSON Schema of a format.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which format.
    #[arg(value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// One line of `--format jsonl`: an event with its envelope.
    #[default]
    Event,
    /// The fields of the last event, `"type":"result"`.
    Result,
    /// A trace file.
    Trace,
}

impl Schema {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let schema = match self.format {
            Format::Event => schema_for!(Record),
            Format::Result => schema_for!(RunResult),
            Format::Trace => schema_for!(Node),
        };
        let text = serde_json::to_string_pretty(&schema).map_err(Fail::local)?;
        closed_pipe_is_fine(writeln!(terminal::stdout(), "{text}"))?;
        Ok(0)
    }
}
