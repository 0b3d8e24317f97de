//! The title that agents ask for beside the conversation.

use serde_json::Value;

use super::super::Request;
use super::super::reply::{Reply, Tokens};

/// What requests for a title say: OpenCode (1.18.33) and Kilo, Droid, Vibe, Hermes.
const ASKS_FOR_TITLE: [&str; 4] = [
    "You are a title generator.",
    "generates concise session titles",
    "You name coding-agent sessions",
    "Generate a short, descriptive title",
];

/// Whether this request asks for a title: agents send one at the start of a session without a
/// title, at the same time as the first request of the conversation, and offer no tools with it.
pub(crate) fn is_asked_by(request: &Request) -> bool {
    let body = &request.body;
    let offers_tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let mut messages = body["messages"].as_array().into_iter().flatten();
    !offers_tools && messages.any(asks_for_title)
}

/// The title. Few tokens, but some: what an agent leaves out of its count can then be seen.
pub(crate) fn reply() -> Reply {
    Reply::text("Scripted title").usage(Tokens { input: 7, output: 3, ..Tokens::default() })
}

fn asks_for_title(message: &Value) -> bool {
    message["role"] == "system"
        && message["content"]
            .as_str()
            .is_some_and(|text| ASKS_FOR_TITLE.iter().any(|words| text.contains(words)))
}
