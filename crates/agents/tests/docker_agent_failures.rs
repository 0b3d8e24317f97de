//! What Docker Agent says of a failed request, in the words of the SDKs that it asks models with, and what kind of failure
//! that is: by the status and the provider's body, never by the address.

use belay_agents::{Action, Agent, AttemptEnd, DockerAgent, Exit, Input, Out, Transport};
use belay_trace::{Failure, FailureKind};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The words of each SDK.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sdk {
    OpenAi,
    Anthropic,
    Google,
}

const SDKS: [Sdk; 3] = [Sdk::OpenAi, Sdk::Anthropic, Sdk::Google];

impl Sdk {
    /// What it says of this answer of a server, in Go's words for the status.
    fn words(self, host: &str, status: u16, reason: &str, body: &Value) -> String {
        let error = &body["error"];
        match self {
            // It keeps what stands behind `error`, and nothing if there is none.
            Self::OpenAi => {
                let kept = if error.is_null() { String::new() } else { error.to_string() };
                format!("POST \"https://{host}/v1/chat/completions\": {status} {reason} {kept}")
            }
            Self::Anthropic => format!(
                "POST \"https://{host}/v1/messages\": {status} {reason} (Request-ID: req_1) {body}"
            ),
            Self::Google => {
                let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                let details = error["details"].as_array().map(|all| shown(&json!(all)));
                format!(
                    "Error {status}, Message: {}, Status: {}, Details: {}",
                    text("message"),
                    text("status"),
                    details.unwrap_or_else(|| "[]".to_owned())
                )
            }
        }
    }
}

/// A value as Go's `%v` prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(all) => {
            format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", shown(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The end of a run that gives up with these words.
fn end(words: &str) -> AttemptEnd {
    let agent = DockerAgent::new("agent.yaml");
    let mut protocol = agent.protocol(&"p".into(), Transport::Print);
    let mut out = Out::default();
    protocol.step(Input::Start, &mut out);
    let started = br#"{"type":"stream_started","session_id":"s"}"#;
    protocol.step(Input::Stdout(started), &mut out);
    let text = format!("Welcome\n\nError: all models failed: error receiving from stream: {words}");
    text.lines().for_each(|line| protocol.step(Input::Stderr(line.as_bytes()), &mut out));
    protocol.step(Input::Exit(Exit::Code(1)), &mut out);
    match out.actions.into_iter().next_back() {
        Some(Action::TurnEnded(end)) => *end,
        other => panic!("{other:?}"),
    }
}

fn failure(words: &str) -> Failure {
    end(words).failure.unwrap_or_else(|| panic!("no failure: {words}"))
}

/// What providers are known to say, each with its source (`crates/kit/tests/corpus`).
#[test]
fn what_providers_say_has_its_kind_in_the_words_of_each_sdk() {
    let corpus = include_str!("../../kit/tests/corpus/refusals.jsonl");
    let (mut checked, mut wrong) = (0, Vec::new());
    for line in corpus.lines() {
        let refusal: Value = serde_json::from_str(line).unwrap();
        let status = u16::try_from(refusal["status"].as_u64().unwrap()).unwrap();
        let sdk = match refusal["api"].as_str().unwrap() {
            "anthropic" => Sdk::Anthropic,
            "gemini" => Sdk::Google,
            _ => Sdk::OpenAi,
        };
        let body = &refusal["body"];
        // Of others the SDK hands on the status alone.
        if !body["error"].is_object() || refusal["stream"].is_string() {
            continue;
        }
        checked += 1;
        let words = sdk.words("api.provider.test", status, "Words", body);
        let (found, want) = (failure(&words), &refusal["kind"]);
        if json!(found.kind) != *want {
            wrong.push(format!("{}: {} and not {want}: {words}", refusal["id"], found.kind));
        }
    }
    println!("{checked} bodies, {} misjudged", wrong.len());
    assert_eq!(wrong, [] as [&str; 0]);
    assert!(checked >= 100, "{checked}");
}

/// What a status says where the provider says nothing more.
fn of_status(status: u16) -> FailureKind {
    match status {
        401 | 403 => FailureKind::Auth,
        402 => FailureKind::Billing,
        404 => FailureKind::ModelUnavailable,
        408 => FailureKind::Network,
        413 => FailureKind::ContextOverflow,
        429 => FailureKind::RateLimited,
        498 | 503 | 524 | 529 => FailureKind::Overloaded,
        400..=499 => FailureKind::InvalidRequest,
        _ => FailureKind::ServerError,
    }
}

/// Hosts with the words of failures in their names.
fn host() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        "[a-z]{1,8}",
        Just("rate-limit".to_owned()),
        Just("overloaded".to_owned()),
        Just("unauthorized".to_owned()),
        Just("quota-exceeded".to_owned()),
        Just("429".to_owned()),
        Just("insufficient_quota".to_owned()),
    ];
    let port = prop_oneof![Just(String::new()), (400_u16..600).prop_map(|port| format!(":{port}"))];
    (prop::collection::vec(label, 1..4), port)
        .prop_map(|(labels, port)| format!("{}{port}", labels.join(".")))
}

/// Codes with one meaning, whatever the status.
const CODES: [(&str, FailureKind); 6] = [
    ("insufficient_quota", FailureKind::Billing),
    ("context_length_exceeded", FailureKind::ContextOverflow),
    ("model_not_found", FailureKind::ModelUnavailable),
    ("invalid_api_key", FailureKind::Auth),
    ("usage_limit_reached", FailureKind::UsageLimit),
    ("MODEL_CAPACITY_EXHAUSTED", FailureKind::Overloaded),
];

fn body(sdk: Sdk, message: &str, code: &str) -> Value {
    match sdk {
        Sdk::OpenAi => json!({"error": {"message": message, "type": "x", "code": code}}),
        Sdk::Anthropic => json!({"type": "error", "error": {"type": code, "message": message}}),
        Sdk::Google => json!({"error": {"code": 0, "message": message, "status": "WORDS",
            "details": [{"@type": "t", "domain": "d", "reason": code}]}}),
    }
}

proptest! {
    /// Nothing but the status is known of it.
    #[test]
    fn a_status_alone_decides_at_any_address(
        host in host(), sdk in prop::sample::select(&SDKS[..]), status in 400_u16..600,
        message in "(zq[a-m]{1,6} ){0,4}", code in "zq[a-z_]{0,8}",
    ) {
        let words = sdk.words(&host, status, "Words", &body(sdk, message.trim(), &code));
        let failure = failure(&words);
        prop_assert_eq!(failure.kind, of_status(status), "{}", words);
        let told = |text: &str| text.contains("https://");
        prop_assert!(!told(&failure.message), "{}", failure.message);
        prop_assert!(failure.message.contains(&status.to_string()));
    }

    /// A code of the provider's says more than the status.
    #[test]
    fn a_code_decides_with_any_status(
        host in host(), sdk in prop::sample::select(&SDKS[..]), status in 400_u16..600,
        (code, kind) in prop::sample::select(&CODES[..]), message in "(zq[a-m]{1,6} ){1,4}",
    ) {
        let words = sdk.words(&host, status, "Words", &body(sdk, message.trim(), code));
        let failure = failure(&words);
        prop_assert_eq!(failure.kind, kind, "{}", words);
        prop_assert!(failure.message.contains(message.trim()), "{}", failure.message);
    }

    /// Nobody has answered: it is the network, whatever the address and Go's words for it.
    #[test]
    fn a_request_without_an_answer_is_the_network(
        host in host(), words in "[a-z]{2,9}( [a-z]{2,9}){0,4}",
    ) {
        let end = end(&format!("Post \"http://{host}/v1\": dial tcp: lookup {host}: {words}"));
        let failure = end.failure.unwrap();
        prop_assert_eq!(failure.kind, FailureKind::Network);
        prop_assert!(end.has_retried);
        prop_assert!(failure.message.starts_with("dial tcp: lookup: "), "{}", failure.message);
    }

    #[test]
    fn what_the_program_tries_again_itself_is_said(
        host in host(), sdk in prop::sample::select(&SDKS[..]), status in 400_u16..600,
    ) {
        let end = end(&sdk.words(&host, status, "Words", &body(sdk, "zq", "zq")));
        // The program tries some of them again, and two of the SDKs more.
        let want = match sdk {
            Sdk::Google => matches!(status, 408 | 500 | 502 | 503 | 504 | 529),
            Sdk::OpenAi | Sdk::Anthropic => matches!(status, 408 | 409 | 429 | 500..),
        };
        prop_assert_eq!(end.has_retried, want);
    }
}

#[test]
fn the_end_of_a_limit_is_read_from_the_providers_words() {
    let body = json!({"error": {"message": "Rate limit reached for m. Please try again in 2s.", "code": "rate_limit_exceeded"}});
    let words = Sdk::OpenAi.words("h.test", 429, "Too Many Requests", &body);
    assert_eq!(failure(&words).retry_after_ms, Some(2000));
    let body = json!({"error": {"message": "You've hit your usage limit. Try again in ~42 min.", "code": "usage_limit_reached"}});
    let words = Sdk::OpenAi.words("h.test", 429, "Too Many Requests", &body);
    assert_eq!(failure(&words).reset_hint.as_deref(), Some("in ~42 min"));
}
