//! A run that did not answer.

use crate::Outcome;
use belay_trace::{Failure, FailureKind};
use std::fmt;

/// The name of the evidence for an option that an agent lacks.
pub(crate) const UNSUPPORTED: &str = "unsupported_option";

/// A run that ended without an answer.
///
/// What was paid for is not lost: [`outcome`](Self::outcome) has the partial text, the usage and the session.
#[derive(Clone, Debug)]
pub struct Error {
    inner: Box<(Failure, Outcome)>,
}

impl Error {
    pub(crate) fn new(failure: Failure, outcome: Outcome) -> Self {
        Self { inner: Box::new((failure, outcome)) }
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> FailureKind {
        self.inner.0.kind
    }

    /// The option of the request that the agent lacks, if that is what is wrong.
    pub fn unsupported_option(&self) -> Option<&str> {
        let evidence = self.inner.0.evidence.iter().find(|evidence| evidence.name == UNSUPPORTED);
        evidence.map(|evidence| evidence.value.as_str())
    }

    /// The failure with its evidence.
    pub fn failure(&self) -> &Failure {
        &self.inner.0
    }

    /// What there is nevertheless.
    pub fn outcome(&self) -> &Outcome {
        &self.inner.1
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failure, outcome) = &*self.inner;
        if !outcome.agent.is_empty() {
            write!(f, "{}: ", outcome.agent)?;
        }
        f.write_str(&failure.summary())
    }
}

impl std::error::Error for Error {}
