//! What a terminal shows, as a picture: enough of it for the styles that belay paints with.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 12.0;

/// The lines of painted text, `columns` wide.
pub(crate) fn of(painted: &str, columns: usize) -> String {
    let lines: Vec<&str> = painted.lines().collect();
    let width = columns as f64 * CELL.0 + 2.0 * MARGIN;
    let height = lines.len() as f64 * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row as f64 + 0.75) * CELL.1;
        let mut column = 0;
        for (n, part) in line.split('\x1b').enumerate() {
            let (style, text) =
                if n == 0 { ("", part) } else { part[1..].split_once('m').unwrap() };
            // A run of spaces is a place, and nothing to draw.
            let blank = text.len() - text.trim_start().len();
            let x = MARGIN + (column + blank) as f64 * CELL.0;
            column += text.width();
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let text_width = text.width() as f64 * CELL.0;
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{text_width:.1}\" xml:space=\"preserve\"{}>{escaped}</text>",
                look(style)
            );
        }
    }
    svg + "</svg>\n"
}

/// The attributes of a style.
fn look(style: &str) -> String {
    let mut fill = "#d8dee9";
    let mut more = "";
    for code in style.split(';') {
        match code {
            "1" => more = " font-weight=\"bold\"",
            "2" => fill = "#727c8c",
            "31" => fill = "#e5686f",
            "32" => fill = "#8fbf7f",
            "33" => fill = "#e2b65b",
            "35" => fill = "#c08bd0",
            "36" => fill = "#5fb8c9",
            "" | "0" => {}
            other => panic!("no colour for {other}"),
        }
    }
    format!(" fill=\"{fill}\"{more}")
}
