//! What each agent's failures look like: one table an agent, as data, in `src/{agent}/failures.rs`.
//!
//! A driver gathers what its agent has said of a failure, each thing as an [`Evidence`]; the first row of the
//! table whose signs are all there gives the kind. So the kind is a function of the evidence that the failure
//! shows, and nothing else: no answer and no tool's output is ever looked at, because none is ever evidence.
//!
//! Rows stand in the order of their worth: typed fields, then the HTTP status, then how the agent's own words
//! begin; a special case stands before the general one. Each row names where it was seen. What providers say stands in
//! one place for all agents, [`providers`], and around each agent's own rows.
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

pub mod providers;
pub(crate) mod told_as_answer;

use self::providers::REFUSALS;
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
    /// Words that have this in them, whatever their case; it is in lower case here.
    Says(&'static str),
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
    /// What was declined and what an agent knows itself come first; then what a provider says precisely, whatever the
    /// agent makes of it; then the agent's own rows; then what is true of many errors. [`CUTS`] come last: whatever else
    /// is said of a response that was cut, says more.
    pub fn row(&self, evidence: &[Evidence]) -> Option<&'static Row> {
        use providers::{
            CLASSES, CODES, EXCEPTIONS, REFUSING_WORDS, STATUSES, VAGUE, VAGUE_WORDS, WORDS,
        };
        let known = self.rows.iter().filter(|row| row.is_known_to_the_agent());
        let precise = [EXCEPTIONS, REFUSING_WORDS, CODES, WORDS];
        let general = [CLASSES, STATUSES, VAGUE_WORDS, VAGUE, CUTS];
        let groups = precise.into_iter().chain([self.rows]).chain(general);
        let mut rows = REFUSALS.iter().chain(known).chain(groups.flatten());
        rows.find(|row| row.is_shown_by(evidence))
    }

    /// The kind of failure that this evidence shows.
    pub(crate) fn kind(&self, evidence: &[Evidence]) -> Option<FailureKind> {
        self.row(evidence).map(|row| row.kind)
    }

    /// The failure that this evidence shows.
    pub(crate) fn failure(
        &self,
        message: impl Into<String>,
        mut evidence: Vec<Evidence>,
    ) -> Failure {
        // Strongest first.
        evidence.sort_by_key(|said| match said.source {
            EvidenceSource::Field => 0,
            EvidenceSource::Status => 1,
            EvidenceSource::Exit => 2,
            EvidenceSource::Text => 3,
        });
        let kind = self.kind(&evidence).unwrap_or(FailureKind::Unknown);
        Failure { evidence, ..Failure::new(kind, message) }
    }
}

impl Row {
    /// Returns whether an agent says by typed fields alone what it has measured or done itself: no words are asked then.
    fn is_known_to_the_agent(&self) -> bool {
        let is_own = matches!(
            self.kind,
            FailureKind::Interrupted
                | FailureKind::LimitReached
                | FailureKind::ContextOverflow
                | FailureKind::OutputLimit
                | FailureKind::PermissionDenied
        );
        is_own && self.signs.iter().all(|sign| sign.source == EvidenceSource::Field)
    }

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

/// What an agent prints beside its protocol, and words that stand in the place of an answer: only a row that names them
/// asks them, for they may be any tool's, or the model's.
const ASIDE: [&str; 2] = ["stderr", "own_words"];

impl Sign {
    fn is_in(&self, evidence: &[Evidence]) -> bool {
        let is_meant = |name: &str| match self.name {
            "" => !ASIDE.contains(&name),
            own => name == own,
        };
        let mut said =
            evidence.iter().filter(|said| said.source == self.source && is_meant(&said.name));
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
            Self::Says(part) => value.to_lowercase().contains(part),
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
