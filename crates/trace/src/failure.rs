//! Why an attempt did not answer: a kind with its evidence, never a string to grep.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Why an attempt or a run ended without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The kind, which decides what to do about it.
    pub kind: FailureKind,
    /// One sentence for people: the agent's own words where it had any.
    pub message: String,
    /// What the kind was derived from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// When a limit ends, if the agent said so as a point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// What `resets_at` was derived from: a field, or the agent's words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_source: Option<EvidenceSource>,
    /// How long the provider asks to wait before the next request, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// When a limit ends in the agent's own words, if it gave no point in time ("resets 3pm").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_hint: Option<String>,
}

impl Failure {
    /// A failure with no evidence yet.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            evidence: Vec::new(),
            resets_at: None,
            reset_source: None,
            retry_after_ms: None,
            reset_hint: None,
        }
    }

    /// Adds what the kind was derived from.
    #[must_use]
    pub fn with(mut self, source: EvidenceSource, name: &str, value: impl fmt::Display) -> Self {
        let evidence = Evidence { source, name: name.to_owned(), value: value.to_string() };
        self.evidence.push(evidence);
        self
    }
}

impl Failure {
    /// One line for people. Of a limit whose end is known it says which one and until when, and leaves out what the
    /// provider would like to sell; otherwise it is [`message`](Self::message).
    pub fn summary(&self) -> Cow<'_, str> {
        let what = match self.kind {
            FailureKind::UsageLimit => "usage limit",
            FailureKind::RateLimited => "rate limit",
            _ => return (&self.message).into(),
        };
        let Some(at) = self.resets_at.filter(|_| self.known_by_others().is_none()) else {
            return (&self.message).into();
        };
        let window = self.evidence.iter().find(|said| said.name == Self::WINDOW);
        let window = window.map(|said| format!("{} ", said.value)).unwrap_or_default();
        format!("{window}{what} reached, resets {at:.0}").into()
    }

    /// The name of the evidence for the window of a limit: `5-hour`, `weekly`.
    pub const WINDOW: &str = "window";

    /// What another run has found out, if it was one.
    fn known_by_others(&self) -> Option<&Evidence> {
        self.evidence.iter().find(|said| said.name == "breaker")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary();
        // Some agents say no more than that.
        if summary == self.kind.name() {
            return f.write_str(&summary);
        }
        write!(f, "{}: {summary}", self.kind)
    }
}

/// One observation behind a [`Failure`], for example field `api_error_status` = `429`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What sort of observation; a structured field beats a status, a status beats an exit code, and so on.
    pub source: EvidenceSource,
    /// The agent's name for it.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What sort of observation an [`Evidence`] is, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EvidenceSource {
    /// A typed field of the agent's protocol.
    Field,
    /// An HTTP status that the agent reported.
    Status,
    /// How the process ended.
    Exit,
    /// The agent's own error text; never an answer or a tool's output.
    Text,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// Too many requests; it passes in seconds.
    RateLimited,
    /// A plan's window is used up; it resets in hours or days.
    UsageLimit,
    /// The provider has no capacity right now.
    Overloaded,
    /// The provider failed (5xx).
    ServerError,
    /// The provider could not be reached, or the stream broke.
    Network,
    /// Credentials are missing, wrong or expired.
    Auth,
    /// Credit, quota or a spending cap is used up.
    Billing,
    /// The model does not exist or may not be used.
    ModelUnavailable,
    /// The conversation no longer fits the model's context window.
    ContextOverflow,
    /// The answer was cut off at its token limit.
    OutputLimit,
    /// The model or a filter declined.
    Refused,
    /// A tool needed a permission that was not given, and the agent gave up.
    PermissionDenied,
    /// A limit of the caller was reached: turns, money.
    LimitReached,
    /// The request cannot work as it is: a bad option, an unknown session.
    InvalidRequest,
    /// The agent fell silent.
    Stalled,
    /// The agent died.
    Crashed,
    /// The agent ended without saying how its turn ended.
    Protocol,
    /// The agent is not on this machine.
    NotInstalled,
    /// The agent's program cannot be executed.
    NotExecutable,
    /// This version of the agent lacks what the driver needs.
    VersionUnsupported,
    /// Somebody stopped the run.
    Interrupted,
    /// The run's time was up.
    Deadline,
    /// Another run uses the session.
    SessionInUse,
    /// This machine failed: disk, folder, file descriptors.
    LocalIo,
    /// Something else.
    Unknown,
}

impl FailureKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 25] = [
        Self::RateLimited,
        Self::UsageLimit,
        Self::Overloaded,
        Self::ServerError,
        Self::Network,
        Self::Auth,
        Self::Billing,
        Self::ModelUnavailable,
        Self::ContextOverflow,
        Self::OutputLimit,
        Self::Refused,
        Self::PermissionDenied,
        Self::LimitReached,
        Self::InvalidRequest,
        Self::Stalled,
        Self::Crashed,
        Self::Protocol,
        Self::NotInstalled,
        Self::NotExecutable,
        Self::VersionUnsupported,
        Self::Interrupted,
        Self::Deadline,
        Self::SessionInUse,
        Self::LocalIo,
        Self::Unknown,
    ];

    /// The name as it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::UsageLimit => "usage_limit",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Network => "network",
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::ModelUnavailable => "model_unavailable",
            Self::ContextOverflow => "context_overflow",
            Self::OutputLimit => "output_limit",
            Self::Refused => "refused",
            Self::PermissionDenied => "permission_denied",
            Self::LimitReached => "limit_reached",
            Self::InvalidRequest => "invalid_request",
            Self::Stalled => "stalled",
            Self::Crashed => "crashed",
            Self::Protocol => "protocol",
            Self::NotInstalled => "not_installed",
            Self::NotExecutable => "not_executable",
            Self::VersionUnsupported => "version_unsupported",
            Self::Interrupted => "interrupted",
            Self::Deadline => "deadline",
            Self::SessionInUse => "session_in_use",
            Self::LocalIo => "local_io",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_displays_as_it_is_stored() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
