//! What a turn comes to that its agent says is over: the one place that decides what an answer is.
//!
//! A driver reads what its protocol says, each field for itself, and hands it over as [`Said`]. No field is believed
//! alone: one sign of a failure makes a failure, whatever the others say, and an answer has to be there to be one.
//!
//! - No word, and no tool was called: a failure, for nothing has come of the turn (`protocol`).
//! - No word behind tool calls: answered, with an empty answer and a warning. It is never tried again, because its
//!   effects stand.
//! - A response that ended at the model's output limit: a failure (`output_limit`); what came of it is kept.
//! - No model was asked, for the prompt was a command of the agent's own: answered, which a notice says.

use crate::failures::{self, evidence};
use crate::protocol::{AttemptEnd, Out};
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Json, Level};

/// What an agent has said of a turn, in the words of any protocol.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Why the turn has failed, by any sign that it has.
    pub(crate) failure: Option<Failure>,
    /// The words behind the last tool call.
    pub(crate) words: String,
    /// What was said at all, for a turn that fails: the end of it.
    pub(crate) reached: String,
    /// The value that was asked for in the place of words.
    pub(crate) structured: Option<Json>,
    /// A tool was called.
    pub(crate) acted: bool,
    /// Who carried the prompt out.
    pub(crate) by: By,
    /// The agent's word for why the turn ended, by its name for that: the evidence where nothing was said.
    pub(crate) ended: Option<(&'static str, String)>,
}

/// Who carried a prompt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    /// A model, as far as anyone knows.
    #[default]
    Model,
    /// The agent itself: the prompt was a command of its own.
    Agent,
}

/// What a turn comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Answered,
    /// Answered, without a word.
    Silent,
    /// Carried out by the agent itself.
    Command,
    Failed(Failure),
}

/// Decides what a turn comes to.
pub(crate) fn verdict(said: &Said) -> Verdict {
    let has_answer = said.structured.is_some() || !said.words.trim().is_empty();
    match &said.failure {
        Some(failure) => Verdict::Failed(failure.clone()),
        None if said.by == By::Agent => Verdict::Command,
        None if has_answer => Verdict::Answered,
        None if said.acted => Verdict::Silent,
        None => {
            let words = "the turn ended without a word, and without a tool call";
            let failure = Failure::new(FailureKind::Protocol, words);
            Verdict::Failed(match &said.ended {
                Some((name, reason)) => failure.with(EvidenceSource::Field, name, reason),
                None => failure,
            })
        }
    }
}

impl Said {
    /// A turn that has failed, and what was reached in it.
    pub(crate) fn failed(failure: Failure, reached: String) -> Self {
        Self { failure: Some(failure), reached, ..Self::default() }
    }

    /// Ends the turn as it was decided, and says what is unusual about it. Who was told more (usage, session) adds it.
    pub(crate) fn end(self, out: &mut Out) -> AttemptEnd {
        let failure = match verdict(&self) {
            Verdict::Answered => None,
            Verdict::Silent => {
                let words =
                    "the turn ended behind its tool calls without a word: its answer is empty";
                out.event(Event::notice(Level::Warn, "empty_answer", words));
                None
            }
            Verdict::Command => {
                let words = "no model answered: the prompt was a command of the agent's own";
                out.event(Event::notice(Level::Info, "no_model", words));
                None
            }
            Verdict::Failed(failure) => Some(failure),
        };
        let answer = match failure {
            Some(_) if !self.reached.is_empty() => self.reached,
            _ => self.words,
        };
        AttemptEnd { answer, failure, structured: self.structured, ..AttemptEnd::default() }
    }
}

/// Returns whether the prompt may be a command that its agent carries out itself: a slash, or a dollar sign where
/// agents use that, and a name. A path is none.
pub(crate) fn is_command(prompt: &str) -> bool {
    let first = prompt.split_whitespace().next().unwrap_or_default();
    let Some(name) = first.strip_prefix(['/', '$']) else { return false };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':');
    !name.is_empty() && name.chars().all(is_name)
}

/// Returns the failure when a response ended because a model or a filter declined. `name` is the agent's word for the
/// reason, such as `finish_reason`.
pub(crate) fn refusal(name: &str, reason: &str) -> Option<Failure> {
    let said = [evidence(EvidenceSource::Field, name, reason)];
    failures::is_refusal(&said).then(|| {
        let words = format!("the response was refused or filtered ({reason})");
        Failure { evidence: said.into(), ..Failure::new(FailureKind::Refused, words) }
    })
}

/// Returns the failure when a response ended because it had become too long: half an answer is none.
pub(crate) fn cut(name: &str, reason: &str) -> Option<Failure> {
    let said = [evidence(EvidenceSource::Field, name, reason)];
    failures::is_cut(&said)
        .then(|| Failure { evidence: said.into(), ..Failure::new(FailureKind::OutputLimit, CUT) })
}

/// Returns the failure when a response ended before its end: declined, or cut.
pub(crate) fn unfinished(name: &str, reason: &str) -> Option<Failure> {
    refusal(name, reason).or_else(|| cut(name, reason))
}

/// What a response is that has become too long.
pub(crate) const CUT: &str = "the answer was cut off at the model's output limit";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str, acted: bool) -> Said {
        Said { words: words.to_owned(), acted, ..Said::default() }
    }

    /// The kind of failure, the answer, and the code of the notice.
    fn end(said: Said) -> (Option<FailureKind>, String, Option<String>) {
        let mut out = Out::default();
        let end = said.end(&mut out);
        let code = out.actions.into_iter().find_map(|action| match action {
            crate::Action::Emit(emitted) => match emitted.event {
                Event::Notice(notice) => notice.code,
                _ => None,
            },
            _ => None,
        });
        (end.failure.map(|failure| failure.kind), end.answer, code)
    }

    #[test]
    fn words_are_an_answer_and_silence_only_behind_work() {
        assert_eq!(end(said("yes", false)), (None, "yes".into(), None));
        assert_eq!(end(said("yes", true)), (None, "yes".into(), None));
        let empty = Some("empty_answer".into());
        assert_eq!(end(said(" \n", true)), (None, " \n".into(), empty));
        for nothing in ["", " \n"] {
            assert_eq!(end(said(nothing, false)).0, Some(FailureKind::Protocol));
        }
    }

    #[test]
    fn a_value_is_an_answer() {
        let structured = Some(Json::from(serde_json::json!({"a": 1})));
        assert_eq!(end(Said { structured, ..Said::default() }), (None, String::new(), None));
    }

    #[test]
    fn a_command_of_the_agents_own_is_answered() {
        let command = |words| Said { by: By::Agent, ..said(words, false) };
        for words in ["", "Cost: $0"] {
            assert_eq!(end(command(words)), (None, words.into(), Some("no_model".into())));
        }
    }

    #[test]
    fn one_sign_of_a_failure_is_enough_and_what_was_reached_is_kept() {
        let failure = Some(Failure::new(FailureKind::Refused, "no"));
        let half = Said { failure, reached: "half of it".into(), ..said("words", true) };
        assert_eq!(end(half), (Some(FailureKind::Refused), "half of it".into(), None));
    }

    #[test]
    fn a_command_has_a_name_and_a_path_is_none() {
        for (prompt, want) in [
            ("/clear", true),
            ("  /compact keep the tests\n", true),
            ("/my:command", true),
            ("/etc/passwd is wrong", false),
            ("/", false),
            ("clear /x", false),
            ("", false),
        ] {
            assert_eq!(is_command(prompt), want, "{prompt}");
        }
    }

    #[test]
    fn the_providers_words_for_a_refusal_and_for_a_cut_are_known() {
        for reason in ["refusal", "content_filter", "content-filter", "SAFETY", "RECITATION"] {
            let failure = refusal("finish_reason", reason).unwrap();
            assert_eq!(failure.kind, FailureKind::Refused, "{reason}");
        }
        for reason in ["max_tokens", "length", "MAX_TOKENS", "max_output_tokens"] {
            let failure = unfinished("finish_reason", reason).unwrap();
            assert_eq!(failure.kind, FailureKind::OutputLimit, "{reason}");
        }
        for reason in ["stop", "end_turn", "tool_calls", "STOP", ""] {
            assert_eq!(unfinished("finish_reason", reason), None, "{reason}");
        }
    }
}
