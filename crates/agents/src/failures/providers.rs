//! How providers of models fail, in codes, words and statuses that every agent hands on.
//!
//! The groups stand in the order in which [`Table::row`](super::Table::row) asks them; an agent's own rows stand between
//! [`WORDS`] and [`CLASSES`]. What a provider names precisely goes before what an agent makes of it, and that before what
//! is true of many errors. Sources: `crates/kit/tests/corpus/refusals.jsonl` has a body with its source for most of them.

use super::Pattern::{Has, Says};
use super::{Row, any_field, status, synthetic, text};
use belay_trace::{EvidenceSource, FailureKind};

/// A row for each code.
macro_rules! codes {
    ($($kind:ident: $($code:literal),+;)+) => {
        &[$($(synthetic(&[any_field($code)], FailureKind::$kind),)+)+]
    };
}

/// A row for each phrase, in lower case; of two with `&` between them both must be there.
macro_rules! words {
    ($($kind:ident: $($phrase:literal $(& $other:literal)?),+;)+) => {
        &[$($(
            synthetic(&[text("", Says($phrase)) $(, text("", Says($other)))?], FailureKind::$kind),
        )+)+]
    };
}

/// Why a response ended, and codes of requests that were declined: by a model, or by filters before and behind it.
/// Anthropic and ACP; OpenAI; the AI SDK; Gemini; Azure; OpenAI's images; Alibaba.
pub const REFUSALS: &[Row] = codes! {
    Refused: "refusal", "content_filter", "content-filter",
        "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
        "invalid_prompt", "content_policy_violation", "ResponsibleAIPolicyViolation",
        "moderation_blocked", "data_inspection_failed", "DataInspectionFailed";
};

/// What means something else than it says.
pub const EXCEPTIONS: &[Row] = &[
    // Alibaba's code for this is that of an empty account; the words tell a limit of tokens a minute.
    synthetic(&[text("", Says("allocated quota exceeded"))], FailureKind::RateLimited),
    // Google's quotas of a day, by their ids.
    synthetic(&[has_field("PerDay")], FailureKind::UsageLimit),
    // And of a minute, in whose words plan and billing are named as well.
    synthetic(&[has_field("PerMinute")], FailureKind::RateLimited),
    // The account is shut; the request is not what is wrong.
    synthetic(&[text("", Says("account has been")), text("", Says("violat"))], FailureKind::Auth),
];

/// The words of a request that was declined, where an agent hands on no more.
pub const REFUSING_WORDS: &[Row] = words! {
    Refused: "your prompt was flagged", "input was flagged", "we've limited access to this content",
        "as a result of our safety system", "due to the prompt triggering",
        "blocked by content filtering policy", "violat" & "usage polic", "violat" & "content polic",
        "violates usage guidelines", "inappropriate content", "safeguards flagged this message",
        "unsafe or sensitive content", "considered high risk",
        "contentpolicyviolationerror";
};

/// Codes with one meaning, whatever the status and the agent's own class.
pub const CODES: &[Row] = codes! {
    Billing: "insufficient_quota", "insufficient_credits", "insufficient_funds",
        "insufficient_balance", "billing_hard_limit_reached", "billing_not_active",
        "billing_not_configured", "billing_error", "usage_not_included", "CreditsError",
        "exceeded_current_quota_error", "budget_exceeded", "Arrearage",
        "AllocationQuota.FreeTierOnly", "BILLING_DISABLED", "payment_required";
    UsageLimit: "usage_limit_reached", "usage_limit_exceeded", "quota_exceeded",
        "GoUsageLimitError", "FreeUsageLimitError", "QUOTA_EXHAUSTED";
    ContextOverflow: "context_length_exceeded", "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded", "request_too_large", "exceed_context_size_error",
        "string_above_max_length";
    ModelUnavailable: "model_not_found", "model_not_supported", "model_not_available",
        "model_decommissioned", "model_terms_required", "unsupported_model", "invalid_model",
        "DeploymentNotFound", "Model.AccessDenied", "ModelNotReadyException";
    Auth: "invalid_api_key", "wrong_api_key", "account_deactivated", "missing_scope",
        "token_expired", "token_invalidated", "token_revoked", "ip_not_authorized",
        "mismatched_organization", "unsupported_country_region_territory",
        "organization_restricted", "API_KEY_INVALID", "ACCESS_TOKEN_EXPIRED",
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "CONSUMER_SUSPENDED", "CONSUMER_INVALID",
        "SERVICE_DISABLED", "VALIDATION_REQUIRED", "ExpiredTokenException",
        "UnrecognizedClientException";
    Overloaded: "server_is_overloaded", "engine_overloaded_error", "model_overloaded",
        "over_capacity", "queue_exceeded", "slow_down", "MODEL_CAPACITY_EXHAUSTED";
    RateLimited: "RATE_LIMIT_EXCEEDED", "ThrottlingException";
};

/// Sentences with one meaning: some providers have one code for many things, and some agents hand on words alone.
///
/// A plan's window goes before money: whoever tells of one offers more for money as well.
pub const WORDS: &[Row] = words! {
    UsageLimit: "reached your specified" & "usage limit", "usage limit reached",
        "usage limit has been reached", "reached your usage limit", "hit your usage limit",
        "hit your chatgpt usage limit", "reached your weekly limit", "reached your monthly limit",
        "reached your daily limit", "monthly limit exhausted", "weekly limit exhausted",
        "your limit will reset at", "quota will reset", "free-models-per-day",
        "exhausted your daily quota", "exhausted your capacity on this model",
        "premium request allowance", "you have no quota", "使用上限";
    Billing: "credit balance is too low", "insufficient balance", "balance is insufficient",
        "balance is not enough", "insufficient credit", "insufficient funds", "insufficient_quota",
        "requires more credits", "out of credits", "out of extra usage", "extra usage is required",
        "credits are depleted", "used all available credits",
        "doesn't have any credits", "monthly spending limit", "monthly spend limit",
        "spending cap", "spend cap", "key limit exceeded", "budget has been exceeded",
        "billing hard limit", "check your billing details", "requires billing to be enabled",
        "billing is not enabled", "please enable billing", "with your billing",
        "add a payment method", "account is in good standing", "overdue payment",
        "free tier of the model has been exhausted", "upgrade to a paid account",
        "no active subscription", "inactive subscription", "subscription has expired",
        "exceeded current quota", "please recharge", "余额不足", "欠费";
    RateLimited: "gemini-api/docs/rate-limits";
    Billing: "exceeded your current quota";
    ContextOverflow: "prompt is too long", "prompt too long", "input is too long", "input too long",
        "context limit", "maximum context length", "maximum prompt length", "maximum input length",
        "exceeds the context window", "context window exceeded", "context window of this model",
        "context_length_exceeded", "exceeds the available context", "context size has been exceeded",
        "longer than the model's context length", "greater than the context length",
        "context length of only", "exceeded model token limit", "exceeds max length",
        "exceed the configured limit of" & "tokens", "range of input length should be",
        "input token count", "too large for model with", "request payload size exceeds",
        "reduce the length of", "exceeds the maximum number of tokens",
        "request exceeds the maximum size", "string too long. expected",
        "request entity too large", "contextwindowexceedederror";
    ModelUnavailable: "not supported when using codex with", "have access to model",
        "have access to the model", "not allowed to access model", "verified to use the model",
        "verified to stream this model", "model" & "does not exist", "model not exist",
        "model not found", "not found the model", "no such model", "model '" & "' not found",
        "model \"" & "\" not found", "model `" & "` not found", "models/" & "is not found",
        "model is not supported", "model not supported", "model is no longer supported",
        "model is not available", "unsupported model", "the model" & "has been deprecated",
        "the model" & "has been decommissioned", "the model" & "has been retired",
        "model" & "no longer available", "not a valid model id", "model identifier is invalid",
        "no endpoints found", "invalid model", "unknown model", "publisher model",
        "on-demand throughput isn't supported", "api deployment for this resource does not exist";
    Auth: "organization has been disabled", "organization has been restricted",
        "disabled organization", "account has been disabled", "account has been banned",
        "account has been suspended", "account is disabled", "account is suspended",
        "has been deactivated", "has been suspended", "incorrect api key", "invalid api key",
        "invalid x-api-key", "api key not valid", "api key is not valid", "api key is invalid",
        "api key expired", "api key has expired", "api key not found", "provide an api key",
        "no api key", "invalid authentication", "invalid bearer token", "invalid credentials",
        "authentication fails", "authentication error", "invalid subscription key",
        "oauth token has", "authentication token has", "token has expired", "token is expired",
        "token expired", "security token included in the request", "reported as leaked",
        "unregistered callers", "insufficient authentication scopes", "missing scopes",
        "location is not supported", "territory not supported", "verify your account",
        "not authorized to access this project", "not logged in";
    Overloaded: "overloaded", "at capacity", "no capacity available", "insufficient capacity",
        "is too busy", "model is currently experiencing high demand", "loading model";
    RateLimited: "rate limit reached for", "rate limit exceeded", "exceeded token rate limit";
    ServerError: "server had an error", "error occurred while processing your request";
};

/// Classes of errors: an agent knows better, and the status less.
pub const CLASSES: &[Row] = codes! {
    RateLimited: "rate_limit_exceeded", "rate_limit_error", "rate_limited",
        "rate_limit_reached_error", "token_quota_exceeded", "request_quota_exceeded",
        "limit_requests", "RESOURCE_EXHAUSTED";
    Overloaded: "overloaded_error", "service_unavailable_error", "unavailable_error", "UNAVAILABLE";
    Auth: "authentication_error", "permission_error", "UNAUTHENTICATED";
    ModelUnavailable: "not_found_error", "NotFoundError";
};

/// What HTTP says.
pub const STATUSES: &[Row] = &[
    synthetic(&[status(401, 401)], FailureKind::Auth),
    synthetic(&[status(402, 402)], FailureKind::Billing),
    synthetic(&[status(403, 403)], FailureKind::Auth),
    synthetic(&[status(404, 404)], FailureKind::ModelUnavailable),
    synthetic(&[status(408, 408)], FailureKind::Network),
    synthetic(&[status(413, 413)], FailureKind::ContextOverflow),
    synthetic(&[status(429, 429)], FailureKind::RateLimited),
    synthetic(&[status(498, 498)], FailureKind::Overloaded),
    synthetic(&[status(400, 499)], FailureKind::InvalidRequest),
    synthetic(&[status(503, 503)], FailureKind::Overloaded),
    // Cloudflare: the server behind it did not answer.
    synthetic(&[status(524, 524)], FailureKind::Overloaded),
    // Anthropic's own.
    synthetic(&[status(529, 529)], FailureKind::Overloaded),
    synthetic(&[status(500, 599)], FailureKind::ServerError),
];

/// Where there is no status, and no code: how HTTP, SDKs (Python's by their classes) and proxies word it.
pub const VAGUE_WORDS: &[Row] = words! {
    RateLimited: "rate limit", "rate-limit", "rate_limit", "too many requests", "too many tokens",
        "quota exceeded", "resource has been exhausted", "high concurrency", "throttl",
        "ratelimiterror";
    Overloaded: "service unavailable", "service is unavailable", "temporarily unavailable",
        "high demand", "high traffic", "high load", "before headers", "serviceunavailableerror";
    ServerError: "internal server error", "bad gateway", "gateway timeout", "gateway time-out",
        "stream timeout", "internal error has occurred", "internalservererror",
        "server error";
    Network: "connection error", "connection failed", "connection refused", "connection reset", "connection closed",
        "cannot connect", "unable to connect", "fetch failed", "econnrefused", "econnreset",
        "etimedout", "enotfound", "eai_again", "getaddrinfo", "epipe", "socket hang up",
        "premature close", "timed out", "connecterror", "connecttimeout", "readtimeout", "request timeout", "stream ended without",
        "network error", "unexpected eof", "certificate", "apiconnectionerror";
    Auth: "unauthorized", "forbidden", "authentication failed", "authenticationerror",
        "permissiondeniederror";
    ModelUnavailable: "notfounderror";
    Billing: "payment required";
};

/// Classes that say least.
pub const VAGUE: &[Row] = codes! {
    ServerError: "server_error", "api_error", "internal_server_error", "INTERNAL";
    InvalidRequest: "invalid_request", "invalid_request_error", "INVALID_ARGUMENT";
};

/// Any typed field that has this in it.
const fn has_field(part: &'static str) -> super::Sign {
    super::Sign { source: EvidenceSource::Field, name: "", pattern: Has(part) }
}
