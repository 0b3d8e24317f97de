//! `belay demo`

use crate::command::play;
use crate::command::run::options::TRACE_DIR;
use crate::fail::Fail;
use crate::page::Page;
use crate::runtime::block_on;
use crate::say::say;
use crate::surroundings::{self, Color, columns};
use crate::terminal;
use crate::view::{self, Look};
use belay_trace::view::View;
use belay_trace::{Node, TraceId, read_file};
use belaykit::{Agent as _, Claude, Client, Codex, Logger, RunRequest, TraceDir, Transport};
use clap::Args;
use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// See a run, without any agent, network or account: a recorded one is played.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the trace of the run is written [default: .belay/traces].
    #[arg(long, value_name = "DIR")]
    trace_dir: Option<PathBuf>,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,
}

impl Demo {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        say(
            "belay demo: this is a REPLAY of real runs of Codex 0.169.0 and Claude Code 2.1.329, recorded on 2026-11-21.",
        );
        say("No agent, network or account is used; belay starts and reads them like real ones.");
        say("Codex is asked first and has used up its limit, so Claude Code goes on.\n");
        let belay = env::current_exe()
            .map_err(|error| Fail::local(format!("cannot find my own program: {error}")))?;
        let trace_dir = self.trace_dir.clone().unwrap_or_else(|| TRACE_DIR.into());
        let traces = match &self.trace_dir {
            Some(dir) => TraceDir::new(dir),
            None => TraceDir::in_project("", TRACE_DIR),
        };
        let traces = traces.map_err(|error| {
            Fail::usage(format!("cannot write traces to {}: {error}", trace_dir.display()))
                .hint("choose another folder with --trace-dir, or go where you may write")
        })?;
        let mut logger =
            Logger::new(terminal::stderr()).color(self.color.paints(terminal::stderr().handle()));
        let client = Client::new(Codex::new())
            .or(Claude::new())
            .transport(Transport::Print)
            .program(&belay)
            .program_of(Claude::new().name(), &belay)
            .leading_args([play::NAME])
            .environment(surroundings::environment())
            .observe(traces)
            .on_event(move |record| logger.record(record));
        let request = RunRequest::new("What is in this directory?");
        let outcome = block_on(client.run(request))?
            .map_err(|error| Fail::local(format!("the replay failed: {error}")))?;

        let path = trace_path(&trace_dir, &outcome.run_id)?;
        let tree = read_file(&path).map_err(Fail::local)?;
        let mut page = Page::new();
        // What cannot be written is remembered by the page.
        let _ = writeln!(page, "\n{}\n\n{}", outcome.text, summary(&tree));
        let _ = writeln!(page, "trace: {}\n", path.display());
        let paint = self.color.paints(terminal::stdout().handle());
        let _ = view::print(
            &tree,
            Look { width: columns(terminal::stdout().handle()), paint },
            &mut page,
        );
        let _ = writeln!(page, "\n{NEXT}");
        page.end()?;
        Ok(0)
    }
}

const NEXT: &str = "\
Next:
  belay doctor                       which agents are on this machine, and what they lack
  belay run -a codex \"…\"             run one
  belay run -a codex -a claude \"…\"   run one, and the other one if it fails
  belay show                         then: what happened in the last run
  belay trace show                   the tree above, as wide as the terminal";

fn trace_path(dir: &Path, run_id: &str) -> Result<PathBuf, Fail> {
    let id = TraceId::new(run_id).map_err(Fail::local)?;
    Ok(TraceDir::path(dir, &id))
}

/// The run in one line, from its trace.
fn summary(tree: &Node) -> String {
    let total = View::of(tree).root().total;
    let (calls, input, output, cost) =
        (total.calls, total.input_tokens, total.output_tokens, total.cost_usd);
    format!(
        "{calls} tool calls, {input} tokens in and {output} out, ${cost:.4} as Claude Code reported it"
    )
}
