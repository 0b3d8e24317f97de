//! One answer of the model, in words that fit every API.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::failure::Failure;
use super::sse::CHUNK_CHARS;

/// What the model says to one request: content and its tokens, or a failure; how fast; how broken.
///
/// The parts come out in the order of the calls. Several tool parts in one reply are parallel calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tokens: Tokens,
    pub(crate) stop: Option<StopReason>,
    pub(crate) delay: Duration,
    pub(crate) chunk_delay: Duration,
    pub(crate) piece_chars: usize,
    pub(crate) fault: Option<Fault>,
}

/// What one reply cost, counted the way Anthropic does: `input` excludes both cache columns.
///
/// On OpenAI's APIs the same numbers are reported as they count them: `input_tokens` or
/// `prompt_tokens` is `input + cache_read + cache_write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Input tokens that were neither read from nor written to the cache.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache.
    pub cache_write: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It had said everything.
    EndTurn,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// It hit the output limit; OpenAI calls such a response incomplete.
    MaxTokens,
    /// It refused; OpenAI reports an incomplete response with the reason `content_filter`.
    Refusal,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Parts(Vec<Part>),
    Failure(Failure),
    Verbatim(Verbatim),
}

/// An answer as a provider was seen to give it; `{model}` in its body is the model that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verbatim {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Thinking(String),
    Text(String),
    Tool { name: String, input: Value },
    McpTool { server: String, tool: String, input: Value },
    Shell(String),
    WriteFile { path: String, content: String },
}

/// What goes wrong with the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection closes after so many events.
    DropAfter(usize),
    /// The stream ends in an orderly way after so many events, without what should end it.
    EndAfter(usize),
    /// Nothing more comes after so many events.
    StallAfter(usize),
    /// Not even the status line comes.
    Stall,
}

impl Reply {
    /// An empty reply, for one that begins with a tool call: `Reply::new().shell("ls")`.
    ///
    /// A reply costs 100 input and 10 output tokens until [`usage`](Self::usage) says otherwise.
    #[expect(clippy::new_without_default, reason = "a default reply would read like a real answer")]
    pub fn new() -> Self {
        Self::of(Outcome::Parts(Vec::new()))
    }

    /// A reply that begins with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().and_text(text)
    }

    /// A reply that begins with this reasoning.
    pub fn thinking(text: impl Into<String>) -> Self {
        Self::new().part(Part::Thinking(text.into()))
    }

    /// Then the model says this.
    pub fn and_text(self, text: impl Into<String>) -> Self {
        self.part(Part::Text(text.into()))
    }

    /// Then the model calls this tool.
    ///
    /// On the Responses API an input that is a JSON string makes a call of a custom (free-form)
    /// tool; on Chat Completions it is sent as the arguments, so that they can be broken.
    pub fn tool(self, name: impl Into<String>, input: Value) -> Self {
        self.part(Part::Tool { name: name.into(), input })
    }

    /// Then the model calls this tool of an MCP server, by the name that the agent gave it.
    pub fn mcp_tool(
        self,
        server: impl Into<String>,
        tool: impl Into<String>,
        input: Value,
    ) -> Self {
        self.part(Part::McpTool { server: server.into(), tool: tool.into(), input })
    }

    /// Then the model runs this command with the agent's own shell tool.
    pub fn shell(self, command: impl Into<String>) -> Self {
        self.part(Part::Shell(command.into()))
    }

    /// Then the model writes this file with the agent's own tool for it.
    ///
    /// Claude and OpenCode want an absolute path. Codex writes whole lines, so there the content always ends
    /// with a newline.
    pub fn write_file(self, path: impl Into<String>, content: impl Into<String>) -> Self {
        self.part(Part::WriteFile { path: path.into(), content: content.into() })
    }

    /// Too many requests: 429.
    ///
    /// Claude retries it; Codex only when a `retry-after` header comes with it, so add one with
    /// [`header`](Self::header) where the retry is what is tested.
    pub fn rate_limited() -> Self {
        Self::failed(Failure::RateLimited)
    }

    /// The key is wrong: 401, which both CLIs retry nevertheless.
    pub fn unauthorized() -> Self {
        Self::failed(Failure::Unauthorized)
    }

    /// The service is full: 529 at Anthropic, 503 `server_is_overloaded` at OpenAI.
    pub fn overloaded() -> Self {
        Self::failed(Failure::Overloaded)
    }

    /// The service broke: 500.
    pub fn server_error() -> Self {
        Self::failed(Failure::ServerError)
    }

    /// The conversation does not fit into the model's window any more.
    pub fn context_too_long() -> Self {
        Self::failed(Failure::ContextTooLong)
    }

    /// The model does not exist, or not for this key.
    pub fn model_not_found() -> Self {
        Self::failed(Failure::ModelNotFound)
    }

    /// The account has no credit left: 400 at Anthropic, 429 `insufficient_quota` at OpenAI.
    pub fn no_credit() -> Self {
        Self::failed(Failure::NoCredit)
    }

    /// The account has no credit left, in the words of the providers that say 402.
    pub fn payment_required() -> Self {
        Self::failed(Failure::PaymentRequired)
    }

    /// The provider has flagged the prompt, under this code where its API has one: `invalid_prompt`.
    pub fn flagged(code: &'static str) -> Self {
        Self::failed(Failure::Flagged { code })
    }

    /// The subscription's window is used up until `resets_at`.
    pub fn usage_limit(resets_at: SystemTime) -> Self {
        Self::failed(Failure::UsageLimit { resets_at })
    }

    /// This status with this body, word for word, whatever API was asked. `{model}` stands for the model of the request.
    pub fn verbatim(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self::of(Outcome::Verbatim(Verbatim { status, content_type, body: body.into() }))
    }

    /// Sends this header with the answer.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Reports these tokens.
    pub fn usage(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Stops for this reason; otherwise it is `ToolUse` with a tool call and `EndTurn` without.
    pub fn stop(mut self, reason: StopReason) -> Self {
        self.stop = Some(reason);
        self
    }

    /// Waits this long before the first byte of the answer.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits this long between two events of the stream.
    pub fn chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    /// Streams texts in pieces of so many characters instead of 20.
    pub fn piece_chars(mut self, chars: usize) -> Self {
        self.piece_chars = chars;
        self
    }

    /// Closes the connection after `events` events, without an end of the body.
    ///
    /// An answer that is not streamed is cut in the middle of its body.
    pub fn drop_after(mut self, events: usize) -> Self {
        self.fault = Some(Fault::DropAfter(events));
        self
    }

    /// Ends the stream after `events` events as if that was all: a proxy that closes what it should not. An
    /// answer that is not streamed comes whole.
    ///
    /// OpenCode asks again after each such answer, without end.
    pub fn end_after(mut self, events: usize) -> Self {
        self.fault = Some(Fault::EndAfter(events));
        self
    }

    /// Sends `events` events and then nothing, with the connection open, until the server is dropped.
    pub fn stall_after(mut self, events: usize) -> Self {
        self.fault = Some(Fault::StallAfter(events));
        self
    }

    /// Sends nothing at all, with the connection open, until the server is dropped.
    pub fn stall(mut self) -> Self {
        self.fault = Some(Fault::Stall);
        self
    }

    /// The stop reason the script asked for, or the one that follows from the parts.
    pub(crate) fn stop_reason(&self) -> StopReason {
        let calls_a_tool = match &self.outcome {
            Outcome::Failure(_) | Outcome::Verbatim(_) => false,
            Outcome::Parts(parts) => parts.iter().any(|part| match part {
                Part::Thinking(_) | Part::Text(_) => false,
                Part::Tool { .. }
                | Part::McpTool { .. }
                | Part::Shell(_)
                | Part::WriteFile { .. } => true,
            }),
        };
        let implied = if calls_a_tool { StopReason::ToolUse } else { StopReason::EndTurn };
        self.stop.unwrap_or(implied)
    }

    fn failed(failure: Failure) -> Self {
        Self::of(Outcome::Failure(failure))
    }

    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            headers: Vec::new(),
            tokens: Tokens { input: 100, output: 10, ..Tokens::default() },
            stop: None,
            delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            piece_chars: CHUNK_CHARS,
            fault: None,
        }
    }

    fn part(mut self, part: Part) -> Self {
        match &mut self.outcome {
            Outcome::Parts(parts) => parts.push(part),
            other => panic!("there is nothing to add to {other:?}: it got {part:?}"),
        }
        self
    }
}
