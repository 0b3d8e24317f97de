//! The printed tree: what `belay trace show` draws.

use super::Look;
use super::gauge::{self, heat};
use super::layout::{Layout, Wanted};
use super::line::{GAP, Line};
use crate::figures;
use anstyle::{AnsiColor, Style};
use belay_trace::view::{
    Part, Row, State, View, WARN_PERCENT, dollars, duration, short_id, short_model, tokens,
};
use belay_trace::{AttemptSummary, Node, NodeType, Usage, visible_line};
use std::borrow::Cow;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr as _;

/// Draws a tree, one line a node, and a line more for what went wrong.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn print(tree: &Node, look: Look, out: &mut impl Write) -> io::Result<()> {
    let view = View::of(tree);
    let layout = Layout::of(wanted(&view), look.width);
    let mut drawing = Drawing {
        view: &view,
        layout,
        look,
        span_ms: view.span_ms(),
        branches: Vec::new(),
        line: Line::new(look.paint),
    };
    for index in 0..view.rows().len() {
        drawing.draw(index, out)?;
    }
    Ok(())
}

struct Drawing<'a> {
    view: &'a View<'a>,
    layout: Layout,
    look: Look,
    span_ms: i64,
    /// For each level above the row that is drawn, whether its branch has ended.
    branches: Vec<bool>,
    line: Line,
}

impl Drawing<'_> {
    fn draw(&mut self, index: usize, out: &mut impl Write) -> io::Result<()> {
        let view = self.view;
        let row = &view.rows()[index];
        if row.depth > 0 {
            self.branches.resize(row.depth, false);
            self.branches[row.depth - 1] = row.is_last;
        }
        self.line.clear();
        self.branch(row.depth, if row.is_last { "└── " } else { "├── " });
        match row.part {
            Part::Attempt(attempt) => self.attempt(attempt),
            Part::Node(node) if node.node_type == NodeType::Marker => self.boundary(node),
            Part::Node(node) => self.node(index, node),
        }
        self.bar(row);
        writeln!(out, "{}", self.line.text())?;
        if let Some(error) = error_below(row) {
            self.line.clear();
            self.branch(row.depth, if row.is_last { "    " } else { "│   " });
            self.line.put(BRANCH, if row.end > index + 1 { "│ " } else { "  " }, self.look.width);
            self.line.put(BAD, &format!("✗ {error}"), self.look.width);
            writeln!(out, "{}", self.line.text())?;
        }
        Ok(())
    }

    /// The branches down to a row, the last of them as `own`. Of those that leave no room for a name the nearest
    /// ones are drawn.
    fn branch(&mut self, depth: usize, own: &str) {
        if depth == 0 {
            return;
        }
        let drawn = (depth - 1).min(self.layout.label.saturating_sub(NAME_MIN) / own.width());
        let end = self.look.width;
        if drawn < depth - 1 {
            self.line.put(BRANCH, "…", end);
        }
        for at in depth - 1 - drawn..depth - 1 {
            self.line.put(BRANCH, if self.branches[at] { "    " } else { "│   " }, end);
        }
        self.line.put(BRANCH, own, end);
    }

    fn node(&mut self, index: usize, node: &Node) {
        let row = &self.view.rows()[index];
        let (layout, line) = (self.layout, &mut self.line);
        let is_root = row.parent.is_none();
        // A trace that nobody has named is called by its id, once and whole.
        if layout.id && !node.id.is_empty() && node.id != row.name() {
            line.put(ID, &visible_line(short_id(&node.id)), layout.label);
            line.pad_to(line.used() + GAP);
        }
        // What went wrong is worth more than the end of a long name, and than the model.
        let mut notes: Vec<_> = note(row).into_iter().collect();
        if is_root && let Some(count) = warning_count(self.view) {
            notes.push((WARN, count.into()));
        }
        let noted: usize = notes.iter().map(|(_, note)| GAP + note.width()).sum();
        let name_end = layout.label.saturating_sub(noted).max(line.used() + NAME_LEAST);
        line.put(NAME, &visible_line(row.name()), name_end.min(layout.label));
        if let Some(model) = row.model().map(|model| visible_line(short_model(model)))
            && line.used() + GAP + model.width() + noted <= layout.label
        {
            line.put_apart(MODEL, &model, layout.label);
        }
        for (style, note) in notes {
            line.put_apart(style, &note, layout.label);
        }
        if let Some(ms) = row.duration_ms() {
            line.put_right(PLAIN, &duration(ms), layout.time);
        }
        if let Some(cost) = cost(row) {
            line.put_right(PLAIN, &cost, layout.cost);
        }
        if let Some(arrows) = arrows(row) {
            line.put_right(PLAIN, &arrows, layout.tokens);
        }
        if layout.context > 0 {
            self.context(index);
        }
    }

    /// A context as a bar, or those of the children as a sparkline, with the percentage.
    fn context(&mut self, index: usize) {
        let (view, layout, line) = (self.view, self.layout, &mut self.line);
        let row = &view.rows()[index];
        let Some(percent) = row.average else { return };
        let style = heat(percent);
        // Where the percentage ends; the warning stands behind it.
        let end = layout.context - 2;
        if layout.gauge {
            let begin = end - 5 - gauge::CELLS;
            line.pad_to(begin);
            if row.context.is_some() {
                line.put(style, &gauge::thermobar(percent), end);
            } else {
                for (style, glyph) in gauge::sparkline(&view.child_contexts(index)) {
                    line.put(style, glyph.encode_utf8(&mut [0; 4]), end);
                }
            }
        }
        line.put_right(style, &format!("{percent:.0}%"), end);
        if row.is_warned() {
            line.put(WARN, " ⚠", layout.context);
        }
    }

    /// The beginning of a phase as a line across, and what happens in the middle of one with its reason.
    fn boundary(&mut self, node: &Node) {
        let end = self.layout.before_bar();
        let name = visible_line(&node.agent_name);
        if node.error.is_empty() {
            self.line.put(BOUNDARY, &name, end);
            let room = end.saturating_sub(self.line.used() + 1);
            self.line.put(BRANCH, &format!(" {}", "─".repeat(room)), end);
        } else {
            self.line.put(WARN, &name, end);
            self.line.put_apart(PLAIN, &visible_line(&node.error), end);
        }
    }

    fn attempt(&mut self, attempt: &AttemptSummary) {
        let (layout, line) = (self.layout, &mut self.line);
        let (style, outcome) = attempt.kind.map_or((GOOD, ANSWERED), |kind| (BAD, kind.name()));
        let whom_end = layout.label.saturating_sub(GAP + outcome.width());
        line.put(BRANCH, &format!("{}. ", attempt.attempt), layout.label);
        line.put(PLAIN, &whom(attempt), whom_end.max(line.used() + NAME_LEAST).min(layout.label));
        line.put_apart(style, outcome, layout.label);
        if let Some(ms) = attempt.duration_ms {
            line.put_right(PLAIN, &duration(i64::try_from(ms).unwrap_or(i64::MAX)), layout.time);
        }
        line.put_right(BRANCH, &cost_of(attempt), layout.cost);
    }

    /// When it was, out of the whole trace.
    fn bar(&mut self, row: &Row<'_>) {
        let (begin, width) = self.layout.bar;
        let Part::Node(node) = row.part else { return };
        if width == 0 {
            return;
        }
        let (from, cells) = gauge::extent(row.start_ms, row.end_ms, self.span_ms, width);
        let (style, glyph) = match (&node.node_type, row.state) {
            // The line across says it.
            (NodeType::Marker, _) if node.error.is_empty() => return,
            (NodeType::Marker, _) => (WARN, "┊"),
            (_, State::Failed | State::Killed) => (BAD, "━"),
            (_, State::Unfinished | State::Running | State::Interrupted) => (WARN, "━"),
            (NodeType::ToolCall, _) => (PLAIN, "━"),
            _ => (BOUNDARY, "━"),
        };
        self.line.pad_to(begin + from);
        self.line.put(style, &glyph.repeat(cells), begin + width);
    }
}

/// How wide the parts would like to be, over all rows.
fn wanted(view: &View<'_>) -> Wanted {
    let mut wanted = Wanted { bar: view.span_ms() > 0, ..Wanted::default() };
    for row in view.rows() {
        let (label, time, cost, tokens) = match row.part {
            Part::Node(node) if node.node_type == NodeType::Marker => (0, 0, 0, 0),
            Part::Node(_) => {
                let time = row.duration_ms().map_or(0, |ms| duration(ms).width());
                let width = |text: Option<String>| text.map_or(0, |text| text.width());
                (label_width(view, row), time, width(cost(row)), width(arrows(row)))
            }
            Part::Attempt(attempt) => {
                let outcome = attempt.kind.map_or(ANSWERED, |kind| kind.name());
                let label = format!("{}. {}  {outcome}", attempt.attempt, whom(attempt)).width();
                (label.saturating_sub(super::layout::ID), 0, cost_of(attempt).width(), 0)
            }
        };
        let branches = row.depth.min(BRANCHES_MAX) * 4;
        wanted.label = wanted.label.max(label + branches);
        wanted.time = wanted.time.max(time);
        wanted.cost = wanted.cost.max(cost);
        wanted.tokens = wanted.tokens.max(tokens);
        wanted.context |= row.average.is_some();
    }
    wanted
}

fn label_width(view: &View<'_>, row: &Row<'_>) -> usize {
    let apart = |text: &str| if text.is_empty() { 0 } else { GAP + text.width() };
    let model = row.model().map_or(0, |model| apart(&visible_line(short_model(model))));
    let note = note(row).map_or(0, |(_, note)| apart(&note));
    let count = match row.parent {
        None => warning_count(view).map_or(0, |count| apart(&count)),
        Some(_) => 0,
    };
    visible_line(row.name()).width() + model + note + count
}

/// What stands behind the name of a row that has not ended well.
fn note<'a>(row: &Row<'a>) -> Option<(Style, Cow<'a, str>)> {
    let node = row.node()?;
    match row.state {
        State::Failed if node.node_type == NodeType::ToolCall => {
            Some((BAD, format!("✗ {}", visible_line(&node.error)).into()))
        }
        State::Killed => Some((BAD, State::Killed.name().into())),
        State::Unfinished | State::Running | State::Interrupted => {
            Some((WARN, row.state.name().into()))
        }
        _ => None,
    }
}

/// What went wrong with a part of the work, which may need a line of its own.
fn error_below<'a>(row: &Row<'a>) -> Option<Cow<'a, str>> {
    let node = row.node()?;
    let own_line = !matches!(node.node_type, NodeType::ToolCall | NodeType::Marker);
    (own_line && !node.error.is_empty()).then(|| visible_line(&node.error))
}

/// `2/5 ⚠`, if there is anything to warn of.
fn warning_count(view: &View<'_>) -> Option<String> {
    let (warned, known) = view.warnings(WARN_PERCENT);
    (warned > 0).then(|| format!("{warned}/{known} ⚠"))
}

/// What it cost, unless it is a part that never costs anything of its own.
fn cost(row: &Row<'_>) -> Option<String> {
    let said = row.node().is_some_and(|node| node.cost_source.is_some());
    let known = row.total.cost_usd != 0.0 || row.total.cost_is_partial || said;
    known.then(|| dollars(&row.total))
}

fn arrows(row: &Row<'_>) -> Option<String> {
    let (into, out) = (row.total.tokens_in(), row.total.output_tokens);
    (into > 0 || out > 0).then(|| format!("↑{} ↓{}", tokens(into), tokens(out)))
}

/// `codex:gpt-5.5`.
fn whom(attempt: &AttemptSummary) -> String {
    let agent = visible_line(&attempt.agent);
    match &attempt.model {
        Some(model) => format!("{agent}:{}", visible_line(short_model(model))),
        None => agent.into_owned(),
    }
}

fn cost_of(attempt: &AttemptSummary) -> String {
    let usage = Usage {
        total_cost_usd: attempt.total_cost_usd,
        cost_source: attempt.cost_source,
        ..Usage::default()
    };
    figures::dollars(&usage).unwrap_or_else(|| "$?".to_owned())
}

/// Branches leave a name so much of the label.
const NAME_MIN: usize = 24;
/// And what went wrong leaves it so much.
const NAME_LEAST: usize = 6;
/// What an attempt did that has not failed.
const ANSWERED: &str = "answered";
/// As deep as branches are drawn whatever the width.
const BRANCHES_MAX: usize = 12;

const PLAIN: Style = Style::new();
const BRANCH: Style = Style::new().dimmed();
const ID: Style = Style::new().dimmed();
const NAME: Style = Style::new().bold();
const MODEL: Style = AnsiColor::Magenta.on_default();
const BOUNDARY: Style = AnsiColor::Cyan.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const GOOD: Style = AnsiColor::Green.on_default();

#[cfg(test)]
mod tests;
