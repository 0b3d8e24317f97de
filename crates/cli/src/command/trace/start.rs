//! `belay trace start`

use crate::config::{Config, TracePlace, Wanted};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::terminal;
use belay_trace::{TraceConfig, exit_code};
use belaykit::{Environment, Redaction, TraceFiles};
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;

/// Begin a trace, and print its id.
///
/// Nothing but the id goes to standard output. The trace stays open until `belay trace end ID`.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// What the trace is called [default: its id].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// What people call it, if that is not its name.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,

    /// Something to say of it or to find it by; can be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,

    /// Where traces are written [default: the configuration's `trace_dir`, or .belay/traces].
    #[arg(long, value_name = "DIR")]
    trace_dir: Option<PathBuf>,
}

impl Start {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let files = trace_files(self.trace_dir)?;
        let mut config = TraceConfig::new(self.name.unwrap_or_default());
        config.display_name = self.display_name;
        config.metadata = self.meta.into_iter().map(|(key, value)| (key, value.into())).collect();
        let environment = Environment::new(std::env::vars_os());
        let id = files.start(config, &Redaction::default(), &environment);
        let id =
            id.map_err(|error| Fail::usage(error).hint("choose another folder with --trace-dir"))?;
        closed_pipe_is_fine(writeln!(terminal::stdout(), "{id}"))?;
        Ok(exit_code::ANSWERED)
    }
}

/// The traces of the folder in which `belay run` finds them.
pub(super) fn trace_files(given: Option<PathBuf>) -> Result<TraceFiles, Fail> {
    if let Some(dir) = given {
        return Ok(TraceFiles::at(dir));
    }
    let (root, below) = match Config::load(Wanted::default(), None)?.trace_place() {
        TracePlace::Users(dir) => return Ok(TraceFiles::at(dir)),
        TracePlace::Projects { root, below } => (root, below),
    };
    TraceFiles::in_project(root, below)
        .map_err(|error| Fail::usage(error).hint("choose another folder with --trace-dir"))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
