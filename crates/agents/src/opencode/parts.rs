//! OpenCode's parts: text, reasoning, tools and steps, as both transports describe them.

use super::meter::Meter;
use crate::news::News;
use crate::verdict::Said;
use crate::wire::{decode, lenient, lenient_text, unsaid};
use crate::{Out, RunRequest};
use belay_trace::{
    Event, Failure, FailureKind, Json, Plan, PlanItem, PlanStatus, Reasoning, Retry, Text,
    ToolCall, ToolId, ToolKind, ToolResult, TurnStarted,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

/// A part: the union of the fields of all kinds.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default, rename = "messageID", deserialize_with = "lenient_text")]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) text: Option<Cow<'a, str>>,
    /// OpenCode has added it to what the user says.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) synthetic: bool,
    #[serde(default, deserialize_with = "lenient")]
    time: Span,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    tool: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "callID", deserialize_with = "lenient_text")]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    tokens: Option<Tokens>,
    #[serde(default, deserialize_with = "lenient")]
    cost: Option<f64>,
}

impl Part<'_> {
    /// True where a step begins or ends.
    pub(super) fn bounds_step(&self) -> bool {
        matches!(self.kind.as_ref(), "step-start" | "step-finish")
    }
}

#[derive(Debug, Default, Deserialize)]
struct Span {
    #[serde(default)]
    end: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    output: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "lenient")]
    exit: Option<i32>,
    /// The session of the subagent that a `task` starts.
    #[serde(default, rename = "sessionId", deserialize_with = "lenient")]
    session_id: Option<String>,
}

/// What a step has used. `input` excludes what the cache gave, `output` excludes reasoning: their sum is
/// `total` in every recording.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) cache: Cache,
}

impl Tokens {
    pub(super) fn total(self) -> u64 {
        let used = [self.input, self.output, self.reasoning, self.cache.read, self.cache.write];
        used.into_iter().fold(0, u64::saturating_add)
    }

    /// Both together, count by count.
    pub(super) fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: of(self.input, other.input),
            output: of(self.output, other.output),
            reasoning: of(self.reasoning, other.reasoning),
            cache: Cache {
                read: of(self.cache.read, other.cache.read),
                write: of(self.cache.write, other.cache.write),
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cache {
    pub(super) read: u64,
    pub(super) write: u64,
}

/// A subagent that was set to work: its session, and the call that did so.
pub(super) type Delegated = (String, ToolId);

/// Turns parts into events. A part may arrive in pieces, be told again and again while it grows, or once.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Each part comes once, and whole: over print.
    are_whole: bool,
    /// The call of the subagent whose parts these are.
    pub(super) under: Option<ToolId>,
    /// The subagent that was just set to work.
    pub(super) delegated: Option<Delegated>,
    /// What was said of the parts that are not whole yet, oldest first; and whether it is reasoning.
    said: Vec<(String, String, bool)>,
    /// Of these pieces were lost: what they say is told when they are whole.
    torn: HashSet<String>,
    /// Pieces may be lost of any part whose beginning was not heard.
    has_gap: bool,
    /// Tool calls that have begun, by their ids.
    calls: HashSet<String>,
    /// Tool calls and parts that are whole.
    done: HashSet<String>,
    /// How many parts had no id.
    unnamed: u64,
    /// The text of the last response that had any.
    answer: String,
    answer_of: Option<String>,
    /// No tool was called behind it.
    is_last: bool,
    /// A tool was called.
    acted: bool,
    /// How far each call was when it was told last.
    news: News,
    /// How the last step ended.
    pub(super) reason: Option<String>,
    /// The MCP servers that the request gives, whose tools OpenCode calls `server_tool`; longest name first.
    mcp_servers: Vec<String>,
}

impl Parts {
    pub(super) fn new(request: &RunRequest) -> Self {
        let mut mcp_servers: Vec<_> = request.mcp_servers.keys().cloned().collect();
        mcp_servers.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self { mcp_servers, ..Self::default() }
    }

    /// For a stream in which each part comes once.
    pub(super) fn whole(mut self) -> Self {
        self.are_whole = true;
        self
    }

    /// What a subagent says that this call has begun.
    pub(super) fn of_subagent(&self, call: ToolId) -> Self {
        let mcp_servers = self.mcp_servers.clone();
        Self { under: Some(call), mcp_servers, ..Self::default() }
    }

    /// True for a part that is whole and was told.
    pub(super) fn has_had(&self, part: &str) -> bool {
        self.done.contains(part)
    }

    /// A tool's name as belay has it.
    pub(super) fn name(&self, name: &str) -> String {
        self.sort(name).0
    }

    /// A tool's name as belay has it, and what it can do.
    fn sort(&self, name: &str) -> (String, ToolKind) {
        let tool_of = |server: &String| {
            let tool = name.strip_prefix(server.as_str())?.strip_prefix('_')?;
            Some(format!("mcp__{server}__{tool}"))
        };
        match self.mcp_servers.iter().find_map(tool_of) {
            Some(name) => (name, ToolKind::Other),
            None => sort(name),
        }
    }

    /// What was said in the turn: the answer is the words that no tool call comes behind.
    pub(super) fn said(&self, failure: Option<Failure>) -> Said {
        let reached = self.answer.clone();
        let words = if self.is_last { reached.clone() } else { String::new() };
        let ended = self.reason.clone().map(|reason| ("finish", reason));
        Said { failure, words, reached, acted: self.acted, ended, ..Said::default() }
    }

    /// Takes a part; `None` if this version does not know its kind.
    pub(super) fn part(
        &mut self,
        mut part: Part<'_>,
        meter: &mut Meter,
        out: &mut Out,
    ) -> Option<()> {
        if part.id.is_empty() {
            self.unnamed += 1;
            part.id = format!("unnamed {}", self.unnamed).into();
        }
        if self.done.contains(&*part.id) {
            // Told again.
            return Some(());
        }
        match part.kind.as_ref() {
            "step-start" => {
                self.done.insert(part.id.into_owned());
                // How the step before ended is not how this one does.
                self.reason = None;
                let message_id = part.message_id.map(Cow::into_owned);
                out.event_under(
                    self.under.clone(),
                    Event::TurnStarted(TurnStarted { message_id, model: None }),
                );
            }
            "text" | "reasoning" => self.words(part, out),
            "tool" => self.tool(part, out)?,
            "step-finish" => {
                self.done.insert(part.id.into_owned());
                if part.reason.as_deref() == Some("unknown") {
                    // It asks the model again at once, and without end; what came stays in the conversation.
                    let reason = "the model's stream ended without its end".to_owned();
                    let retry = Event::Retry(Retry {
                        reason,
                        kind: Some(FailureKind::Network),
                        ..Retry::default()
                    });
                    out.event_under(self.under.clone(), retry);
                }
                self.reason = part.reason.map(Cow::into_owned);
                meter.step(part.tokens, part.cost, self.under.as_ref(), out);
            }
            // The state of the working folder, which belay does not show.
            "snapshot" | "patch" | "file" | "agent" | "retry" | "compaction" | "subtask" => {}
            _ => return None,
        }
        Some(())
    }

    /// Events were lost: what the open parts say next may not follow on what they have said.
    pub(super) fn tear(&mut self) {
        self.torn.extend(self.said.iter().map(|(id, ..)| id.clone()));
        self.has_gap = true;
    }

    /// A part as the server has it, in which pieces may be lost that come before its next.
    pub(super) fn missed(&mut self, part: Part<'_>, meter: &mut Meter, out: &mut Out) {
        let is_new = !self.said.iter().any(|(id, ..)| *id == part.id);
        if is_new && part.time.end.is_none() {
            self.torn.insert(part.id.to_string());
        }
        // A kind that this version does not know says nothing here either.
        let _ = self.part(part, meter, out);
    }

    /// A piece of a part whose kind was told before.
    pub(super) fn delta(
        &mut self,
        part_id: &str,
        message_id: Option<&str>,
        text: &str,
        out: &mut Out,
    ) {
        let is_known = self.said.iter().any(|(id, ..)| id == part_id);
        if self.torn.contains(part_id) || (self.has_gap && !is_known) {
            return out.progress();
        }
        let is_reasoning = match self.said.iter_mut().find(|(id, ..)| id == part_id) {
            Some((_, said, is_reasoning)) => {
                said.push_str(text);
                *is_reasoning
            }
            None => {
                self.said.push((part_id.to_owned(), text.to_owned(), false));
                false
            }
        };
        self.say(text.to_owned(), message_id, is_reasoning, out);
    }

    fn words(&mut self, part: Part<'_>, out: &mut Out) {
        let is_reasoning = part.kind == "reasoning";
        let known = self.said.iter().position(|(id, ..)| *id == part.id);
        let text = part.text.map(Cow::into_owned).unwrap_or_default();
        if part.time.end.is_none() && !self.are_whole {
            // It begins; what it says comes in pieces.
            if known.is_none() {
                out.progress();
                self.said.push((part.id.into_owned(), String::new(), is_reasoning));
            }
            return;
        }
        self.torn.remove(&*part.id);
        self.done.insert(part.id.into_owned());
        let said = known.map(|at| self.said.remove(at).1).unwrap_or_default();
        let rest = unsaid(text, &said);
        if !rest.is_empty() {
            self.say(rest, part.message_id.as_deref(), is_reasoning, out);
        }
    }

    fn say(&mut self, text: String, message_id: Option<&str>, is_reasoning: bool, out: &mut Out) {
        let id = message_id.map(str::to_owned);
        if is_reasoning {
            out.event_under(
                self.under.clone(),
                Event::Reasoning(Reasoning { reasoning: text, message_id: id }),
            );
            return;
        }
        if self.answer_of != id {
            self.answer.clear();
            self.answer_of.clone_from(&id);
        }
        self.answer.push_str(&text);
        self.is_last |= !text.trim().is_empty();
        out.event_under(self.under.clone(), Event::Text(Text { text, message_id: id }));
    }

    fn tool(&mut self, part: Part<'_>, out: &mut Out) -> Option<()> {
        let raw = part.state?.get();
        let state: State<'_> = decode(raw)?;
        let id = part.call_id.unwrap_or(part.id).into_owned();
        if !self.done.contains(&id) && self.news.is_new(&id, raw) {
            // The model writes the call, or the tool prints something.
            out.progress();
        }
        let name = part.tool.as_deref().unwrap_or_default();
        // A call of a tool that the model was not offered, or with arguments that the tool does not take.
        let refused = state.input.filter(|_| name == "invalid").and_then(|input| {
            #[derive(Deserialize)]
            struct Invalid {
                tool: String,
            }
            Some(decode::<Invalid>(input.get())?.tool)
        });
        let is_invalid = name == "invalid";
        let name = refused.as_deref().unwrap_or(name);
        if state.status == "pending" || self.done.contains(&id) {
            return Some(());
        }
        let tool_id = Some(ToolId::from(id.as_str()));
        if let Some(session) = state.metadata.session_id.clone().filter(|_| name == "task") {
            self.delegated = Some((session, ToolId::from(id.as_str())));
        }
        if self.calls.insert(id.clone()) {
            (self.acted, self.is_last) = (true, false);
            let args = state.input.map(Json::from_raw).unwrap_or_default();
            if name == "todowrite"
                && let Some(plan) = plan(&args)
            {
                out.event_under(self.under.clone(), Event::Plan(plan));
            }
            let (name, kind) = self.sort(name);
            let tool_id = tool_id.clone();
            out.event_under(
                self.under.clone(),
                Event::ToolCall(ToolCall { tool_id, name, args, kind }),
            );
        }
        let tool_error = match state.status.as_ref() {
            "completed" => state.metadata.exit.is_some_and(|exit| exit != 0) || is_invalid,
            "error" => true,
            _ => return Some(()),
        };
        self.done.insert(id);
        out.event_under(
            self.under.clone(),
            Event::ToolResult(ToolResult {
                tool_id,
                name: Some(self.sort(name).0),
                output: state.output.or(state.error).unwrap_or_default(),
                tool_error,
                exit_code: state.metadata.exit,
            }),
        );
        Some(())
    }
}

/// A tool's name as belay has it, and what it can do. (1.18.33)
fn sort(name: &str) -> (String, ToolKind) {
    let kind = match name {
        "bash" => return ("Bash".to_owned(), ToolKind::Execute),
        "read" | "glob" | "grep" | "list" | "skill" | "lsp" => ToolKind::Read,
        "edit" | "write" | "patch" | "apply_patch" | "multiedit" => ToolKind::Edit,
        "webfetch" | "websearch" | "codesearch" => ToolKind::Network,
        _ => ToolKind::Other,
    };
    (name.to_owned(), kind)
}

/// OpenCode's own name of a tool, from the one that callers have.
pub(super) fn own_name(name: &str) -> Cow<'_, str> {
    match (name, name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"))) {
        ("Bash", _) => Cow::Borrowed("bash"),
        (_, Some((server, tool))) => Cow::Owned(format!("{server}_{tool}")),
        _ => Cow::Borrowed(name),
    }
}

fn plan(args: &Json) -> Option<Plan> {
    #[derive(Deserialize)]
    struct Todos {
        todos: Vec<Todo>,
    }
    #[derive(Deserialize)]
    struct Todo {
        content: String,
        #[serde(default)]
        status: String,
    }
    let todos: Todos = serde_json::from_str(args.get()).ok()?;
    let items = todos.todos.into_iter().map(|todo| PlanItem {
        text: todo.content,
        status: match todo.status.as_str() {
            "in_progress" => PlanStatus::InProgress,
            "completed" | "cancelled" => PlanStatus::Completed,
            _ => PlanStatus::Pending,
        },
    });
    Some(Plan { items: items.collect() })
}
