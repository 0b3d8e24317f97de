//! Rows as a table that fits the terminal.

use super::row::Row;
use crate::table::{Column, table};
use anstyle::{AnsiColor, Style};
use belay_trace::RunState;
use jiff::Timestamp;

const COLUMNS: [Column; 9] = [
    Column { head: "RUN", max: 36, right: false, from: 0 },
    Column { head: "STATE", max: 40, right: false, from: 0 },
    Column { head: "AGENT", max: 28, right: false, from: 0 },
    Column { head: "COST", max: 12, right: true, from: 0 },
    Column { head: "TOKENS", max: 14, right: true, from: 90 },
    Column { head: "TIME", max: 8, right: true, from: 70 },
    Column { head: "AGE", max: 5, right: true, from: 0 },
    Column { head: "FOLDER", max: 20, right: false, from: 110 },
    Column { head: "PROMPT", max: usize::MAX, right: false, from: 0 },
];

/// The rows one below the other, no wider than the terminal if there is one.
pub(super) fn of(rows: &[Row], terminal: Option<usize>, paint: bool) -> String {
    let now = Timestamp::now();
    let cells: Vec<[String; 9]> = rows.iter().map(|row| cells(row, now)).collect();
    table(&COLUMNS, &cells, terminal, paint, |row, head| match head {
        "STATE" => state_style(&rows[row]),
        "AGENT" | "FOLDER" => Style::new().dimmed(),
        _ => Style::new(),
    })
}

fn cells(row: &Row, now: Timestamp) -> [String; 9] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [
        row.short.clone(),
        row.state().into_owned(),
        or_dash(row.agent()),
        or_dash(row.cost()),
        or_dash(row.tokens()),
        or_dash(row.time(now)),
        row.age(now),
        or_dash(row.folder()),
        row.words(),
    ]
}

fn state_style(row: &Row) -> Style {
    let color = |color: AnsiColor| color.on_default();
    if row.overview.damaged {
        return color(AnsiColor::Magenta).bold();
    }
    match row.overview.state {
        RunState::Running => color(AnsiColor::Cyan),
        RunState::Answered => color(AnsiColor::Green),
        RunState::Failed(_) | RunState::Lost => color(AnsiColor::Yellow),
        RunState::Crashed => color(AnsiColor::Red).bold(),
    }
}
