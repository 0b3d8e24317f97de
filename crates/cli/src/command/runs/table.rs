//! Rows as a table that fits the terminal.

use super::row::Row;
use crate::fit::{fit, painted};
use anstyle::{AnsiColor, Style};
use belay_trace::RunState;
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

/// The columns. Figures stand at the right of theirs; none grows beyond its largest width, since a few long
/// names would push the rest off the terminal.
const COLUMNS: [Column; 9] = [
    Column { head: "RUN", max: 36, right: false, from: 0 },
    Column { head: "STATE", max: 20, right: false, from: 0 },
    Column { head: "AGENT", max: 28, right: false, from: 0 },
    Column { head: "COST", max: 12, right: true, from: 0 },
    Column { head: "TOKENS", max: 14, right: true, from: 90 },
    Column { head: "TIME", max: 8, right: true, from: 70 },
    Column { head: "AGE", max: 5, right: true, from: 0 },
    Column { head: "FOLDER", max: 20, right: false, from: 110 },
    Column { head: "PROMPT", max: usize::MAX, right: false, from: 0 },
];
const GAP: usize = 2;

struct Column {
    head: &'static str,
    max: usize,
    right: bool,
    /// Narrower terminals leave it out, for the prompt's sake.
    from: usize,
}

/// The rows one below the other. On a terminal, whose width is known, with heads and no wider than it;
/// elsewhere without heads and with whole prompts.
pub(super) fn of(rows: &[Row], terminal: Option<usize>, paint: bool) -> String {
    let now = Timestamp::now();
    let cells: Vec<[String; 9]> = rows.iter().map(|row| cells(row, now)).collect();
    let heads = COLUMNS.map(|column| column.head.to_owned());
    let heads = (terminal.is_some() && !rows.is_empty()).then_some(heads);
    let mut widths = [0; 9];
    for line in heads.iter().chain(&cells) {
        for ((width, cell), column) in widths.iter_mut().zip(line).zip(&COLUMNS) {
            *width = cell.width().min(column.max).max(*width);
        }
    }
    let mut text = String::new();
    if let Some(heads) = &heads {
        text.push_str(&line(heads, &widths, terminal, |_, head| painted(paint, BOLD, head)));
    }
    for (row, cells) in rows.iter().zip(&cells) {
        text.push_str(&line(cells, &widths, terminal, |column, cell| match column {
            "STATE" => painted(paint, state_style(row), cell),
            "AGENT" | "FOLDER" => painted(paint, DIM, cell),
            _ => cell.to_owned(),
        }));
    }
    text
}

fn cells(row: &Row, now: Timestamp) -> [String; 9] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [
        row.short.clone(),
        row.state().to_owned(),
        or_dash(row.agent()),
        or_dash(row.cost()),
        or_dash(row.tokens()),
        or_dash(row.time(now)),
        row.age(now),
        or_dash(row.folder()),
        row.words(),
    ]
}

fn line(
    cells: &[String; 9],
    widths: &[usize; 9],
    terminal: Option<usize>,
    style: impl Fn(&str, &str) -> String,
) -> String {
    let room = terminal.unwrap_or(usize::MAX);
    let (mut text, mut used) = (String::new(), 0);
    let shown =
        COLUMNS.iter().zip(cells).zip(widths).filter(|((column, _), _)| column.from <= room);
    for ((column, cell), width) in shown {
        let gap = if used == 0 { 0 } else { GAP };
        let width = (*width).min(room.saturating_sub(used + gap));
        if width == 0 {
            break;
        }
        let cell = fit(cell, width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        let styled = style(column.head, &cell);
        text.push_str(&" ".repeat(gap));
        text.push_str(&if column.right { padding + &styled } else { styled + &padding });
        used += gap + width;
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn state_style(row: &Row) -> Style {
    let color = |color: AnsiColor| color.on_default();
    if row.overview.damaged {
        return color(AnsiColor::Magenta).bold();
    }
    match row.overview.state {
        RunState::Running => color(AnsiColor::Cyan),
        RunState::Answered => color(AnsiColor::Green),
        RunState::Failed(_) => color(AnsiColor::Yellow),
        RunState::Crashed => color(AnsiColor::Red).bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_the_terminal_does() {
        let cells =
            ["id", "answered", "codex", "$1", "2", "3s", "4s", "folder", "the prompt goes on"]
                .map(str::to_owned);
        let widths = [8, 8, 8, 4, 4, 4, 4, 8, 18];
        let shown = |terminal| line(&cells, &widths, terminal, |_, cell| cell.to_owned());
        assert_eq!(
            shown(Some(60)),
            "id        answered  codex       $1    4s  the prompt goes on\n"
        );
        assert_eq!(shown(Some(50)), "id        answered  codex       $1    4s  the pro…\n");
        assert_eq!(shown(Some(12)), "id        a…\n");
        assert!(shown(None).ends_with("    2    3s    4s  folder    the prompt goes on\n"));
        for terminal in 0..120 {
            assert!(shown(Some(terminal)).trim_end().width() <= terminal);
        }
    }
}
