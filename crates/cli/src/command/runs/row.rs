//! One run in a list: what its journal and its request say, as cells and as JSON.

use super::state::{lost_words, state_word};
use crate::command::run::Call;
use crate::{figures, stored};
use belay_trace::stored_path;
use belay_trace::{Overview, RunState, StoredRun, visible_line};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::borrow::Cow;

#[derive(Debug)]
pub(super) struct Row {
    id: String,
    pub(super) short: String,
    pub(super) overview: Overview,
    /// The beginning of the task.
    prompt: String,
}

/// As much of a prompt as anybody reads in a list.
const PROMPT_CHARS_MAX: usize = 200;

impl Row {
    pub(super) fn of(run: &StoredRun, short: &str, mut overview: Overview) -> Self {
        let request = stored::request(run).ok();
        if let Some(request) = &request {
            overview.model = overview.model.take().or_else(|| request.model.clone());
            let cwd = request.cwd.as_deref().map(|cwd| stored_path::to_text(cwd).into_owned());
            overview.cwd = overview.cwd.take().or(cwd);
        }
        let task = Call::read(run.folder()).task;
        let prompt = task.or(request.map(|request| request.prompt)).unwrap_or_default();
        let prompt = prompt.trim().chars().take(PROMPT_CHARS_MAX).collect();
        Self { id: run.id().to_owned(), short: short.to_owned(), overview, prompt }
    }

    pub(super) fn state(&self) -> Cow<'static, str> {
        match self.overview.state {
            RunState::Lost if !self.overview.damaged => lost_words(&self.overview).into(),
            _ => state_word(&self.overview).into(),
        }
    }

    /// `claude-code:sonnet-4-5`.
    pub(super) fn agent(&self) -> String {
        let agent = visible_line(&self.overview.agent);
        match &self.overview.model {
            Some(model) => format!("{agent}:{}", visible_line(short_model(&agent, model))),
            None => agent.into_owned(),
        }
    }

    pub(super) fn cost(&self) -> String {
        self.overview.usage.as_ref().and_then(figures::dollars).unwrap_or_default()
    }

    pub(super) fn tokens(&self) -> String {
        self.overview.usage.as_ref().and_then(figures::tokens).unwrap_or_default()
    }

    /// How long it took, or has taken.
    fn took(&self, now: Timestamp) -> Option<SignedDuration> {
        let until = match self.overview.state {
            RunState::Running => Some(now),
            _ => self.overview.last,
        };
        Some(until?.duration_since(self.overview.started?).max(SignedDuration::ZERO))
    }

    pub(super) fn time(&self, now: Timestamp) -> String {
        self.took(now).map(figures::duration).unwrap_or_default()
    }

    pub(super) fn age(&self, now: Timestamp) -> String {
        self.overview.started.map_or_else(|| "?".to_owned(), |at| figures::age(at, now))
    }

    /// The last part of the folder's name, which is what people call it.
    pub(super) fn folder(&self) -> String {
        let cwd = self.overview.cwd.as_deref().unwrap_or_default().trim_end_matches('/');
        visible_line(cwd.rsplit('/').next().unwrap_or(cwd)).into_owned()
    }

    /// The first line of the prompt that says anything.
    pub(super) fn words(&self) -> String {
        visible_line(self.prompt.lines().next().unwrap_or_default().trim_end()).into_owned()
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let overview = &self.overview;
        let took =
            self.took(Timestamp::now()).and_then(|took| u64::try_from(took.as_millis()).ok());
        json!({
            "run": self.id,
            "short": self.short,
            "state": state_word(overview),
            "host": overview.process.as_ref().map(|process| &process.host),
            "agent": overview.agent,
            "model": overview.model,
            "started": overview.started,
            "duration_ms": took,
            "session_id": overview.session_id,
            "cwd": overview.cwd,
            "prompt_start": self.prompt,
            "usage": overview.usage,
            "failure": overview.failure,
        })
    }
}

/// A model's name without what its agent says already, and without its date.
fn short_model<'a>(agent: &str, model: &'a str) -> &'a str {
    let family = agent.split('-').next().unwrap_or(agent);
    let rest = model.strip_prefix(family).and_then(|rest| rest.strip_prefix('-')).unwrap_or(model);
    match rest.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_as_short_as_it_can_be() {
        for (agent, model, want) in [
            ("claude-code", "claude-sonnet-4-5-20250929", "sonnet-4-5"),
            ("claude-code", "opus", "opus"),
            ("codex", "gpt-5.5", "gpt-5.5"),
            ("codex", "codex", "codex"),
            ("", "claude-x", "claude-x"),
        ] {
            assert_eq!(short_model(agent, model), want);
        }
    }
}
