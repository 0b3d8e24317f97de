//! What was seen of an agent's doings, as far as somebody needs it who goes on.

use belay_trace::{Effects, Event, Json, Plan, ToolCall, ToolId, ToolKind};
use serde_json::Value;

/// How many doings are remembered: the last ones are what matters.
const DOINGS_MAX: usize = 200;

/// How much of a command or of the last words is kept, in bytes.
const WORDS_MAX: usize = 4 << 10;

/// The doings of all attempts of a run.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(super) doings: Vec<Doing>,
    /// Doings that are not remembered any more.
    pub(super) forgotten: usize,
    pub(super) plan: Option<Plan>,
    /// The last thing that was said.
    pub(super) words: String,
    words_of: Option<String>,
    agent: String,
    effects: Effects,
    effects_before: Effects,
}

/// Something that can have changed something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doing {
    tool_id: Option<ToolId>,
    pub(super) agent: String,
    pub(super) what: What,
    pub(super) end: End,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A command of a shell.
    Command(String),
    /// Another tool, and the file it was about if it says so.
    Tool(String, Option<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// It was under way when the attempt ended.
    Open,
    /// It came back, with its exit code if it has one.
    Done(Option<i32>),
    /// It failed or was denied.
    Failed(Option<i32>),
}

impl Work {
    /// An attempt of this agent begins.
    pub(crate) fn begin(&mut self, agent: &str) {
        agent.clone_into(&mut self.agent);
        self.effects_before = self.effects_of_all();
        self.effects = Effects::None;
        self.words.clear();
        self.words_of = None;
    }

    /// What the current attempt may have changed.
    pub(crate) fn effects(&self) -> Effects {
        self.effects
    }

    /// What the attempts so far may have changed.
    pub(crate) fn effects_of_all(&self) -> Effects {
        self.effects_before.max(self.effects)
    }

    /// The agent tells of its tools when they are through, and has begun to work: what it was doing when it died
    /// nobody knows.
    pub(crate) fn may_do_unseen(&mut self) {
        self.effects = self.effects.max(Effects::Possible);
    }

    /// The folder is not what it was before the attempt.
    pub(crate) fn has_changed_something(&mut self) {
        self.effects = self.effects.max(Effects::Observed);
    }

    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::ToolCall(call) => self.called(call),
            Event::ToolResult(result) => {
                let end = match result.tool_error {
                    true => End::Failed(result.exit_code),
                    false => End::Done(result.exit_code),
                };
                let id = result.tool_id.as_ref();
                let doing = self.doings.iter_mut().rev().find(|doing| doing.tool_id.as_ref() == id);
                if let Some(doing) = doing.filter(|_| id.is_some()) {
                    doing.end = end;
                }
            }
            Event::Plan(plan) => self.plan = Some(plan.clone()),
            Event::Text(text) => {
                if self.words_of != text.message_id {
                    self.words_of.clone_from(&text.message_id);
                    self.words.clear();
                }
                self.words.push_str(&text.text);
                if self.words.len() > 2 * WORDS_MAX {
                    self.words = tail(&self.words, WORDS_MAX).to_owned();
                }
            }
            Event::TextRetracted(_) => self.words.clear(),
            _ => {}
        }
    }

    fn called(&mut self, call: &ToolCall) {
        if call.kind == ToolKind::Read {
            self.effects = self.effects.max(Effects::ReadOnly);
            return;
        }
        self.effects = self.effects.max(Effects::Possible);
        if self.doings.len() == DOINGS_MAX {
            self.doings.remove(0);
            self.forgotten += 1;
        }
        let (tool_id, agent) = (call.tool_id.clone(), self.agent.clone());
        self.doings.push(Doing { tool_id, agent, what: what(call), end: End::Open });
    }
}

fn what(call: &ToolCall) -> What {
    let args = args(&call.args);
    if call.kind == ToolKind::Execute {
        let command = match args.get("command") {
            Some(Value::String(command)) => Some(command.clone()),
            Some(Value::Array(words)) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                Some(words.join(" "))
            }
            _ => None,
        };
        if let Some(command) = command {
            return What::Command(head(&command, WORDS_MAX).to_owned());
        }
    }
    let path = ["file_path", "filePath", "path", "notebook_path"]
        .iter()
        .find_map(|name| args.get(name).and_then(Value::as_str));
    What::Tool(call.name.clone(), path.map(str::to_owned))
}

fn args(json: &Json) -> Value {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The beginning of a text, at most so many bytes of it.
pub(super) fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The end of a text, at most so many bytes of it.
pub(super) fn tail(text: &str, max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(max))..]
}
