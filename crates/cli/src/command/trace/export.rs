//! `belay trace export`

use super::{TraceDirFlag, otlp};
use crate::fail::Fail;
use crate::page::Page;
use crate::stored::StateDir;
use crate::terminal;
use crate::view::{chrome, rows};
use belay_trace::{Node, exit_code, visible, visible_json};
use clap::{Args, ValueEnum};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Write a trace in the form of another program.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay trace export latest --format chrome -o trace.json    open it in https://ui.perfetto.dev
  belay trace export hiveminer-run --format csv -o trace.csv
  belay trace export latest --format json | jq .children
  belay trace export latest --otlp=phoenix                   send it to where OpenTelemetry's traces are looked at")]
pub(super) struct Export {
    /// The trace's id, a part of it that no other trace has, `latest`, or a file.
    #[arg(value_name = "ID|FILE")]
    trace: String,

    /// The form.
    #[arg(long, value_enum, required_unless_present = "otlp")]
    format: Option<Format>,

    /// Send the spans that its runs would have sent with `belay run --otel`: to a preset, an address, or without one
    /// where the configuration or OTEL_EXPORTER_OTLP_ENDPOINT says.
    #[arg(long, value_name = "PRESET|ADDRESS", conflicts_with_all = ["format", "output"])]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    otlp: Option<String>,

    /// With --otlp: send prompts, answers, and what tools were told and have printed as well.
    #[arg(long, requires = "otlp")]
    otel_content: bool,

    /// The file that is written; without it, standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    trace_dir: TraceDirFlag,

    #[command(flatten)]
    state_dir: StateDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The JSON of Chrome's tracing, for Perfetto and chrome://tracing.
    Chrome,
    /// A row a node, for spreadsheets; docs/traces.md says what the columns are.
    Csv,
    /// The tree as it is stored.
    Json,
}

impl Export {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let tree = self.trace_dir.read(&self.trace)?;
        let Some(format) = self.format else {
            otlp::send(&tree, self.otlp.as_deref(), self.otel_content, &self.state_dir)?;
            return Ok(exit_code::ANSWERED);
        };
        match self.output.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => to_file(format, &tree, path)?,
            None if terminal::stdout().is_terminal() => {
                let mut text = Vec::new();
                write(format, &tree, &mut text).map_err(Fail::local)?;
                let text = String::from_utf8_lossy(&text);
                let text = if format == Format::Csv { visible(&text) } else { visible_json(&text) };
                let mut page = Page::new();
                let _ = page.write_all(text.as_bytes());
                page.end()?;
            }
            None => {
                let mut page = Page::new();
                // What cannot be written is remembered by the page.
                let _ = write(format, &tree, &mut page);
                page.end()?;
            }
        }
        Ok(exit_code::ANSWERED)
    }
}

fn to_file(format: Format, tree: &Node, path: &Path) -> Result<(), Fail> {
    // Traces hold what was worked on.
    let opened = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
    let written = opened.and_then(|file| {
        let mut file = BufWriter::new(file);
        write(format, tree, &mut file)?;
        file.flush()
    });
    written.map_err(|error| {
        Fail::local(format!("cannot write {}: {error}", path.display()))
            .hint("name another file with -o")
    })
}

fn write(format: Format, tree: &Node, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Chrome => chrome::write(tree, out),
        Format::Csv => rows::write(tree, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, tree)?;
            writeln!(out)
        }
    }
}
