//! What a run came to, as observability services take it: one record a run.

use crate::{CostSource, FailureKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One run in one record: what was asked, what was answered, and what it took.
///
/// The first eleven fields are the seed's, by name. What nobody knows is `None` (null), never 0. Secrets are taken out
/// as everywhere else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CompletionRecord {
    /// The trace that the run belongs to; the run's own id if it was given none.
    pub trace_id: String,
    /// The session of observers that the trace belongs to. Not the agent's: see `agent_session_id`.
    pub session_id: Option<String>,
    /// The prompt, as the caller wrote it.
    pub prompt: String,
    /// The answer; what was reached of it if the run failed.
    pub response: String,
    /// The model that answered, or else the one that was asked for.
    pub model: Option<String>,
    /// US dollars, all attempts together; see `cost_source` for who says so.
    pub cost_usd: Option<f64>,
    /// Wall-clock milliseconds, from the begin of the run to its result.
    pub duration_ms: Option<u64>,
    /// Turns as the agent counts them.
    pub num_turns: Option<u64>,
    /// True if the run did not answer.
    pub is_error: bool,
    /// Input tokens outside the prompt cache.
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_tokens: Option<u64>,

    /// The run.
    pub run: String,
    /// The agent that answered, or failed last.
    pub agent: String,
    /// Who serves the model, if its name says so (`provider/model`).
    pub provider: Option<String>,
    /// The phase of the trace that began with the run.
    pub phase: Option<String>,
    /// The agent's own session, good for resuming.
    pub agent_session_id: Option<String>,
    /// Why the run did not answer.
    pub failure: Option<FailureKind>,
    /// When the run began.
    pub start_time: Timestamp,
    /// When its result was known.
    pub end_time: Timestamp,
    /// Where `cost_usd` comes from.
    pub cost_source: CostSource,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_seed_come_first_and_what_is_not_known_is_null() {
        let json = serde_json::to_string(&CompletionRecord::default()).unwrap();
        assert!(
            json.starts_with(
                r#"{"trace_id":"","session_id":null,"prompt":"","response":"","model":null,"cost_usd":null,"duration_ms":null,"num_turns":null,"is_error":false,"input_tokens":null,"output_tokens":null,"run""#
            ),
            "{json}"
        );
    }
}
