//! Tools over ACP: calls, their results, and what they are called.

use super::diff;
use super::preset::Quirks;
use super::talk::Terminals;
use crate::{Out, RunRequest};
use agent_client_protocol_schema::v1::{
    ContentBlock, EmbeddedResourceResource, ToolCallContent, ToolCallStatus, ToolCallUpdate,
    ToolKind as AcpKind,
};
use belay_trace::{Event, Json, ToolCall, ToolCallStart, ToolId, ToolKind, ToolResult};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The calls of a session.
#[derive(Debug)]
pub(super) struct Calls {
    quirks: Quirks,
    /// The names of the request's own MCP servers.
    servers: Vec<String>,
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: Option<String>,
    title: String,
    kind: ToolKind,
    args: Option<Json>,
    paths: Vec<String>,
    /// What the command has printed, where that comes in pieces.
    printed: Option<String>,
    /// The terminals of belay's in which it works.
    terminals: Vec<String>,
    announced: bool,
    called: bool,
    denied: bool,
    ended: bool,
    /// What stands in front of the command in its title, if that is known.
    command_in_title: Option<&'static str>,
    /// The agent has spoken of it only to ask whether it may.
    only_asked: bool,
}

/// What an update means for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The model calls a tool that was not heard of before.
    New,
    /// A tool has returned.
    Ended,
    /// Neither.
    Goes,
}

/// What only the text of an update holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside<'a> {
    pub(super) input: Option<&'a RawValue>,
    pub(super) tool_name: Option<&'a str>,
    /// What a command has printed since the last update.
    pub(super) printed: Option<&'a str>,
    pub(super) exit_code: Option<i32>,
    /// Whether the update names a state of the call, whatever it is.
    pub(super) status: Option<&'a RawValue>,
    /// The terminals that the agent has of belay.
    pub(super) terminals: Option<&'a Terminals>,
}

impl<'a> Beside<'a> {
    pub(super) fn with(self, terminals: &'a Terminals) -> Self {
        Self { terminals: Some(terminals), ..self }
    }
}

/// A tool that the agent asks about.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) tool_id: ToolId,
    pub(super) name: String,
    pub(super) args: Json,
    pub(super) kind: ToolKind,
    /// It is a tool of a server that came with the request.
    pub(super) is_of_request: bool,
}

impl Calls {
    pub(super) fn new(quirks: Quirks, request: &RunRequest) -> Self {
        let servers = request.mcp_servers.keys().cloned().collect();
        Self { quirks, servers, calls: Vec::new() }
    }

    /// True if the call with this id was heard of.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.calls.iter().any(|call| call.id == id)
    }

    /// True if the call with this id runs, or may be about to.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.calls.iter().any(|call| call.id == id && !call.ended && !call.denied)
    }

    /// The call that runs a command, if there is only one.
    pub(super) fn only_open_command(&self) -> Option<ToolId> {
        let mut open = self.open_commands();
        let only = open.next()?;
        open.next().is_none().then(|| ToolId(only.id.clone()))
    }

    pub(super) fn has_open_command(&self) -> bool {
        self.open_commands().next().is_some()
    }

    fn open_commands(&self) -> impl Iterator<Item = &Call> {
        let runs = |call: &&Call| call.kind == ToolKind::Execute && !call.ended && !call.denied;
        self.calls.iter().filter(runs)
    }

    /// Returns the names of those calls among these that run.
    pub(super) fn open_among(&self, ids: &HashSet<String>) -> impl Iterator<Item = String> {
        let is_open = |call: &&Call| ids.contains(&call.id) && !call.ended && !call.denied;
        self.calls.iter().filter(is_open).map(Call::shown_name)
    }

    /// Takes what an update says of a call.
    pub(super) fn update(
        &mut self,
        update: &ToolCallUpdate,
        beside: Beside<'_>,
        out: &mut Out,
    ) -> Step {
        let known = self.knows(&update.tool_call_id.0);
        let exit_code = beside.exit_code.filter(|_| !self.quirks.guesses_exit_codes);
        let shows = if self.quirks.raw_output_is_all { Shows::ForPeople } else { Shows::Output };
        let call = self.merge(update, beside);
        call.only_asked = false;
        let status = update.fields.status.unwrap_or(ToolCallStatus::Pending);
        let is_over = matches!(status, ToolCallStatus::Completed | ToolCallStatus::Failed);
        if call.ended {
            return Step::Goes;
        }
        // While a call waits, its arguments may grow. Who names no state says all at once.
        let is_whole = beside.status.is_none() && (call.args.is_some() || !known);
        if is_whole || status != ToolCallStatus::Pending {
            call.tell(out);
        } else if call.args.is_none() {
            call.announce(out);
        }
        if is_over {
            call.ended = true;
            let failed = status == ToolCallStatus::Failed;
            let result = result(call, update, shows, beside.terminals, exit_code, failed);
            out.event(Event::ToolResult(result));
            return Step::Ended;
        }
        if known { Step::Goes } else { Step::New }
    }

    /// The agent asks about a call, of which it may not have spoken before.
    pub(super) fn ask(
        &mut self,
        update: &ToolCallUpdate,
        beside: Beside<'_>,
        out: &mut Out,
    ) -> Asked {
        let is_new = !self.knows(&update.tool_call_id.0);
        let call = match is_new.then(|| self.meant_by(update, beside)).flatten() {
            Some(at) => &mut self.calls[at],
            None => {
                let call = self.merge(update, beside);
                call.only_asked |= is_new;
                call
            }
        };
        call.tell(out);
        let name = call.shown_name();
        Asked {
            tool_id: ToolId(call.id.clone()),
            is_of_request: name.starts_with("mcp__") && call.name.is_some(),
            name,
            args: call.shown_args(),
            kind: call.kind,
        }
    }

    /// The open call that a question under an id of its own is about: the one with the same arguments, or the only one
    /// there is for a question that names none.
    fn meant_by(&self, update: &ToolCallUpdate, beside: Beside<'_>) -> Option<usize> {
        let is_open = |call: &Call| !call.ended && !call.denied && !call.only_asked;
        let open = || self.calls.iter().enumerate().filter(|(_, call)| is_open(call));
        let input = beside.input.filter(|input| !matches!(input.get().trim(), "{}" | "null"));
        let Some(input) = input else {
            let mut open = open();
            let (at, call) = open.next()?;
            let kind = update.fields.kind.map_or(ToolKind::Other, kind_of);
            let may_be = kind == ToolKind::Other || kind == call.kind;
            return (may_be && open.next().is_none()).then_some(at);
        };
        let input: Value = serde_json::from_str(input.get()).ok()?;
        let has_it = |call: &Call| {
            let args = call.args.as_ref().map(|args| serde_json::from_str::<Value>(args.get()));
            args.is_some_and(|args| args.is_ok_and(|args| args == input))
        };
        open().find(|(_, call)| has_it(call)).map(|(at, _)| at)
    }

    /// A call was not permitted.
    pub(super) fn denied(&mut self, id: &ToolId) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id.0) {
            call.denied = true;
        }
    }

    /// True if the last call was not permitted.
    pub(super) fn last_is_denied(&self) -> bool {
        self.calls.last().is_some_and(|call| call.denied)
    }

    /// Ends the calls that were not permitted, where the agent itself never does. True if there were any.
    pub(super) fn end_denied(&mut self, out: &mut Out) -> bool {
        let ends = self.quirks.denied_calls_stay_open;
        let open = self.calls.iter_mut().filter(|call| ends && call.denied && !call.ended);
        let mut any = false;
        for call in open {
            (call.ended, any) = (true, true);
            out.event(Event::ToolResult(call.after_question()));
        }
        any
    }

    /// True if a call has arguments, and nothing has said yet that they are whole.
    pub(super) fn has_waiting(&self) -> bool {
        self.calls.iter().any(Call::is_waiting)
    }

    /// Tells the calls whose arguments have not grown for long enough.
    pub(super) fn tell_waiting(&mut self, out: &mut Out) {
        self.calls.iter_mut().filter(|call| call.is_waiting()).for_each(|call| call.tell(out));
    }

    /// Forgets the calls of a turn; what was only announced is told as far as it is known.
    pub(super) fn turn_ended(&mut self, out: &mut Out) {
        self.end_denied(out);
        for call in self.calls.iter_mut() {
            call.tell(out);
            // Nothing else will ever say how they ended.
            if call.only_asked && !call.ended {
                out.event(Event::ToolResult(call.after_question()));
            }
        }
        self.calls.clear();
    }

    fn merge(&mut self, update: &ToolCallUpdate, beside: Beside<'_>) -> &mut Call {
        let id = update.tool_call_id.0.as_ref();
        let at = self.calls.iter().position(|call| call.id == id).unwrap_or_else(|| {
            let command_in_title = self.quirks.command_in_title;
            self.calls.push(Call { id: id.to_owned(), command_in_title, ..Call::default() });
            self.calls.len() - 1
        });
        let in_id = self.quirks.tool_name_in_id.then(|| id.rsplit_once("__")).flatten();
        let fields = &update.fields;
        let name = fields.name.as_deref().or(beside.tool_name).or(in_id.map(|(name, _)| name));
        let name = name.map(|name| self.name(name));
        let call = &mut self.calls[at];
        call.name = name.or(call.name.take());
        if let Some(title) = &fields.title {
            call.title.clone_from(title);
        }
        if let Some(kind) = fields.kind {
            call.kind = kind_of(kind);
        }
        if let Some(locations) = fields.locations.as_ref().filter(|paths| !paths.is_empty()) {
            call.paths = locations.iter().map(|at| at.path.to_string_lossy().into()).collect();
        }
        // A terminal stays that of its call, whatever the agent shows in its place afterwards.
        let mut terminals = fields.content.iter().flatten().filter_map(terminal_of).peekable();
        if terminals.peek().is_some() {
            call.terminals = terminals.map(str::to_owned).collect();
        }
        if let Some(printed) = beside.printed {
            call.printed.get_or_insert_default().push_str(printed);
        }
        // An empty object comes while the model still writes the arguments.
        let input = beside.input.filter(|input| !matches!(input.get().trim(), "{}" | "null"));
        call.args = input.map(Json::from_raw).or(call.args.take());
        call
    }

    /// The name that the tool has on every agent.
    fn name(&self, name: &str) -> String {
        let of_server = |server: &String| {
            let leads = [
                format!("mcp__{server}__"),
                format!("mcp_{server}_"),
                format!("{server}__"),
                format!("{server}_"),
            ];
            let tool = leads.iter().find_map(|lead| name.strip_prefix(lead.as_str()))?;
            Some(format!("mcp__{server}__{tool}"))
        };
        match name {
            "run_shell_command" | "bash" | "shell" | "exec_command" | "developer__shell" => {
                "Bash".to_owned()
            }
            _ => self.servers.iter().find_map(of_server).unwrap_or_else(|| name.to_owned()),
        }
    }
}

impl Call {
    fn is_waiting(&self) -> bool {
        self.args.is_some() && !self.called && !self.ended
    }

    fn announce(&mut self, out: &mut Out) {
        if !self.announced {
            self.announced = true;
            let (tool_id, name) = (Some(ToolId(self.id.clone())), self.shown_name());
            out.event(Event::ToolCallStart(ToolCallStart { tool_id, name }));
        }
    }

    fn tell(&mut self, out: &mut Out) {
        if !self.called {
            (self.announced, self.called) = (true, true);
            out.event(Event::ToolCall(ToolCall {
                tool_id: Some(ToolId(self.id.clone())),
                name: self.shown_name(),
                args: self.shown_args(),
                kind: self.kind,
            }));
        }
    }

    /// What has become of a call of which only the answer to a question is known.
    fn after_question(&self) -> ToolResult {
        let output = if self.denied { "not permitted" } else { "permitted" };
        ToolResult {
            tool_id: Some(ToolId(self.id.clone())),
            name: Some(self.shown_name()),
            output: output.to_owned(),
            tool_error: self.denied,
            exit_code: None,
        }
    }

    /// Only some agents name their tools; a title is a sentence for people.
    fn shown_name(&self) -> String {
        match (&self.name, self.kind) {
            (Some(name), _) => name.clone(),
            (None, ToolKind::Execute) => "Bash".to_owned(),
            (None, _) => self.title.clone(),
        }
    }

    /// Only some agents tell the arguments. A title is a sentence for people, that of a command too: what stands around
    /// the command in it is each agent's own.
    fn shown_args(&self) -> Json {
        if let Some(args) = &self.args {
            return args.clone();
        }
        let lead = self.command_in_title.filter(|_| self.kind == ToolKind::Execute);
        if let Some(command) = lead.and_then(|lead| self.title.strip_prefix(lead)) {
            return Json::from(json!({"command": command}));
        }
        match self.paths.as_slice() {
            [] => Json::from(json!({"title": self.title})),
            [path] => Json::from(json!({"title": self.title, "path": path})),
            paths => Json::from(json!({"title": self.title, "paths": paths})),
        }
    }
}

fn kind_of(kind: AcpKind) -> ToolKind {
    match kind {
        AcpKind::Read | AcpKind::Search => ToolKind::Read,
        AcpKind::Edit | AcpKind::Delete | AcpKind::Move => ToolKind::Edit,
        AcpKind::Execute => ToolKind::Execute,
        AcpKind::Fetch => ToolKind::Network,
        _ => ToolKind::Other,
    }
}

/// What stands beside a raw output that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// Perhaps the output.
    Output,
    /// A sentence for people.
    ForPeople,
}

fn result(
    call: &Call,
    update: &ToolCallUpdate,
    shows: Shows,
    terminals: Option<&Terminals>,
    exit_code: Option<i32>,
    failed: bool,
) -> ToolResult {
    let raw = update.fields.raw_output.as_ref();
    let of_terminal = || terminals?.exit_code(call.terminals.last()?);
    let exit_code = exit_code.or_else(|| raw.and_then(self::exit_code)).or_else(of_terminal);
    ToolResult {
        tool_id: Some(ToolId(call.id.clone())),
        name: Some(call.shown_name()),
        output: call.printed.clone().unwrap_or_else(|| output(call, update, shows, terminals, raw)),
        tool_error: failed || exit_code.is_some_and(|code| code != 0),
        exit_code,
    }
}

/// Where agents put the exit code of a command: Qwen; Copilot and Codex; OpenCode.
fn exit_code(raw: &Value) -> Option<i32> {
    let places = ["/exitCode", "/exit_code", "/contents/0/exitCode", "/metadata/exit"];
    let code = places.iter().find_map(|place| raw.pointer(place)?.as_i64());
    code.and_then(|code| i32::try_from(code).ok())
}

/// What a tool has printed: as itself where the agent hands it on, else as the agent shows it to people.
fn output(
    call: &Call,
    update: &ToolCallUpdate,
    shows: Shows,
    terminals: Option<&Terminals>,
    raw: Option<&Value>,
) -> String {
    let shown: Vec<String> = match &update.fields.content {
        Some(blocks) => blocks.iter().map(|content| block(content, terminals)).collect(),
        // The terminals that it has told before are still its content.
        None => call.terminals.iter().map(|id| in_terminal(id, terminals)).collect(),
    };
    let is_shown = shows == Shows::Output && shown.iter().any(|text| !text.trim().is_empty());
    if let Some(text) = raw.and_then(plain).filter(|text| !text.is_empty() || !is_shown) {
        // The end of a long output, and where all of it is (Qwen).
        let cut = raw.filter(|raw| raw["truncated"] == true);
        let whole = cut.and_then(|raw| raw.pointer("/outputFiles/0")?.as_str());
        return match whole {
            Some(path) => format!("{text}\n\n[Full output: {path}]"),
            None => text.to_owned(),
        };
    }
    let shown_raw = |text: &str| shown == [format!("```\n{text}\n```")];
    match (shown.is_empty(), raw) {
        (true, Some(Value::String(text))) => text.clone(),
        // Claude's adapter shows it as Markdown.
        (false, Some(Value::String(text))) if shown_raw(text) => text.clone(),
        (true, Some(raw)) if !raw.is_null() => raw.to_string(),
        _ => shown.join("\n"),
    }
}

/// The text of a shell's result (Qwen), of a change of a file (Qwen), of anything (OpenCode). Vibe leaves that empty and
/// has what a command has printed beside it.
fn plain(raw: &Value) -> Option<&str> {
    let text = |place: &str| raw.pointer(place)?.as_str();
    let full = |place: &str| text(place).filter(|text| !text.is_empty());
    full("/output")
        .or_else(|| full("/fileDiff"))
        .or_else(|| full("/stdout"))
        .or_else(|| full("/stderr"))
        .or_else(|| text("/output").or_else(|| text("/fileDiff")))
}

fn terminal_of(content: &ToolCallContent) -> Option<&str> {
    match content {
        ToolCallContent::Terminal(terminal) => Some(&terminal.terminal_id.0),
        _ => None,
    }
}

fn in_terminal(id: &str, terminals: Option<&Terminals>) -> String {
    let text = terminals.and_then(|terminals| terminals.text(id));
    text.unwrap_or("[terminal]").to_owned()
}

fn block(content: &ToolCallContent, terminals: Option<&Terminals>) -> String {
    match content {
        ToolCallContent::Content(content) => text_of(&content.content),
        ToolCallContent::Diff(diff) => {
            diff::lines(&diff.path.to_string_lossy(), diff.old_text.as_deref(), &diff.new_text)
        }
        ToolCallContent::Terminal(terminal) => in_terminal(&terminal.terminal_id.0, terminals),
        _ => "[content]".to_owned(),
    }
}

/// A block as text; what is none is named.
pub(super) fn text_of(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::ResourceLink(link) => link.uri.clone(),
        ContentBlock::Resource(resource) => match &resource.resource {
            EmbeddedResourceResource::TextResourceContents(text) => text.text.clone(),
            _ => "[resource]".to_owned(),
        },
        ContentBlock::Image(_) => "[image]".to_owned(),
        ContentBlock::Audio(_) => "[audio]".to_owned(),
        _ => "[content]".to_owned(),
    }
}
