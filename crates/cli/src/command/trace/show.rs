//! `belay trace show`

use super::TraceDirFlag;
use crate::fail::Fail;
use crate::page::Page;
use crate::surroundings::{Color, columns};
use crate::terminal;
use crate::view::{self, Look};
use belay_trace::{exit_code, visible_json};
use clap::{Args, ValueEnum};
use std::io::Write as _;

/// Show a trace as a tree: phases, attempts, tool calls, with time, cost, tokens and how full the contexts were.
///
/// Figures of a part hold those of all below it. `≥` before a cost says that a part of the work has no known cost;
/// `↑` counts what went in, cached tokens included. The bar on the right is when it was, out of the whole trace.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay trace show
  belay trace show hiveminer-run
  belay trace show 62216721 --width 200 | less
  belay trace show ./from-elsewhere.json --format json | jq '.children[].agent_name'")]
pub(crate) struct Show {
    /// The trace's id, a part of it that no other trace has, `latest`, or a file.
    #[arg(default_value = "latest", value_name = "ID|FILE")]
    trace: String,

    /// What is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// The columns of a line [default: those of the terminal, or $COLUMNS, or 100].
    #[arg(long, value_name = "N")]
    width: Option<usize>,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    #[command(flatten)]
    trace_dir: TraceDirFlag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tree for people.
    #[default]
    Text,
    /// The tree as it is stored, as one JSON object.
    Json,
}

impl Show {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let tree = self.trace_dir.read(&self.trace)?;
        let mut page = Page::new();
        // What cannot be written is remembered by the page.
        match self.format {
            Format::Text => {
                let width = self.width.unwrap_or_else(|| columns(terminal::stdout().handle()));
                let look = Look { width, paint: self.color.paints(terminal::stdout().handle()) };
                let _ = view::print(&tree, look, &mut page);
            }
            Format::Json if terminal::stdout().is_terminal() => {
                let text = serde_json::to_string_pretty(&tree).map_err(Fail::local)?;
                let _ = writeln!(page, "{}", visible_json(&text));
            }
            Format::Json => {
                let _ = serde_json::to_writer_pretty(&mut page, &tree);
                let _ = writeln!(page);
            }
        }
        page.end()?;
        Ok(exit_code::ANSWERED)
    }
}
