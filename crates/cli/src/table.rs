//! Lists of things, one a line, in columns.

use crate::fit::{fit, painted};
use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

/// One column. Figures stand at the right of theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) head: &'static str,
    /// None grows beyond its largest width, since a few long names would push the rest off the terminal.
    pub(crate) max: usize,
    pub(crate) right: bool,
    /// Narrower terminals leave it out, for the last column's sake.
    pub(crate) from: usize,
}

/// The rows one below the other. On a terminal, whose width is known, with heads and no wider than it; elsewhere
/// without heads and with whole texts. `style` paints a cell by its row and the head of its column.
pub(crate) fn table<const N: usize>(
    columns: &[Column; N],
    rows: &[[String; N]],
    terminal: Option<usize>,
    paint: bool,
    style: impl Fn(usize, &str) -> Style,
) -> String {
    let heads = columns.map(|column| column.head.to_owned());
    let heads = (terminal.is_some() && !rows.is_empty()).then_some(heads);
    let mut widths = [0; N];
    for line in heads.iter().chain(rows) {
        for ((width, cell), column) in widths.iter_mut().zip(line).zip(columns) {
            *width = cell.width().min(column.max).max(*width);
        }
    }
    let mut text = String::new();
    if let Some(heads) = &heads {
        let bold = Style::new().bold();
        text.push_str(&line(columns, heads, &widths, terminal, |_, head| {
            painted(paint, bold, head)
        }));
    }
    for (n, cells) in rows.iter().enumerate() {
        text.push_str(&line(columns, cells, &widths, terminal, |head, cell| {
            match style(n, head) {
                style if style == Style::new() => cell.to_owned(),
                style => painted(paint, style, cell),
            }
        }));
    }
    text
}

const GAP: usize = 2;

fn line<const N: usize>(
    columns: &[Column; N],
    cells: &[String; N],
    widths: &[usize; N],
    terminal: Option<usize>,
    style: impl Fn(&str, &str) -> String,
) -> String {
    let room = terminal.unwrap_or(usize::MAX);
    let (mut text, mut used) = (String::new(), 0);
    let shown =
        columns.iter().zip(cells).zip(widths).filter(|((column, _), _)| column.from <= room);
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

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column { head: "RUN", max: 36, right: false, from: 0 },
        Column { head: "STATE", max: 20, right: false, from: 0 },
        Column { head: "COST", max: 12, right: true, from: 0 },
        Column { head: "TOKENS", max: 14, right: true, from: 55 },
        Column { head: "PROMPT", max: usize::MAX, right: false, from: 0 },
    ];

    #[test]
    fn a_line_ends_where_the_terminal_does() {
        let cells = ["id", "answered", "$1", "2", "the prompt goes on"].map(str::to_owned);
        let shown = |terminal| {
            line(&COLUMNS, &cells, &[8, 8, 4, 4, 18], terminal, |_, cell| cell.to_owned())
        };
        assert_eq!(shown(Some(60)), "id        answered    $1     2  the prompt goes on\n");
        assert_eq!(shown(Some(50)), "id        answered    $1  the prompt goes on\n");
        assert_eq!(shown(Some(33)), "id        answered    $1  the pr…\n");
        assert_eq!(shown(Some(12)), "id        a…\n");
        assert!(shown(None).ends_with("    $1     2  the prompt goes on\n"));
        for terminal in 0..120 {
            assert!(shown(Some(terminal)).trim_end().width() <= terminal);
        }
    }
}
