//! What an agent itself writes down about a session: the only account of a turn that was killed.

use crate::verdict;
use belay_trace::Failure;
use jiff::Timestamp;

/// Where the files of one session are. Whoever has a file system finds and reads them.
///
/// A file's name is known but for a part that the agent alone knows, like the time of its beginning; so is the
/// folder that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionFiles {
    /// The variable that names the folder of the agent's own files.
    pub home_env: &'static str,
    /// That folder below `HOME`, where the variable is not set.
    pub home: &'static str,
    /// The folder of all sessions, below the agent's.
    pub folder: &'static str,
    /// How many folders lie between that one and the file: by day, by project.
    pub levels: usize,
    /// What the file's name begins with; if that is nothing, its end is the whole name.
    pub prefix: &'static str,
    /// What it ends with: the id of the session, and what the agent puts behind it.
    pub suffix: String,
    /// A folder beside the file with more of the same: the sessions of subagents.
    pub beside: Option<String>,
}

/// True for what agents call their sessions. An id is what an agent has printed, and becomes part of a path.
pub(crate) fn is_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (8..=100).contains(&id.len()) && id.bytes().all(allowed)
}

/// What one response of a model has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// When it was written down.
    pub at: Option<Timestamp>,
    /// The model, by its full name.
    pub model: Option<String>,
    /// Its tokens.
    pub tokens: Tokens,
    /// The model's context window, if the agent has written it down.
    pub context_window: Option<u64>,
    /// The tier of the service, where it has a price of its own: `priority`, `flex`.
    pub service_tier: Option<String>,
    /// Why it ended, in the provider's word, if the agent has written it down.
    pub finish: Option<String>,
    /// A helper's model has given it, in a session of its own: it is no turn of the run.
    pub is_helper: bool,
}

/// What a session's file says beside its responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionNotes {
    /// The helpers that it has started, whose sessions stand in files of their own: the id of each, and what it is
    /// called.
    pub helpers: Vec<(String, String)>,
    /// Its last turn has begun and has not come to its own end.
    pub is_cut: bool,
}

impl Response {
    /// Returns the failure if a model or a filter has declined, or the response was cut, which a stream may hide.
    pub fn unfinished(&self) -> Option<Failure> {
        verdict::unfinished("finish", self.finish.as_deref()?)
    }
}

/// The tokens of a response, as they are paid for: no token is counted twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens outside the prompt cache.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the prompt cache, for however long.
    pub cache_write: u64,
    /// The part of `cache_write` that is kept for an hour, which costs more.
    pub cache_write_1h: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// All of them: what went in and what came out.
    pub fn total(&self) -> u64 {
        let all = [self.input, self.output, self.cache_read, self.cache_write];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What is beyond `other`, count by count.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    /// The larger of both, count by count.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        self.each(other, u64::max)
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: of(self.input, other.input),
            output: of(self.output, other.output),
            cache_read: of(self.cache_read, other.cache_read),
            cache_write: of(self.cache_write, other.cache_write),
            cache_write_1h: of(self.cache_write_1h, other.cache_write_1h),
            reasoning: of(self.reasoning, other.reasoning),
        }
    }
}
