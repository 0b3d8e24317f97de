//! The report for people.

use super::{Report, Row};
use crate::figures;
use anstyle::{AnsiColor, Style};
use belay_trace::{visible, visible_line};
use belaykit::doctor::{Finding, Level};
use jiff::SignedDuration;
use std::fmt::Write as _;

pub(super) fn text(report: &Report, paint: bool, glyphs: bool) -> String {
    let mut text = format!("belay {}\n\n", report.version);
    let page = Page { paint, glyphs };
    page.title(&mut text, "machine", "");
    report.machine.iter().for_each(|finding| page.finding(&mut text, finding));
    let (there, missing): (Vec<_>, Vec<_>) =
        report.agents.iter().partition(|row| row.examined.is_there);
    for row in there {
        text.push('\n');
        page.title(&mut text, &row.examined.agent, if row.ready { "" } else { "cannot be run" });
        row.examined.findings.iter().for_each(|finding| page.finding(&mut text, finding));
        page.probe(&mut text, row);
    }
    if !missing.is_empty() {
        text.push('\n');
        page.title(&mut text, "not on this machine", "");
    }
    for row in missing {
        let finding = row.examined.findings.first();
        let hint = finding.and_then(|finding| finding.hint.as_deref()).unwrap_or_default();
        let words = finding.map(|finding| finding.found.as_str()).unwrap_or_default();
        let (agent, words) = (visible_line(&row.examined.agent), visible_line(words));
        let _ = writeln!(text, "  {agent:<12} {words}; {hint}");
    }
    text
}

struct Page {
    paint: bool,
    /// A terminal shows them; what reads a pipe gets words.
    glyphs: bool,
}

impl Page {
    fn title(&self, text: &mut String, name: &str, more: &str) {
        let more = if more.is_empty() { String::new() } else { format!(": {more}") };
        let name = self.painted(Style::new().bold(), &visible(name));
        let _ = writeln!(text, "{name}{more}");
    }

    fn finding(&self, text: &mut String, finding: &Finding) {
        self.line(text, finding.level, finding.about, &finding.found);
        if let Some(hint) = &finding.hint {
            let arrow = if self.glyphs { "→" } else { "->" };
            let _ = writeln!(text, "  {:<10} {:<11} {arrow} {}", "", "", visible_line(hint));
        }
    }

    fn line(&self, text: &mut String, level: Level, about: &str, words: &str) {
        let color = match level {
            Level::Ok => AnsiColor::Green,
            Level::Note => AnsiColor::Cyan,
            Level::Warning => AnsiColor::Yellow,
            Level::Problem => AnsiColor::Red,
        };
        let mark = match (self.glyphs, level) {
            (true, Level::Ok) => "✓",
            (true, Level::Note) => "·",
            (true, Level::Warning) => "!",
            (true, Level::Problem) => "✗",
            (false, Level::Ok) => "ok",
            (false, Level::Note) => "note",
            (false, Level::Warning) => "warning",
            (false, Level::Problem) => "problem",
        };
        let width = if self.glyphs { 1 } else { 10 };
        let mark = self.painted(color.on_default(), &format!("{mark:<width$}"));
        let _ = writeln!(text, "  {mark} {about:<11} {}", visible_line(words));
    }

    fn probe(&self, text: &mut String, row: &Row) {
        let Some(probe) = &row.probe else { return };
        let time = i64::try_from(probe.duration_ms).unwrap_or(i64::MAX);
        let time = figures::duration(SignedDuration::from_millis(time));
        let cost = probe.total_cost_usd.map(|usd| format!(", ${usd:.4}")).unwrap_or_default();
        match (&probe.failure, &probe.answer) {
            (Some(failure), _) => {
                self.line(text, Level::Problem, "probe", &format!("{failure} ({time}{cost})"));
            }
            (None, answer) => {
                let answer = answer.as_deref().unwrap_or_default().trim();
                let answer: String = answer.chars().take(60).collect();
                self.line(text, Level::Ok, "probe", &format!("answered `{answer}` ({time}{cost})"));
            }
        }
    }

    fn painted(&self, style: Style, words: &str) -> String {
        if self.paint { format!("{style}{words}{style:#}") } else { words.to_owned() }
    }
}
