//! What each agent's failures look like: one table an agent, as data, in `src/{agent}/failures.rs`.
//!
//! A driver gathers what its agent has said of a failure, each thing as an [`Evidence`]; the first row of the
//! table whose signs are all there gives the kind. So the kind is a function of the evidence that the failure
//! shows, and nothing else: no answer and no tool's output is ever looked at, because none is ever evidence.
//!
//! Rows stand in the order of their worth: typed fields, then the HTTP status, then how the agent's own words
//! begin; a special case stands before the general one. Each row names where it was seen.
//!
//! ```
//! use belay_agents::failures;
//! use belay_trace::{Evidence, EvidenceSource, FailureKind};
//!
//! let table = failures::table("codex").expect("codex has a table");
//! let words = "exceeded retry limit, last status: 429 Too Many Requests";
//! let said = Evidence { source: EvidenceSource::Text, name: "message".into(), value: words.into() };
//! assert_eq!(table.row(&[said]).map(|row| row.kind), Some(FailureKind::RateLimited));
//! ```

use self::Pattern::Has;
use crate::AGENTS;
use belay_trace::{Evidence, EvidenceSource, Failure, FailureKind};

/// All that is known of one agent's failures.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The agent's name.
    pub agent: &'static str,
    /// The rows; the first one that fits decides.
    pub rows: &'static [Row],
}

/// One way to fail.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What must be there, all of it.
    pub signs: &'static [Sign],
    /// What it means.
    pub kind: FailureKind,
    /// Where it was seen.
    pub seen: Seen,
}

/// One thing that an agent says of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Sign {
    /// What sort of thing.
    pub source: EvidenceSource,
    /// The agent's name for it; empty for any.
    pub name: &'static str,
    /// What it says.
    pub pattern: Pattern,
}

/// What a sign says. Typographic apostrophes count as plain ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This.
    Is(&'static str),
    /// Words that begin so.
    Begins(&'static str),
    /// Words that begin so and have this in them.
    BeginsAndHas(&'static str, &'static str),
    /// Words that have this in them.
    Has(&'static str),
    /// A number from the first to the second.
    Among(u16, u16),
    /// Nothing: the agent does not say it.
    Absent,
}

/// Where a row was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A real agent printed it; the recording has this name.
    Recorded(&'static str),
    /// It stands in the agent's source or documentation, and nobody has recorded it.
    Synthetic,
}

/// The table of the agent with this name, one of [`AGENTS`].
pub fn table(agent: &str) -> Option<&'static Table> {
    AGENTS.iter().find(|entry| entry.name == agent).map(|entry| entry.failures)
}

impl Table {
    /// The row that decides on this evidence; `None` if the failure is of an unknown kind.
    ///
    /// [`REFUSALS`] come first: what a provider declines is declined for every agent. [`CUTS`] come last: whatever else
    /// an agent says of a response that was cut, says more.
    pub fn row(&self, evidence: &[Evidence]) -> Option<&'static Row> {
        REFUSALS.iter().chain(self.rows).chain(CUTS).find(|row| row.is_shown_by(evidence))
    }

    /// The kind of failure that this evidence shows.
    pub(crate) fn kind(&self, evidence: &[Evidence]) -> Option<FailureKind> {
        self.row(evidence).map(|row| row.kind)
    }

    /// The failure that this evidence shows.
    pub(crate) fn failure(&self, message: impl Into<String>, evidence: Vec<Evidence>) -> Failure {
        let kind = self.kind(&evidence).unwrap_or(FailureKind::Unknown);
        Failure { evidence, ..Failure::new(kind, message) }
    }
}

impl Row {
    fn is_shown_by(&self, evidence: &[Evidence]) -> bool {
        self.signs.iter().all(|sign| sign.is_in(evidence))
    }
}

/// Returns whether this evidence shows that a model or a filter has declined.
pub(crate) fn is_refusal(evidence: &[Evidence]) -> bool {
    REFUSALS.iter().any(|row| row.is_shown_by(evidence))
}

/// Returns whether this evidence shows that a response was cut at the model's output limit.
pub(crate) fn is_cut(evidence: &[Evidence]) -> bool {
    CUTS.iter().any(|row| row.is_shown_by(evidence))
}

/// How providers say that a response ended at its output limit: Anthropic and ACP; OpenAI and the AI SDK; Gemini;
/// OpenAI's responses. The words that came are no answer, for nobody knows what is missing.
pub const CUTS: &[Row] = &[
    synthetic(&[any_field("max_tokens")], FailureKind::OutputLimit),
    synthetic(&[any_field("length")], FailureKind::OutputLimit),
    synthetic(&[any_field("MAX_TOKENS")], FailureKind::OutputLimit),
    synthetic(&[any_field("max_output_tokens")], FailureKind::OutputLimit),
];

/// How models, and filters before and behind them, decline. Agents hand these words on as they are, in a typed field of
/// any name or in the text of an error, so that all of them share these rows.
pub const REFUSALS: &[Row] = &[
    // Why a response ended: Anthropic and ACP; OpenAI; the AI SDK; Gemini.
    synthetic(&[any_field("refusal")], FailureKind::Refused),
    synthetic(&[any_field("content_filter")], FailureKind::Refused),
    synthetic(&[any_field("content-filter")], FailureKind::Refused),
    synthetic(&[any_field("SAFETY")], FailureKind::Refused),
    synthetic(&[any_field("RECITATION")], FailureKind::Refused),
    synthetic(&[any_field("PROHIBITED_CONTENT")], FailureKind::Refused),
    synthetic(&[any_field("BLOCKLIST")], FailureKind::Refused),
    synthetic(&[any_field("SPII")], FailureKind::Refused),
    synthetic(&[any_field("IMAGE_SAFETY")], FailureKind::Refused),
    synthetic(&[any_field("IMAGE_PROHIBITED_CONTENT")], FailureKind::Refused),
    synthetic(&[any_field("IMAGE_RECITATION")], FailureKind::Refused),
    synthetic(&[any_field("MODEL_ARMOR")], FailureKind::Refused),
    // The code of a request that was refused: OpenAI; Azure; OpenAI's images.
    synthetic(&[any_field("invalid_prompt")], FailureKind::Refused),
    synthetic(&[any_field("content_policy_violation")], FailureKind::Refused),
    synthetic(&[any_field("ResponsibleAIPolicyViolation")], FailureKind::Refused),
    synthetic(&[any_field("moderation_blocked")], FailureKind::Refused),
    // The words of such an error, where an agent hands on no more: OpenAI; Azure; Anthropic.
    synthetic(&[text("", Has("Invalid prompt: your prompt was flagged"))], FailureKind::Refused),
    synthetic(
        &[text("", Has("Invalid prompt: we've limited access to this content"))],
        FailureKind::Refused,
    ),
    synthetic(
        &[text("", Has("Your request was rejected as a result of our safety system"))],
        FailureKind::Refused,
    ),
    synthetic(
        &[text("", Has("The response was filtered due to the prompt triggering"))],
        FailureKind::Refused,
    ),
    synthetic(&[text("", Has("Output blocked by content filtering policy"))], FailureKind::Refused),
];

impl Sign {
    fn is_in(&self, evidence: &[Evidence]) -> bool {
        let mut said = evidence.iter().filter(|said| {
            said.source == self.source && (self.name.is_empty() || said.name == self.name)
        });
        match self.pattern {
            Pattern::Absent => said.next().is_none(),
            pattern => said.any(|said| pattern.fits(&said.value)),
        }
    }
}

impl Pattern {
    fn fits(self, value: &str) -> bool {
        // Codex writes typographic ones, and not everywhere.
        let value = value.replace('\u{2019}', "'");
        match self {
            Self::Is(what) => value == what,
            Self::Begins(begin) => value.starts_with(begin),
            Self::BeginsAndHas(begin, part) => value.starts_with(begin) && value.contains(part),
            Self::Has(part) => value.contains(part),
            Self::Among(from, to) => {
                value.parse().is_ok_and(|number: u16| (from..=to).contains(&number))
            }
            Self::Absent => false,
        }
    }
}

/// One observation.
pub(crate) fn evidence(
    source: EvidenceSource,
    name: &str,
    value: impl std::fmt::Display,
) -> Evidence {
    Evidence { source, name: name.to_owned(), value: value.to_string() }
}

/// A row that a recording shows.
pub(crate) const fn seen(
    signs: &'static [Sign],
    kind: FailureKind,
    recording: &'static str,
) -> Row {
    Row { signs, kind, seen: Seen::Recorded(recording) }
}

/// A row that nobody has recorded yet.
pub(crate) const fn synthetic(signs: &'static [Sign], kind: FailureKind) -> Row {
    Row { signs, kind, seen: Seen::Synthetic }
}

/// A typed field with this value.
pub(crate) const fn field(name: &'static str, value: &'static str) -> Sign {
    Sign { source: EvidenceSource::Field, name, pattern: Pattern::Is(value) }
}

/// Any typed field with this value: a provider's `code` for one is another's `type`.
pub(crate) const fn any_field(value: &'static str) -> Sign {
    field("", value)
}

/// An HTTP status from the first to the second.
pub(crate) const fn status(from: u16, to: u16) -> Sign {
    Sign { source: EvidenceSource::Status, name: "", pattern: Pattern::Among(from, to) }
}

/// No HTTP status at all.
pub(crate) const NO_STATUS: Sign =
    Sign { source: EvidenceSource::Status, name: "", pattern: Pattern::Absent };

/// The agent's own words.
pub(crate) const fn text(name: &'static str, pattern: Pattern) -> Sign {
    Sign { source: EvidenceSource::Text, name, pattern }
}
