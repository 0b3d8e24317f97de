//! How a program that only prints is read, as data.

use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

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
    /// Leads of lines in front of the answer: it begins with the first other line behind one.
    pub answer_after: Vec<String>,
    /// Leads of lines behind the answer: it ends before the last of them. A failure in front of one is none.
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

    /// What is wrong with it.
    ///
    /// # Errors
    /// In words, with the key.
    pub fn check(&self) -> Result<(), String> {
        check_leads(&[
            ("answer_after", &self.answer_after),
            ("answer_before", &self.answer_before),
            ("asides", &self.asides),
            ("failures", &self.failures),
            ("retries", &self.retries),
        ])?;
        let places = [
            ("session", &self.session),
            ("cost", &self.cost),
            ("input_tokens", &self.input_tokens),
            ("output_tokens", &self.output_tokens),
        ];
        let empty = places.iter().find(|(_, place)| place.as_deref().is_some_and(str::is_empty));
        if let Some((key, _)) = empty {
            return Err(format!("`{key}` is empty: write how its line begins, or a JSON pointer"));
        }
        let has_file = self.answer_file.is_some();
        match &self.answer {
            Some(pointer) if !pointer.starts_with('/') => {
                return Err(format!("`answer`: `{pointer}` is no JSON pointer: begin it with /"));
            }
            Some(_) if !has_file => {
                return Err("`answer` is a place in `answer_file`, which is not named".to_owned());
            }
            _ => {}
        }
        if let Some(file) = self.answer_file.as_deref().filter(|file| !is_below(file)) {
            return Err(format!("`answer_file`: `{file}` is not in the working folder"));
        }
        if self.interrupts > INTERRUPTS_MAX {
            return Err(format!("`interrupts`: no program takes more than {INTERRUPTS_MAX}"));
        }
        Ok(())
    }
}

/// More than anybody's patience.
const INTERRUPTS_MAX: u32 = 10;

/// Every line begins with an empty lead.
pub(crate) fn check_leads(leads: &[(&str, &Vec<String>)]) -> Result<(), String> {
    match leads.iter().find(|(_, leads)| leads.iter().any(|lead| lead.trim().is_empty())) {
        Some((key, _)) => Err(format!("`{key}` has an empty lead, with which every line begins")),
        None => Ok(()),
    }
}

/// True for a path that stays in the folder that it is taken from.
fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
