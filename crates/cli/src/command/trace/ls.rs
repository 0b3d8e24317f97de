//! `belay trace ls`

mod row;

use self::row::Row;
use super::{Names, TraceDirFlag, with_cause};
use crate::fail::Fail;
use crate::page::Page;
use crate::say::say;
use crate::surroundings::{Color, width};
use crate::table::{Column, table};
use crate::terminal;
use anstyle::{AnsiColor, Style};
use belay_trace::{exit_code, visible_json};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use std::borrow::Cow;
use std::io::Write as _;

/// List the traces, the one that was written last first: state, cost, tokens, time, age, phases.
///
/// The id is as much of it as no other trace has; every verb that takes a trace takes it. A file that is no trace is
/// listed as broken, with the reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay trace ls
  belay trace ls --all --trace-dir ~/project/.belay/traces
  belay trace ls --format jsonl | jq -s 'map(.cost_usd) | add'")]
pub(super) struct Ls {
    /// Show at most so many.
    #[arg(short, value_name = "N", default_value_t = 20)]
    n: usize,

    /// Show all of them.
    #[arg(long, conflicts_with = "n")]
    all: bool,

    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    #[command(flatten)]
    trace_dir: TraceDirFlag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    #[default]
    Text,
    /// A JSON array.
    Json,
    /// A JSON object a line.
    Jsonl,
}

const COLUMNS: [Column; 8] = [
    Column { head: "TRACE", max: 36, right: false, from: 0 },
    Column { head: "STATE", max: 20, right: false, from: 0 },
    Column { head: "COST", max: 12, right: true, from: 0 },
    Column { head: "TOKENS", max: 14, right: true, from: 80 },
    Column { head: "TIME", max: 8, right: true, from: 60 },
    Column { head: "AGE", max: 5, right: true, from: 0 },
    Column { head: "CONTEXT", max: 7, right: true, from: 90 },
    Column { head: "PHASES", max: usize::MAX, right: false, from: 0 },
];

impl Ls {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let traces = self.trace_dir.traces();
        let all = traces.all().map_err(|error| {
            Fail::local(format!("cannot read {}: {error}", traces.dir().display()))
                .hint("choose another folder with --trace-dir")
        })?;
        let names = Names::of(&all);
        let (page, now) = (Page::new(), Timestamp::now());
        let mut out = page.clone();
        let shown = all.iter().take(if self.all { usize::MAX } else { self.n });
        let mut rows = Vec::new();
        for trace in shown.take_while(|_| page.is_read()) {
            let row = Row::of(trace, names.get(trace.id()));
            if self.format == Format::Jsonl {
                let _ = writeln!(out, "{}", json(&row.to_json().to_string()));
            }
            rows.push(row);
        }
        match self.format {
            Format::Jsonl => {}
            Format::Json => {
                let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
                let _ = writeln!(out, "{}", json(&format!("{:#}", serde_json::Value::from(rows))));
            }
            Format::Text => {
                let cells: Vec<_> = rows.iter().map(|row| row.cells(now)).collect();
                let (width, paint) = (
                    width(terminal::stdout().handle()),
                    self.color.paints(terminal::stdout().handle()),
                );
                let text = table(&COLUMNS, &cells, width, paint, |n, head| style(&rows[n], head));
                let _ = out.write_all(text.as_bytes());
            }
        }
        page.end()?;
        if self.format == Format::Text {
            let more = all.len() - rows.len();
            if all.is_empty() {
                say(format_args!("There are no traces in {} yet.", traces.dir().display()));
            } else if more > 0 && terminal::stdout().is_terminal() {
                say(format_args!("older and not shown: {more} (belay trace ls --all)"));
            }
        }
        Ok(exit_code::ANSWERED)
    }
}

/// JSON escapes the C0 controls; a terminal obeys others too.
fn json(text: &str) -> Cow<'_, str> {
    if terminal::stdout().is_terminal() { visible_json(text) } else { text.into() }
}

fn style(row: &Row, head: &str) -> Style {
    let color = |color: AnsiColor| color.on_default();
    match (head, row.state()) {
        ("STATE", "ended") => color(AnsiColor::Green),
        ("STATE", "broken") => color(AnsiColor::Magenta).bold(),
        ("STATE", _) => color(AnsiColor::Yellow),
        ("PHASES", "broken") => color(AnsiColor::Magenta),
        ("PHASES", _) => Style::new().dimmed(),
        ("CONTEXT", _) if row.is_warned() => color(AnsiColor::Yellow),
        _ => Style::new(),
    }
}
