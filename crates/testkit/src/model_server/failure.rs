//! Failures of a provider, each with the status, headers and body its vendor answers with.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::Request;
use super::connection::{Api, unix_s};
use super::ids::fresh;

/// What the provider refuses to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    RateLimited,
    Unauthorized,
    Overloaded,
    ServerError,
    ContextTooLong,
    ModelNotFound,
    NoCredit,
    PaymentRequired,
    UsageLimit {
        resets_at: SystemTime,
    },
    /// The request itself is flagged; OpenAI has several codes for that.
    Flagged {
        code: &'static str,
    },
}

/// How a failure travels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Failure {
    /// The answer of the vendor whose API was asked.
    pub(crate) fn answer(self, api: Api, request: &Request, now_s: u64) -> Answer {
        let model = request.body["model"].as_str().unwrap_or("unknown");
        match api {
            Api::Anthropic => self.anthropic(model, now_s),
            Api::Responses => self.responses(model, now_s),
            Api::Chat => self.chat(model, now_s),
            Api::Gemini => self.gemini(now_s),
        }
    }

    fn anthropic(self, model: &str, now_s: u64) -> Answer {
        let mut headers = vec![("request-id".to_owned(), fresh("req"))];
        let (status, kind, message) = match self {
            Self::RateLimited => (
                429,
                "rate_limit_error",
                "This request would exceed your account's rate limit. Please try again later."
                    .to_owned(),
            ),
            Self::Unauthorized => (401, "authentication_error", "invalid x-api-key".to_owned()),
            Self::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
            Self::ServerError => (500, "api_error", "Internal server error".to_owned()),
            Self::ContextTooLong => (
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum".to_owned(),
            ),
            Self::ModelNotFound => (404, "not_found_error", format!("model: {model}")),
            Self::NoCredit => (
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & \
                 Billing to upgrade or purchase credits."
                    .to_owned(),
            ),
            Self::PaymentRequired => {
                (402, "billing_error", "There is a problem with your billing.".to_owned())
            }
            Self::Flagged { .. } => (
                400,
                "invalid_request_error",
                "Output blocked by content filtering policy".to_owned(),
            ),
            Self::UsageLimit { resets_at } => {
                headers.extend(used_up_window(unix_s(resets_at), now_s));
                (429, "rate_limit_error", "You have reached your usage limit.".to_owned())
            }
        };
        let body = json!({
            "type": "error", "error": { "type": kind, "message": message },
            "request_id": headers[0].1,
        });
        Answer { status, headers, body }
    }

    fn responses(self, model: &str, now_s: u64) -> Answer {
        match self {
            Self::RateLimited => openai_error(
                429,
                "tokens",
                Some("rate_limit_exceeded"),
                &format!("Rate limit reached for {model}. Please try again later."),
            ),
            Self::Unauthorized => openai_error(
                401,
                "invalid_request_error",
                Some("invalid_api_key"),
                "Incorrect API key provided.",
            ),
            Self::Overloaded => openai_error(
                503,
                "service_unavailable_error",
                Some("server_is_overloaded"),
                "Our servers are currently overloaded. Please try again later.",
            ),
            Self::ServerError => openai_error(
                500,
                "server_error",
                None,
                "The server had an error while processing your request.",
            ),
            Self::ContextTooLong => openai_error(
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
                "Your input exceeds the context window of this model. Please adjust your input and \
                 try again.",
            ),
            // The code, not the status, tells Codex this from a rate limit.
            Self::NoCredit => openai_error(
                429,
                "insufficient_quota",
                Some("insufficient_quota"),
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            Self::PaymentRequired => openai_error(
                402,
                "insufficient_credits",
                Some("insufficient_credits"),
                "This request requires more credits, or fewer max_tokens.",
            ),
            Self::ModelNotFound => openai_error(
                404,
                "invalid_request_error",
                Some("model_not_found"),
                &format!("The model `{model}` does not exist or you do not have access to it."),
            ),
            Self::UsageLimit { resets_at } => usage_limit(unix_s(resets_at), now_s),
            Self::Flagged { code } => openai_error(
                400,
                "invalid_request_error",
                Some(code),
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy. \
                 Please try again with a different prompt.",
            ),
        }
    }

    fn gemini(self, now_s: u64) -> Answer {
        let exhausted =
            "You exceeded your current quota, please check your plan and billing details.";
        match self {
            Self::RateLimited => google_error(
                429,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted (e.g. check quota).",
                &json!([google_quota("GenerateRequestsPerMinutePerProjectPerModel")]),
            ),
            Self::Unauthorized => google_error(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials.",
                &json!([]),
            ),
            Self::Overloaded => google_error(
                503,
                "UNAVAILABLE",
                "The model is overloaded. Please try again later.",
                &json!([]),
            ),
            Self::ServerError => {
                google_error(500, "INTERNAL", "An internal error has occurred.", &json!([]))
            }
            Self::ContextTooLong => google_error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                &json!([]),
            ),
            Self::ModelNotFound => google_error(
                404,
                "NOT_FOUND",
                "models/unknown is not found for API version v1beta, or is not supported for \
                 generateContent.",
                &json!([]),
            ),
            Self::NoCredit => google_error(
                429,
                "RESOURCE_EXHAUSTED",
                exhausted,
                &json!([google_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")]),
            ),
            Self::PaymentRequired => google_error(
                402,
                "FAILED_PRECONDITION",
                "Billing is not enabled for this project.",
                &json!([]),
            ),
            Self::Flagged { .. } => {
                google_error(400, "INVALID_ARGUMENT", "The prompt was blocked.", &json!([]))
            }
            Self::UsageLimit { resets_at } => {
                let wait_s = unix_s(resets_at).saturating_sub(now_s);
                let delay = json!({
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": format!("{wait_s}s"),
                });
                let quota = google_quota("GenerateRequestsPerDayPerProjectPerModel");
                google_error(429, "RESOURCE_EXHAUSTED", exhausted, &json!([quota, delay]))
            }
        }
    }

    /// Where providers of Chat Completions answer otherwise than OpenAI's Responses.
    fn chat(self, model: &str, now_s: u64) -> Answer {
        match self {
            Self::ContextTooLong => openai_error(
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
                "This model's maximum context length is 128000 tokens. However, your messages \
                 resulted in 210000 tokens. Please reduce the length of the messages.",
            ),
            // Subscriptions of providers that are no vendors say how long to wait, no more.
            Self::UsageLimit { resets_at } => {
                let wait_s = unix_s(resets_at).saturating_sub(now_s);
                let mut answer = openai_error(
                    429,
                    "usage_limit_reached",
                    Some("usage_limit_reached"),
                    "The usage limit has been reached.",
                );
                answer.headers.push(("retry-after".to_owned(), wait_s.to_string()));
                answer
            }
            Self::RateLimited
            | Self::Unauthorized
            | Self::Overloaded
            | Self::ServerError
            | Self::ModelNotFound
            | Self::NoCredit
            | Self::Flagged { .. }
            | Self::PaymentRequired => self.responses(model, now_s),
        }
    }
}

/// An error as Google's APIs word it; each detail has its type.
fn google_error(status: u16, name: &str, message: &str, details: &Value) -> Answer {
    let error = json!({ "code": status, "message": message, "status": name, "details": details });
    Answer { status, headers: Vec::new(), body: json!({ "error": error }) }
}

/// The quota that is used up, by Google's name for it.
fn google_quota(id: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": id, "quotaDimensions": { "location": "global" },
        }],
    })
}

fn openai_error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Answer {
    let body = json!({
        "error": { "message": message, "type": kind, "param": null, "code": code },
    });
    Answer { status, headers: vec![("x-request-id".to_owned(), fresh("req"))], body }
}

/// A used-up Claude window: Claude Code reads these headers only with a subscription token.
fn used_up_window(resets_at_s: u64, now_s: u64) -> Vec<(String, String)> {
    let (reset, wait) = (resets_at_s.to_string(), resets_at_s.saturating_sub(now_s).to_string());
    [
        ("retry-after", wait.as_str()),
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-reset", &reset),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
        ("anthropic-ratelimit-unified-5h-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-reset", &reset),
        ("anthropic-ratelimit-unified-5h-utilization", "1.0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A used-up ChatGPT window: Codex takes the time from the body and the windows from the headers.
fn usage_limit(resets_at_s: u64, now_s: u64) -> Answer {
    let resets_in_s = resets_at_s.saturating_sub(now_s);
    let headers = [
        ("x-codex-primary-used-percent", "100".to_owned()),
        ("x-codex-primary-window-minutes", "300".to_owned()),
        ("x-codex-primary-reset-at", resets_at_s.to_string()),
    ];
    let body = json!({ "error": {
        "type": "usage_limit_reached", "message": "The usage limit has been reached",
        "plan_type": "plus", "resets_at": resets_at_s, "resets_in_seconds": resets_in_s,
    }});
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    Answer { status: 429, headers, body }
}
