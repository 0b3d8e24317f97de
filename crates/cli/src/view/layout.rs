//! Which columns there is room for, and where they stand.

use super::gauge::CELLS;
use super::line::GAP;

/// How wide the parts of a tree would like to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The widest name with what stands before and behind it, without its id.
    pub(super) label: usize,
    pub(super) time: usize,
    pub(super) cost: usize,
    pub(super) tokens: usize,
    /// Whether any context is known.
    pub(super) context: bool,
    /// Whether anything took time.
    pub(super) bar: bool,
}

/// Where each column ends; 0 for one that is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) id: bool,
    /// Where names end at the latest.
    pub(super) label: usize,
    pub(super) time: usize,
    pub(super) cost: usize,
    pub(super) tokens: usize,
    pub(super) context: usize,
    /// Whether there is room for a picture beside the percentage.
    pub(super) gauge: bool,
    /// Where the time bar begins, and its cells.
    pub(super) bar: (usize, usize),
}

/// An id and the gap behind it.
pub(super) const ID: usize = 8 + GAP;
/// Names are given so much before anything else is.
const NAME_MIN: usize = 26;
/// And so much before the time bar grows.
const LABEL_GOOD: usize = 48;
const BAR_MIN: usize = 8;
const BAR_GOOD: usize = 12;
/// A longer bar shows no more.
const BAR_MAX: usize = 60;
/// ` 100% ⚠`.
const PERCENT: usize = 6;

/// How much is left out, of the list below: the first so many of it.
#[derive(Clone, Copy, Debug)]
struct Left {
    out: usize,
}

const TOKENS: usize = 1;
const IDS: usize = 2;
const GAUGE: usize = 3;
const BAR: usize = 4;
const COST: usize = 5;
const CONTEXT: usize = 6;
const TIME: usize = 7;

impl Left {
    fn shows(self, what: usize) -> bool {
        self.out < what
    }
}

impl Layout {
    /// The richest layout that leaves names enough room.
    pub(super) fn of(wanted: Wanted, width: usize) -> Self {
        let mut layouts = (0..=TIME).map(|out| Left { out }).filter_map(|left| {
            let layout = Self::with(wanted, width, left);
            let id = if layout.id { ID } else { 0 };
            let has_names = layout.label >= wanted.label.min(NAME_MIN) + id;
            let has_bar = layout.bar.1 > 0 || !wanted.bar || !left.shows(BAR);
            (has_names && has_bar).then_some(layout)
        });
        let last = Self { label: width, ..Self::default() };
        layouts.next().unwrap_or(last)
    }

    fn with(wanted: Wanted, width: usize, left: Left) -> Self {
        let column = |shown: bool, width: usize| if shown && width > 0 { width + GAP } else { 0 };
        let gauge = left.shows(GAUGE);
        let context = PERCENT + if gauge { CELLS + 1 } else { 0 };
        let columns = [
            column(left.shows(TIME), wanted.time),
            column(left.shows(COST), wanted.cost),
            column(left.shows(TOKENS), wanted.tokens),
            column(left.shows(CONTEXT) && wanted.context, context),
        ];
        let id = left.shows(IDS);
        let rest = width.saturating_sub(columns.iter().sum());
        let names = wanted.label + if id { ID } else { 0 };
        let bar = if left.shows(BAR) && wanted.bar {
            bar(rest, names, NAME_MIN + if id { ID } else { 0 })
        } else {
            0
        };
        let label = names.min(rest.saturating_sub(column(bar > 0, bar)));
        // Where one column ends, the next one begins.
        let mut at = label;
        let [time, cost, tokens, context] = columns.map(|width| {
            at += width;
            if width > 0 { at } else { 0 }
        });
        let bar = if bar > 0 { (at + GAP, bar) } else { (0, 0) };
        Self { id, label, time, cost, tokens, context, gauge, bar }
    }

    /// Where a line ends that has no figures.
    pub(super) fn before_bar(&self) -> usize {
        [self.label, self.time, self.cost, self.tokens, self.context].into_iter().max().unwrap_or(0)
    }
}

/// The cells of a bar beside names that want to be so wide, and are at least so wide. Names come first until they are long, and the bar has
/// what they leave.
fn bar(rest: usize, names: usize, least: usize) -> usize {
    let beside = |names: usize| rest.saturating_sub(names + GAP);
    let bar = beside(names).max(beside(LABEL_GOOD.min(names)).min(BAR_GOOD));
    match bar.max(beside(least).min(BAR_MIN)) {
        0..BAR_MIN => 0,
        bar => bar.min(BAR_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted =
        Wanted { label: 40, time: 6, cost: 8, tokens: 13, context: true, bar: true };

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 0..300 {
            let layout = Layout::of(WANTED, width);
            let end = layout.before_bar().max(layout.bar.0 + layout.bar.1);
            assert!(end <= width, "{width}: {layout:?}");
            assert!(width < 20 || layout.label >= 16.min(width), "{width}: {layout:?}");
        }
    }

    #[test]
    fn what_matters_least_is_left_out_first() {
        let shown = |width| {
            let layout = Layout::of(WANTED, width);
            let parts = [
                (layout.id, "id"),
                (layout.time > 0, "time"),
                (layout.cost > 0, "cost"),
                (layout.tokens > 0, "tokens"),
                (layout.context > 0, "context"),
                (layout.gauge, "gauge"),
                (layout.bar.1 > 0, "bar"),
            ];
            parts.into_iter().filter(|(shown, _)| *shown).map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(shown(120), ["id", "time", "cost", "tokens", "context", "gauge", "bar"]);
        assert_eq!(shown(90), ["id", "time", "cost", "context", "gauge", "bar"]);
        assert_eq!(shown(80), ["time", "cost", "context", "gauge", "bar"]);
        assert_eq!(shown(60), ["time", "cost", "context"]);
        assert_eq!(shown(50), ["time", "context"]);
        assert_eq!(shown(20), Vec::<&str>::new());
    }

    #[test]
    fn what_nobody_has_takes_no_room() {
        let layout = Layout::of(Wanted { label: 20, ..Wanted::default() }, 100);
        assert_eq!((layout.label, layout.before_bar(), layout.bar), (30, 30, (0, 0)));
    }
}
