//! Codex's items: messages, reasoning, commands, file changes, MCP calls.
//!
//! `exec --json` and the app-server describe the same items, one in snake_case and the other in camelCase.

use crate::Out;
use crate::news::News;
use crate::verdict::Said;
use crate::wire::{decode, flatten_content, lenient, lenient_text, unsaid};
use belay_trace::{
    Compaction, CompactionStatus, Event, Failure, Json, Level, Plan, PlanItem, PlanStatus,
    Reasoning, Text, TextRetracted, ToolCall, ToolId, ToolKind, ToolResult,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// The name of a shell tool, on every agent.
pub(super) const SHELL: &str = "Bash";

/// An item: the union of the fields of all kinds, under both spellings.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    text: Option<String>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    phase: Option<Cow<'a, str>>,
    #[serde(default)]
    summary: Option<Vec<String>>,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default, alias = "aggregatedOutput")]
    aggregated_output: Option<String>,
    #[serde(default, alias = "exitCode")]
    exit_code: Option<i32>,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default)]
    changes: Option<&'a RawValue>,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    tool: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<McpError>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    items: Option<Vec<Todo>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    /// What a helper has done: `started`, `interacted`, `interrupted`, `completed`.
    #[serde(borrow, default, rename = "kind", deserialize_with = "lenient_text")]
    activity: Option<Cow<'a, str>>,
    #[serde(default, alias = "agentThreadId", deserialize_with = "lenient")]
    agent_thread_id: Option<String>,
    #[serde(default, alias = "agentPath", deserialize_with = "lenient")]
    agent_path: Option<String>,
    #[serde(default, alias = "receiverThreadIds", deserialize_with = "lenient")]
    receiver_thread_ids: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
}

#[derive(Debug, Deserialize)]
struct McpResult<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct McpError {
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Todo {
    #[serde(default)]
    text: String,
    #[serde(default)]
    completed: bool,
}

/// Turns items into events. An item may arrive in pieces, begin and end, or end without having begun.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Text that was emitted in pieces, by the item that has not ended yet, oldest first.
    said: Vec<(String, String)>,
    /// Items that have not ended yet and whose reasoning was emitted in pieces, oldest first.
    reasoned: Vec<String>,
    /// Tool calls that were announced and have not ended yet, with the names of the tools.
    open_calls: HashMap<String, String>,
    /// The last message that is whole, but for comments after a message that is none.
    last_message: String,
    /// It is a comment on the work.
    is_comment: bool,
    /// It is the answer, by Codex's word for its phase.
    is_final: bool,
    /// No tool was called behind it.
    is_last: bool,
    /// A tool was called in the turn.
    acted: bool,
    /// What each item of words has said in the end.
    news: News,
}

/// What an item was, for whoever counts responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The model wrote or thought.
    Words,
    /// The model called a tool.
    Tool,
    /// Nothing of the model's.
    Aside,
    /// This version of belay does not know it.
    Unknown,
}

impl Item<'_> {
    /// What it says, if it is a message of the model's.
    pub(super) fn into_message(self) -> Option<String> {
        self.text.filter(|_| matches!(self.kind.as_ref(), "agentMessage" | "agent_message"))
    }

    /// What the user says, if it is the user who does.
    pub(super) fn words_of_user(&self) -> Option<String> {
        let is_users = matches!(self.kind.as_ref(), "userMessage" | "user_message");
        is_users.then(|| flatten_content(self.content))
    }

    /// The threads of the helpers that it has started.
    pub(super) fn started_threads(&self) -> impl Iterator<Item = &str> {
        let is_spawn = self.is_activity(&["started"]);
        let is_older = matches!(self.kind.as_ref(), "collabAgentToolCall" | "collab_tool_call")
            && matches!(self.tool.as_deref(), Some("spawnAgent" | "spawn_agent"));
        let one = self.agent_thread_id.as_deref().filter(|_| is_spawn);
        let more = self.receiver_thread_ids.iter().filter(move |_| is_older);
        one.into_iter().chain(more.map(String::as_str))
    }

    /// The thread of a helper that has nothing more to do.
    pub(super) fn ended_thread(&self) -> Option<&str> {
        self.agent_thread_id.as_deref().filter(|_| self.is_activity(&["completed", "interrupted"]))
    }

    /// What a helper is called, or was told.
    pub(super) fn helper_name(&self) -> Option<String> {
        self.agent_path.clone().or(self.prompt.clone())
    }

    /// The model of a helper that was started.
    pub(super) fn helper_model(&self) -> Option<String> {
        self.model.clone()
    }

    fn is_activity(&self, kinds: &[&str]) -> bool {
        matches!(self.kind.as_ref(), "subAgentActivity" | "sub_agent_activity")
            && self.activity.as_deref().is_some_and(|kind| kinds.contains(&kind))
    }

    pub(super) fn sort(&self) -> Sort {
        match self.kind.as_ref() {
            "agentMessage" | "agent_message" | "reasoning" | "plan" => Sort::Words,
            "userMessage" | "user_message" | "hookPrompt" | "contextCompaction"
            | "enteredReviewMode" | "exitedReviewMode" | "error" | "todo_list" | "sleep"
            | "subAgentActivity" | "sub_agent_activity"
                if tool(self).is_none() =>
            {
                Sort::Aside
            }
            _ if tool(self).is_some() => Sort::Tool,
            _ => Sort::Unknown,
        }
    }
}

impl Items {
    /// A piece of a message.
    pub(super) fn text_delta(&mut self, item: &str, text: String, out: &mut Out) {
        match self.said.iter_mut().find(|(id, _)| id == item) {
            Some((_, said)) => said.push_str(&text),
            None => self.said.push((item.to_owned(), text.clone())),
        }
        if !text.is_empty() {
            out.event(Event::Text(Text { text, message_id: Some(item.to_owned()) }));
        }
    }

    /// A piece of reasoning.
    pub(super) fn reasoning_delta(&mut self, item: &str, reasoning: String, out: &mut Out) {
        if !self.reasoned.iter().any(|id| id == item) {
            self.reasoned.push(item.to_owned());
        }
        if !reasoning.is_empty() {
            let message_id = Some(item.to_owned());
            out.event(Event::Reasoning(Reasoning { reasoning, message_id }));
        }
    }

    pub(super) fn started(&mut self, item: &Item<'_>, out: &mut Out) {
        if item.kind == "contextCompaction" {
            let status = CompactionStatus::Started;
            out.event(Event::Compaction(Compaction { status, message: None }));
        }
        self.call(item, out);
    }

    /// False if the item is of a kind that is not known.
    pub(super) fn completed(&mut self, item: &Item<'_>, out: &mut Out) -> bool {
        let message_id = || Some(item.id.as_ref().to_owned());
        if matches!(item.kind.as_ref(), "agentMessage" | "agent_message" | "reasoning")
            && !self.news.is_new(&item.id, &format!("{:?}{:?}", item.text, item.summary))
        {
            // Told again.
            return true;
        }
        match item.kind.as_ref() {
            "agentMessage" | "agent_message" => {
                let text = item.text.clone().unwrap_or_default();
                let rest = self.rest(&item.id, &text);
                if !rest.is_empty() {
                    out.event(Event::Text(Text { text: rest, message_id: message_id() }));
                }
                let is_comment = item.phase.as_deref() == Some("commentary");
                self.is_final = item.phase.as_deref() == Some("final_answer");
                self.is_last |= !text.is_empty();
                let says_nothing = text.trim().is_empty() && !self.last_message.is_empty();
                let is_better = !is_comment || self.is_comment || self.last_message.is_empty();
                if is_better && !says_nothing {
                    (self.last_message, self.is_comment) = (text, is_comment);
                }
            }
            "reasoning" => {
                let summary = item.summary.as_ref().map(|parts| parts.join("\n\n"));
                let text = item.text.clone().or(summary).unwrap_or_default();
                // The pieces of a summary have no separators: if there were any, they said it all.
                let in_pieces = self.reasoned.iter().position(|id| *id == item.id);
                if in_pieces.map(|at| self.reasoned.remove(at)).is_none() && !text.is_empty() {
                    let message_id = message_id();
                    out.event(Event::Reasoning(Reasoning { reasoning: text, message_id }));
                }
            }
            "todo_list" => out.event(Event::Plan(Plan { items: todos(item) })),
            "contextCompaction" => {
                let status = CompactionStatus::Completed;
                out.event(Event::Compaction(Compaction { status, message: None }));
            }
            "error" => {
                let words = item.message.clone().unwrap_or_default();
                out.event(Event::notice(Level::Warn, "item_error", words));
            }
            _ if item.sort() == Sort::Aside => {}
            "plan" => {
                let text = item.text.clone().unwrap_or_default();
                out.event(Event::notice(Level::Info, "plan", text));
            }
            _ if tool(item).is_some() => {
                self.call(item, out);
                self.open_calls.remove(item.id.as_ref());
                out.event(Event::ToolResult(result(item)));
            }
            _ => return false,
        }
        true
    }

    /// True if words are the last that came, and no tool runs.
    pub(super) fn has_last_words(&self) -> bool {
        self.is_last && self.open_calls.is_empty()
    }

    /// True if the model has given its answer, and no tool runs.
    pub(super) fn has_answer(&self) -> bool {
        self.is_final && self.has_last_words()
    }

    /// The response was dropped and comes again: what was said of it is void.
    pub(super) fn retract(&mut self, out: &mut Out) {
        let reasoned = self.reasoned.drain(..).map(|id| (id, String::new()));
        for (id, text) in reasoned.chain(self.said.drain(..)) {
            out.event(Event::TextRetracted(TextRetracted { message_id: Some(id), text }));
        }
    }

    /// What was said in the turn, which is over. What was reached is the last whole message, or else what was said of
    /// one; the answer is the message that no tool call comes behind.
    pub(super) fn said(&mut self, failure: Option<Failure>) -> Said {
        self.reasoned.clear();
        self.news = News::default();
        let partial = self.said.drain(..).next_back().map(|(_, text)| text).unwrap_or_default();
        let whole = std::mem::take(&mut self.last_message);
        let is_last = std::mem::take(&mut self.is_last);
        let acted = std::mem::take(&mut self.acted);
        self.is_final = false;
        let words = if is_last { whole.clone() } else { partial.clone() };
        let reached = if whole.is_empty() { partial } else { whole };
        Said { failure, words, reached, acted, ..Said::default() }
    }

    fn call(&mut self, item: &Item<'_>, out: &mut Out) {
        if let Some(call) = tool(item)
            && !self.open_calls.contains_key(item.id.as_ref())
        {
            (self.acted, self.is_last, self.is_final) = (true, false, false);
            self.open_calls.insert(item.id.as_ref().to_owned(), call.name.clone());
            out.event(Event::ToolCall(call));
        }
    }

    /// The call of this tool that has not ended yet, if there is but one.
    pub(super) fn open_call(&self, tool: &str) -> Option<ToolId> {
        let mut ids = self.open_calls.iter().filter(|(_, name)| *name == tool).map(|(id, _)| id);
        let id = ids.next()?;
        ids.next().is_none().then(|| ToolId(id.clone()))
    }

    fn rest(&mut self, id: &str, text: &str) -> String {
        let at = self.said.iter().position(|(item, _)| item == id);
        let said = at.map(|at| self.said.remove(at).1).unwrap_or_default();
        unsaid(text.to_owned(), &said)
    }
}

/// The tool call that an item stands for, if it stands for one.
fn tool(item: &Item<'_>) -> Option<ToolCall> {
    let raw = |raw: Option<&RawValue>| raw.map(Json::from_raw).unwrap_or_default();
    let (name, args, kind) = match item.kind.as_ref() {
        "commandExecution" | "command_execution" => {
            let args = match &item.cwd {
                Some(cwd) => json!({"command": item.command, "cwd": cwd}),
                None => json!({"command": item.command}),
            };
            (SHELL.to_owned(), args.into(), ToolKind::Execute)
        }
        "fileChange" | "file_change" => {
            let changes = item.changes.map_or("[]", RawValue::get);
            let args = Json::parse(format!(r#"{{"changes":{changes}}}"#)).unwrap_or_default();
            ("apply_patch".to_owned(), args, ToolKind::Edit)
        }
        "mcpToolCall" | "mcp_tool_call" => {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let name = format!("mcp__{}__{}", part(&item.server), part(&item.tool));
            (name, raw(item.arguments), ToolKind::Other)
        }
        "dynamicToolCall" => {
            (item.tool.clone().unwrap_or_default(), raw(item.arguments), ToolKind::Other)
        }
        "webSearch" | "web_search" => {
            ("web_search".to_owned(), json!({"query": item.query}).into(), ToolKind::Network)
        }
        "collabAgentToolCall" | "collab_tool_call" => {
            let name = item.tool.clone().unwrap_or_else(|| "agent".to_owned());
            (name, json!({"prompt": item.prompt}).into(), ToolKind::Other)
        }
        // Nothing else tells of the call that has started a helper.
        "subAgentActivity" | "sub_agent_activity" if item.is_activity(&["started"]) => {
            let args = json!({"agent": item.agent_path, "model": item.model});
            ("spawn_agent".to_owned(), args.into(), ToolKind::Other)
        }
        "imageView" => ("view_image".to_owned(), json!({"path": item.path}).into(), ToolKind::Read),
        "imageGeneration" => ("image_generation".to_owned(), json!({}).into(), ToolKind::Other),
        _ => return None,
    };
    Some(ToolCall { tool_id: Some(ToolId(item.id.as_ref().to_owned())), name, args, kind })
}

fn result(item: &Item<'_>) -> ToolResult {
    let status = item.status.as_deref().unwrap_or("completed");
    // The result of an image generation is the image itself, which is no words.
    let mcp = item.result.and_then(|result| decode::<McpResult<'_>>(result.get()));
    let output = match (&item.aggregated_output, mcp, &item.error) {
        (Some(output), ..) => output.clone(),
        (None, _, Some(error)) => error.message.clone(),
        (None, Some(result), None) => flatten_content(result.content),
        (None, None, None) if status == "declined" => "declined".to_owned(),
        (None, None, None) => String::new(),
    };
    ToolResult {
        tool_id: Some(ToolId(item.id.as_ref().to_owned())),
        name: tool(item).map(|call| call.name),
        output,
        tool_error: matches!(status, "failed" | "declined")
            || item.error.is_some()
            || item.exit_code.is_some_and(|code| code != 0),
        exit_code: item.exit_code,
    }
}

fn todos(item: &Item<'_>) -> Vec<PlanItem> {
    let status = |done| if done { PlanStatus::Completed } else { PlanStatus::Pending };
    let todos = item.items.as_deref().unwrap_or_default();
    todos
        .iter()
        .map(|todo| PlanItem { text: todo.text.clone(), status: status(todo.completed) })
        .collect()
}
