//! What every viewer of a trace shares: the tree as rows, with totals, context figures and times.
//!
//! A [`View`] is made once, in one pass and without recursion, and knows nothing of colours, widths or screens.
//! Its rows stand in the order in which a tree is printed, so that a viewer can show any part of them.
//!
//! ```
//! use belay_trace::view::{View, dollars, sample_tree};
//!
//! let tree = sample_tree();
//! let view = View::of(&tree);
//! assert_eq!(dollars(&view.root().total), "≥$0.4975");
//! let phases = view.children(0).filter(|row| row.model().is_some());
//! assert_eq!(phases.map(|row| row.name()).collect::<Vec<_>>(), ["discovery", "review", "writing"]);
//! ```

mod build;
mod format;
mod sample;

pub use self::format::{dollars, duration, short_id, short_model, tokens};
pub use self::sample::sample_tree;

use crate::{AttemptSummary, Node, NodeType};

/// From this share of a context window on, in percent, a viewer warns. The seed's threshold.
pub const WARN_PERCENT: f64 = 60.0;

/// Beyond this share there is little room left. The seed's threshold.
pub const HIGH_PERCENT: f64 = 80.0;

/// A trace tree as rows: each node behind its parent, children in their order.
#[derive(Clone, Debug)]
pub struct View<'a> {
    rows: Vec<Row<'a>>,
}

/// One line of a tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row<'a> {
    /// What it shows.
    pub part: Part<'a>,
    /// The row above it in the tree; none for the root.
    pub parent: Option<usize>,
    /// How many rows stand above it in the tree.
    pub depth: usize,
    /// True for the last child of its parent.
    pub is_last: bool,
    /// The index behind its last descendant: `own + 1..end` is what stands below it.
    pub end: usize,
    /// How it stands.
    pub state: State,
    /// Its own figures and those of all that stands below it.
    pub total: Total,
    /// How full its own context was at the end, in percent; none if nobody knows the window.
    pub context: Option<f64>,
    /// The same, or where it has none of its own, the average of its children's.
    pub average: Option<f64>,
    /// When it began, in milliseconds after the first thing in the trace.
    pub start_ms: i64,
    /// When it and all below it had ended.
    pub end_ms: i64,
}

/// What a row shows.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A node of the tree.
    Node(&'a Node),
    /// One of the attempts of the phase above it. Its cost is in the phase's already, so its total is empty; when
    /// it began is not known.
    Attempt(&'a AttemptSummary),
}

/// How a part of a trace stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It has ended, and nobody has said that it failed.
    #[default]
    Ended,
    /// It has failed.
    Failed,
    /// Its end was never seen.
    Unfinished,
    /// It is at work.
    Running,
    /// Somebody has stopped it.
    Interrupted,
    /// Whoever ran it was killed.
    Killed,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
        }
    }
}

/// Figures of a row and all below it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Total {
    /// US dollars, as far as they are known.
    pub cost_usd: f64,
    /// Part of the work has no known cost: `cost_usd` is a lower bound.
    pub cost_is_partial: bool,
    /// Input tokens outside the prompt cache.
    pub input_tokens: u64,
    /// Input tokens read from and written to the prompt cache.
    pub cached_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Tool calls.
    pub calls: u64,
    /// Of the nodes, those that have failed.
    pub failed: u64,
    /// Of the nodes, those whose end was never seen.
    pub unfinished: u64,
}

impl Total {
    /// What went in, cached tokens included.
    pub fn tokens_in(&self) -> u64 {
        self.input_tokens.saturating_add(self.cached_tokens)
    }
}

impl<'a> View<'a> {
    /// The rows of a tree.
    pub fn of(tree: &'a Node) -> Self {
        Self { rows: build::rows(tree) }
    }

    /// All rows, the root first; there is always one.
    pub fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// The trace itself.
    pub fn root(&self) -> &Row<'a> {
        &self.rows[0]
    }

    /// The rows one level below the row at `index`; none if there is no such row.
    pub fn children(&self, index: usize) -> impl Iterator<Item = &Row<'a>> + Clone {
        let end = self.rows.get(index).map_or(0, |row| row.end);
        let mut next = index.saturating_add(1);
        std::iter::from_fn(move || {
            let row = self.rows.get(next).filter(|_| next < end)?;
            next = row.end;
            Some(row)
        })
    }

    /// How full the contexts of a row's children were, where that is known: what a sparkline shows.
    pub fn child_contexts(&self, index: usize) -> Vec<f64> {
        self.children(index).filter_map(|row| row.average).collect()
    }

    /// How many contexts were filled beyond `percent`, and how many are known.
    ///
    /// As in the seed's viewer only the lowest ones count: a parent whose children have contexts of their own does
    /// not.
    pub fn warnings(&self, percent: f64) -> (usize, usize) {
        let (mut warned, mut known) = (0, 0);
        // Backwards, so that what stands below a row comes before it: the first row with a known context below.
        let mut below = usize::MAX;
        for (index, row) in self.rows.iter().enumerate().rev() {
            let Some(context) = row.context else { continue };
            if below >= row.end {
                known += 1;
                warned += usize::from(context > percent);
            }
            below = index;
        }
        (warned, known)
    }

    /// Milliseconds from the first thing in the trace to the last.
    pub fn span_ms(&self) -> i64 {
        self.rows.iter().map(|row| row.end_ms).max().unwrap_or(0)
    }
}

impl<'a> Row<'a> {
    /// The node, unless the row shows something else.
    pub fn node(&self) -> Option<&'a Node> {
        match self.part {
            Part::Node(node) => Some(node),
            Part::Attempt(_) => None,
        }
    }

    /// What people call it: the name of the agent, phase or tool, or `session` as in the seed's viewer.
    pub fn name(&self) -> &'a str {
        match self.part {
            Part::Node(node) if node.agent_name.is_empty() && self.parent.is_none() => "session",
            Part::Node(node) => &node.agent_name,
            Part::Attempt(attempt) => &attempt.agent,
        }
    }

    /// The full name of its model, if one ran.
    pub fn model(&self) -> Option<&'a str> {
        match self.part {
            Part::Node(node) => Some(node.model.as_str()).filter(|model| !model.is_empty()),
            Part::Attempt(attempt) => attempt.model.as_deref(),
        }
    }

    /// How long it took, from its own figure or else from what stands below it; none for a boundary, which takes no
    /// time, and for what nobody has timed.
    pub fn duration_ms(&self) -> Option<i64> {
        match self.part {
            Part::Node(node) if node.node_type == NodeType::Marker => None,
            Part::Node(node) if node.duration_ms > 0 => Some(node.duration_ms),
            Part::Node(_) if self.state == State::Unfinished => None,
            Part::Node(_) => Some(self.end_ms.saturating_sub(self.start_ms)),
            Part::Attempt(attempt) => {
                attempt.duration_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
            }
        }
    }

    /// True if it, or on average what stands below it, has filled more of its context than [`WARN_PERCENT`].
    pub fn is_warned(&self) -> bool {
        self.average.is_some_and(|percent| percent > WARN_PERCENT)
    }
}

#[cfg(test)]
mod tests;
