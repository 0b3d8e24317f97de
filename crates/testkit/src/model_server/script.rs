//! Which reply answers which request.

use std::collections::VecDeque;

use serde_json::Value;

use super::Request;
use super::reply::Reply;

/// The replies of a server and the order they are given in.
///
/// A request that opens with the marker of a [`when`](Self::when) is answered from there and never
/// from the queue. Every other request takes the next reply of the queue. When that is empty,
/// [`forever`](Self::forever) answers; without it the server says 500 and remembers the request.
#[derive(Debug, Default)]
pub struct Script {
    queue: VecDeque<Reply>,
    whens: Vec<When>,
    helpers: Option<VecDeque<Reply>>,
    forever: Option<Reply>,
}

/// One reply or several, as [`Script::when`] takes them.
#[derive(Debug)]
pub struct Replies(VecDeque<Reply>);

#[derive(Debug)]
struct When {
    marker: String,
    replies: VecDeque<Reply>,
}

impl Script {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a reply to the end of the queue.
    pub fn reply(mut self, reply: Reply) -> Self {
        self.queue.push_back(reply);
        self
    }

    /// Answers requests whose opening user message contains the marker.
    ///
    /// Only the opening counts, since a parent's later messages quote what it told its subagent.
    /// The first `when` that matches and has replies left is used; a request whose `when`s are used
    /// up goes to [`forever`](Self::forever), not to the queue, which belongs to the parent.
    pub fn when(mut self, marker: impl Into<String>, replies: impl Into<Replies>) -> Self {
        self.whens.push(When { marker: marker.into(), replies: replies.into().0 });
        self
    }

    /// Answers requests of Codex's helpers, which open with the words of their parent and say in a header what they
    /// are. (0.169)
    pub fn for_helpers(mut self, replies: impl Into<Replies>) -> Self {
        self.helpers = Some(replies.into().0);
        self
    }

    /// Answers every request for which nothing else is left.
    pub fn forever(mut self, reply: Reply) -> Self {
        self.forever = Some(reply);
        self
    }

    /// The reply to this request; `None` when the script is exhausted.
    pub(crate) fn next(&mut self, request: &Request) -> Option<Reply> {
        if let Some(helpers) = &mut self.helpers
            && request.header("x-openai-subagent").is_some()
        {
            return helpers.pop_front().or_else(|| self.forever.clone());
        }
        let opening = opening_words(&request.body);
        let mut claimed = false;
        for when in &mut self.whens {
            if opening.contains(&when.marker) {
                claimed = true;
                if let Some(reply) = when.replies.pop_front() {
                    return Some(reply);
                }
            }
        }
        let queued = if claimed { None } else { self.queue.pop_front() };
        queued.or_else(|| self.forever.clone())
    }

    pub(crate) fn left(&self) -> usize {
        self.queue.len()
    }
}

impl From<Reply> for Replies {
    fn from(reply: Reply) -> Self {
        Self([reply].into())
    }
}

impl<const N: usize> From<[Reply; N]> for Replies {
    fn from(replies: [Reply; N]) -> Self {
        Self(replies.into())
    }
}

impl From<Vec<Reply>> for Replies {
    fn from(replies: Vec<Reply>) -> Self {
        Self(replies.into())
    }
}

/// What the user said before the model first spoke.
///
/// Codex sends its environment as a user message of its own before the prompt, so this is every
/// user message up to the first answer, not only the first one.
fn opening_words(body: &Value) -> String {
    let lists = ["messages", "input", "contents"];
    let Some(messages) = lists.iter().find_map(|list| body[*list].as_array()) else {
        return body["input"].as_str().unwrap_or_default().to_owned();
    };
    let mut words = String::new();
    for message in messages {
        match message["role"].as_str() {
            Some("user") => {
                push_text(&message["content"], &mut words);
                push_text(&message["parts"], &mut words);
            }
            Some("system" | "developer") => {}
            Some(_) => break,
            // Codex lists tools in items without a role, before anybody has spoken.
            None if message["type"] == "additional_tools" => {}
            None => break,
        }
    }
    words
}

fn push_text(content: &Value, words: &mut String) {
    if let Some(text) = content.as_str() {
        words.push_str(text);
        words.push('\n');
    }
    for block in content.as_array().into_iter().flatten() {
        if let Some(text) = block["text"].as_str() {
            words.push_str(text);
            words.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::opening_words;

    #[test]
    fn the_opening_is_what_the_user_said_before_the_first_answer() {
        let claude = json!({ "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "reminder" }, { "type": "text", "text": "go" }] },
            { "role": "assistant", "content": "asking SUB" },
            { "role": "user", "content": "later" },
        ]});
        assert_eq!(opening_words(&claude), "reminder\ngo\n");

        let codex = json!({ "input": [
            { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "rules" }] },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "env" }] },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "go" }] },
            { "type": "function_call", "name": "exec_command" },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "later" }] },
        ]});
        assert_eq!(opening_words(&codex), "env\ngo\n");
    }
}
