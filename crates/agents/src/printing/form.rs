//! How a program that only prints is read, as data.

use serde::{Deserialize, Serialize};

/// Where a program that only prints has its answer, and what its lines mean.
///
/// A *lead* is how a line begins, without the blanks in front of it. A *place* is a lead (`"Session: "`: what stands
/// behind it in the last such line), or, when it begins with `/`, a JSON pointer into the answer file
/// (`"/info/cost"`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Form {
    /// The file that has the answer, if that is not standard output: a path in the working folder, or `{answer}` for
    /// one that belay makes and names in the command.
    pub answer_file: Option<String>,
    /// The JSON pointer of the answer in that file; the whole file without one.
    pub answer: Option<String>,
    /// Leads of lines in front of the answer: it begins behind the last of them.
    pub answer_after: Vec<String>,
    /// Leads of lines behind the answer: it ends before the first of them.
    pub answer_before: Vec<String>,
    /// Leads of lines that are no part of the answer, wherever they are.
    pub asides: Vec<String>,
    /// Leads of lines that mean failure, whatever the exit code is.
    pub failures: Vec<String>,
    /// Leads of lines that mean that the program tries again by itself: a failure in front of them is none.
    pub retries: Vec<String>,
    /// The place of the session's id.
    pub session: Option<String>,
    /// The place of the cost in US dollars, if it is exact.
    pub cost: Option<String>,
    /// The place of the input tokens, if they are exact.
    pub input_tokens: Option<String>,
    /// The place of the output tokens, if they are exact.
    pub output_tokens: Option<String>,
    /// How many interrupts (SIGINT) it takes to stop it; 1 if this is 0.
    pub interrupts: u32,
}

impl Form {
    /// True if a line that begins so is there.
    pub(super) fn begins(leads: &[String], line: &str) -> bool {
        leads.iter().any(|lead| line.starts_with(lead.as_str()))
    }
}
