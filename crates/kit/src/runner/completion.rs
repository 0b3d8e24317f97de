//! What a run came to, in one record: what observability services call a completion.

use crate::redact::Redactor;
use crate::{Client, RunRequest};
use belay_agents::AttemptEnd;
use belay_trace::{CompletionRecord, Usage};
use jiff::Timestamp;
use std::time::Instant;

/// The record of a run that has begun. The request may change on the way; this is the caller's own.
#[derive(Debug)]
pub(super) struct Completion {
    record: CompletionRecord,
    /// Whom the model in the record was asked of.
    asked: String,
    began: Instant,
}

impl Completion {
    pub(super) fn begin(
        client: &Client,
        request: &RunRequest,
        run_id: &str,
        redactor: &Redactor,
    ) -> Self {
        let trace_id = request.trace_id.clone().unwrap_or_else(|| run_id.to_owned());
        let clean = |text: &str| redactor.text(text).into_owned();
        let record = CompletionRecord {
            session_id: client.sessions.of(&trace_id),
            trace_id,
            prompt: clean(&request.prompt),
            model: request.model.clone().or_else(|| client.agent.model().map(str::to_owned)),
            phase: request.phase.as_deref().map(clean),
            run: run_id.to_owned(),
            start_time: Timestamp::now(),
            ..CompletionRecord::default()
        };
        let asked = client.agent.name().to_owned();
        Self { record, asked, began: Instant::now() }
    }

    /// The prompt is whole.
    pub(super) fn asked_for(&mut self, prompt: &str, redactor: &Redactor) {
        self.record.prompt = redactor.text(prompt).into_owned();
    }

    /// The whole record, of an end in which no secret is any more.
    pub(super) fn end(&self, end: &AttemptEnd, usage: &Usage, agent: &str) -> CompletionRecord {
        // Another agent has another model.
        let asked = self.record.model.clone().filter(|_| agent == self.asked);
        let model = end.model.clone().or(asked);
        let provider = model.as_deref().and_then(|model| model.split_once('/'));
        CompletionRecord {
            response: end.answer.clone(),
            provider: provider.map(|(provider, _)| provider.to_owned()),
            model,
            cost_usd: usage.total_cost_usd,
            cost_source: usage.cost_source,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).ok(),
            num_turns: usage.num_turns,
            is_error: end.failure.is_some(),
            failure: end.failure.as_ref().map(|failure| failure.kind),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_input_tokens: usage.cache_read_input_tokens,
            cache_creation_input_tokens: usage.cache_creation_input_tokens,
            agent: agent.to_owned(),
            agent_session_id: end.session_id.clone(),
            end_time: Timestamp::now(),
            ..self.record.clone()
        }
    }
}
