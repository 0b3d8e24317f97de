//! The terminals that the agent has of belay: commands that it lets its client run, under `edit` and `full`.

use super::late::Sign;
use super::{Heard, Talk};
use crate::Permissions;
use crate::acp::rpc::Say;
use crate::protocol::{Action, Exit, Out};
use crate::terminal::{TerminalCommand, TerminalId, TerminalNews, TerminalOrder, keep_last_bytes};
use crate::wire::{decode, lenient};
use belay_trace::{Decision, Event, Json, Level, PermissionRequest, ToolId, ToolKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// How many there may be at once that the agent has not released: far more than it works with, and each of them is a
/// program and as much of its output as is kept.
const OPEN_MAX: usize = 64;

/// How many are known: those that are released are shown in the result of their call.
const KNOWN_MAX: usize = 2 * OPEN_MAX;

/// All terminals of a session.
#[derive(Debug, Default)]
pub(in crate::acp) struct Terminals {
    known: Vec<Terminal>,
    count: u32,
    /// Commands that the agent was just allowed to run, for whichever way it takes.
    allowed: Vec<(ToolId, String)>,
}

#[derive(Debug)]
struct Terminal {
    id: TerminalId,
    command: TerminalCommand,
    /// The request that has made it.
    request: Box<RawValue>,
    stage: Stage,
    /// The last part of what it has printed.
    text: String,
    is_cut: bool,
    is_released: bool,
    /// Requests that wait for its output, and for its end.
    readers: Vec<Box<RawValue>>,
    waiters: Vec<Box<RawValue>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has said yet whether it may run.
    Asked {
        permission_id: String,
        tool_id: Option<ToolId>,
    },
    Starting,
    Running,
    Ended(Exit),
    /// It never ran.
    Refused,
}

/// What the agent wants of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Create,
    Output,
    WaitForExit,
    Kill,
    Release,
}

/// Why a request gets no result.
struct Refusal {
    code: i32,
    words: String,
}

impl Refusal {
    const INVALID_PARAMS: i32 = -32602;
    const INTERNAL: i32 = -32603;
    const NOT_FOUND: i32 = -32002;

    fn new(code: i32, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }
}

impl Wish {
    fn named(method: &str) -> Option<Self> {
        Some(match method {
            "terminal/create" => Self::Create,
            "terminal/output" => Self::Output,
            "terminal/wait_for_exit" => Self::WaitForExit,
            "terminal/kill" => Self::Kill,
            "terminal/release" => Self::Release,
            _ => return None,
        })
    }
}

impl Talk {
    /// True if the agent may let belay run its commands. One that may only look gets no such way, and one that is to
    /// ask before anything asks for what it does itself.
    pub(super) fn offers_terminals(&self) -> bool {
        let permits =
            matches!(self.request.permissions, Some(Permissions::Edit | Permissions::Full));
        self.heard == Heard::Live && permits
    }

    /// Answers a request about a terminal; false if it is none, or none is offered.
    pub(super) fn terminal_request(
        &mut self,
        method: &str,
        id: &RawValue,
        params: Option<&RawValue>,
        out: &mut Out,
    ) -> bool {
        let Some(wish) = Wish::named(method).filter(|_| self.offers_terminals()) else {
            return false;
        };
        let params = params.map_or("{}", RawValue::get);
        let refused = match wish {
            Wish::Create => self.create_terminal(id, params, out),
            wish => self.terminals.request(wish, id, params, out),
        };
        if let Err(Refusal { code, words }) = refused {
            out.stdin_line(&Say::refuse(id, code, &words));
        }
        self.heard_late(if wish == Wish::Create { Sign::Work } else { Sign::Report }, out);
        true
    }

    fn create_terminal(
        &mut self,
        id: &RawValue,
        params: &str,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let command = TerminalCommand::read(params)
            .ok_or_else(|| Refusal::new(Refusal::INVALID_PARAMS, "the command cannot be read"))?;
        if command.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute()) {
            let words = "the folder is no absolute path";
            return Err(Refusal::new(Refusal::INVALID_PARAMS, words));
        }
        if !self.prompting || self.cancel_sent || self.interrupted {
            let words = "no turn is running that a command could be part of";
            return Err(Refusal::new(Refusal::INTERNAL, words));
        }
        self.turn.acted = true;
        let may_run =
            self.request.permissions == Some(Permissions::Full) || self.was_allowed(&command);
        let terminal = self.terminals.add(id, command)?;
        out.terminal(terminal.id, TerminalOrder::Prepare(params.to_owned()));
        if may_run {
            terminal.stage = Stage::Starting;
            out.terminal(terminal.id, TerminalOrder::Start);
            return Ok(());
        }
        let permission_id = id.get().trim_matches('"').to_owned();
        let tool_id = self.calls.only_open_command();
        terminal.stage =
            Stage::Asked { permission_id: permission_id.clone(), tool_id: tool_id.clone() };
        out.event(Event::PermissionRequest(PermissionRequest {
            permission_id,
            tool_id,
            name: "Bash".to_owned(),
            args: args(&terminal.command),
            kind: ToolKind::Execute,
            reason: None,
        }));
        Ok(())
    }

    /// True, once, if the agent was just allowed to run this command and nothing is added to it.
    fn was_allowed(&mut self, command: &TerminalCommand) -> bool {
        let is_elsewhere = command.cwd.is_some() && command.cwd != self.request.cwd;
        if is_elsewhere || command.env().next().is_some() {
            return false;
        }
        let line = line(command);
        let calls = &self.calls;
        let allowed = &mut self.terminals.allowed;
        allowed.retain(|(tool_id, _)| calls.is_open(&tool_id.0));
        let at = allowed.iter().position(|(_, allowed)| *allowed == line);
        at.map(|at| allowed.swap_remove(at)).is_some()
    }

    /// Notes that a call was allowed that runs this command.
    pub(super) fn note_allowed(&mut self, tool_id: &ToolId, args: &Json) {
        if let Some(line) = self.offers_terminals().then(|| asked_line(args)).flatten() {
            self.terminals.allowed.push((tool_id.clone(), line));
        }
    }

    /// Carries out the answer to a question about a terminal; false if the question was about something else.
    pub(super) fn terminal_permission(
        &mut self,
        id: &str,
        answer: Decision,
        out: &mut Out,
    ) -> bool {
        let Some((terminal, tool_id)) = self.terminals.asked(id) else { return false };
        match answer {
            Decision::Allow => {
                terminal.stage = Stage::Starting;
                out.terminal(terminal.id, TerminalOrder::Start);
            }
            Decision::Deny => {
                terminal.refuse("the command was not permitted", out);
                if let Some(tool_id) = tool_id {
                    self.calls.denied(&tool_id);
                }
            }
        }
        true
    }

    /// Something has become of a terminal.
    pub(super) fn terminal_news(&mut self, id: TerminalId, news: TerminalNews<'_>, out: &mut Out) {
        let tells_call = self.calls.has_open_command();
        let Some(terminal) = self.terminals.with_id(id) else { return };
        match news {
            TerminalNews::Started if terminal.stage == Stage::Starting => {
                terminal.stage = Stage::Running;
                let name = name(terminal.id);
                out.stdin_line(&Say::answer(&terminal.request, json!({"terminalId": name})));
                // A command without a call is told by nothing else.
                let level = if tells_call { Level::Debug } else { Level::Info };
                let words = format!("belay runs `{}` for the agent", terminal.command);
                out.event(Event::notice(level, "terminal", words));
            }
            TerminalNews::NotStarted(why) => terminal.refuse(why, out),
            TerminalNews::Output { text, has_gap } => terminal.prints(text, has_gap, out),
            TerminalNews::Ended(exit) => terminal.ends(exit, out),
            TerminalNews::Started => {}
        }
    }

    /// The turn is cancelled: its commands are ended, and none is begun.
    pub(super) fn cancel_terminals(&mut self, out: &mut Out) {
        for terminal in &mut self.terminals.known {
            match terminal.stage {
                Stage::Asked { .. } => terminal.refuse("the turn was cancelled", out),
                Stage::Starting | Stage::Running => out.terminal(terminal.id, TerminalOrder::Kill),
                Stage::Ended(_) | Stage::Refused => {}
            }
        }
    }
}

impl Terminals {
    fn add(&mut self, id: &RawValue, command: TerminalCommand) -> Result<&mut Terminal, Refusal> {
        let open = self.known.iter().filter(|terminal| !terminal.is_released).count();
        if open >= OPEN_MAX {
            let words = format!("{OPEN_MAX} terminals are open; release some");
            return Err(Refusal::new(Refusal::INTERNAL, words));
        }
        if self.known.len() >= KNOWN_MAX
            && let Some(oldest) = self.known.iter().position(|terminal| terminal.is_released)
        {
            self.known.remove(oldest);
        }
        self.count += 1;
        let at = self.known.len();
        self.known.push(Terminal {
            id: TerminalId(self.count),
            command,
            request: id.to_owned(),
            stage: Stage::Starting,
            text: String::new(),
            is_cut: false,
            is_released: false,
            readers: Vec::new(),
            waiters: Vec::new(),
        });
        Ok(&mut self.known[at])
    }

    /// Carries out a wish that is about a terminal which exists.
    fn request(
        &mut self,
        wish: Wish,
        id: &RawValue,
        params: &str,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            #[serde(default, deserialize_with = "lenient")]
            terminal_id: String,
        }
        let named = decode::<Params>(params).unwrap_or_default().terminal_id;
        let theirs = |terminal: &&mut Terminal| {
            let has_begun = matches!(terminal.stage, Stage::Running | Stage::Ended(_));
            has_begun && !terminal.is_released && name(terminal.id) == named
        };
        let Some(terminal) = self.known.iter_mut().find(theirs) else {
            let words = format!("there is no terminal `{named}`");
            return Err(Refusal::new(Refusal::NOT_FOUND, words));
        };
        match wish {
            Wish::Create => {}
            Wish::Output if terminal.stage == Stage::Running => {
                terminal.readers.push(id.to_owned());
                out.terminal(terminal.id, TerminalOrder::Read);
            }
            Wish::Output => out.stdin_line(&Say::answer(id, terminal.output())),
            Wish::WaitForExit => match terminal.stage {
                Stage::Ended(exit) => out.stdin_line(&Say::answer(id, status(exit))),
                _ => terminal.waiters.push(id.to_owned()),
            },
            Wish::Kill => {
                if terminal.stage == Stage::Running {
                    out.terminal(terminal.id, TerminalOrder::Kill);
                }
                out.stdin_line(&Say::answer(id, json!({})));
            }
            Wish::Release => {
                terminal.is_released = true;
                out.terminal(terminal.id, TerminalOrder::Release);
                out.stdin_line(&Say::answer(id, json!({})));
            }
        }
        Ok(())
    }

    fn with_id(&mut self, id: TerminalId) -> Option<&mut Terminal> {
        self.known.iter_mut().find(|terminal| terminal.id == id)
    }

    /// The terminal that this question is about, and the call that it belongs to.
    fn asked(&mut self, id: &str) -> Option<(&mut Terminal, Option<ToolId>)> {
        self.known.iter_mut().find_map(|terminal| match &terminal.stage {
            Stage::Asked { permission_id, tool_id } if permission_id == id => {
                let tool_id = tool_id.clone();
                Some((terminal, tool_id))
            }
            _ => None,
        })
    }

    /// What a terminal has printed, by the name that the agent has for it.
    pub(in crate::acp) fn text(&self, named: &str) -> Option<&str> {
        self.named(named).map(|terminal| terminal.text.as_str())
    }

    /// With which code a command ended.
    pub(in crate::acp) fn exit_code(&self, named: &str) -> Option<i32> {
        match self.named(named)?.stage {
            Stage::Ended(Exit::Code(code)) => Some(code),
            _ => None,
        }
    }

    fn named(&self, named: &str) -> Option<&Terminal> {
        self.known.iter().find(|terminal| name(terminal.id) == named)
    }
}

impl Terminal {
    fn refuse(&mut self, why: &str, out: &mut Out) {
        if matches!(self.stage, Stage::Asked { .. } | Stage::Starting) {
            (self.stage, self.is_released) = (Stage::Refused, true);
            out.terminal(self.id, TerminalOrder::Release);
            out.stdin_line(&Say::refuse(&self.request, Refusal::INTERNAL, why));
        }
    }

    fn prints(&mut self, text: &str, has_gap: bool, out: &mut Out) {
        if has_gap {
            self.text.clear();
        }
        self.text.push_str(text);
        self.is_cut |= has_gap | keep_last_bytes(&mut self.text, self.command.kept_bytes());
        self.answer_readers(out);
    }

    fn ends(&mut self, exit: Exit, out: &mut Out) {
        self.stage = Stage::Ended(exit);
        self.answer_readers(out);
        for id in self.waiters.drain(..) {
            out.stdin_line(&Say::answer(&id, status(exit)));
        }
    }

    fn answer_readers(&mut self, out: &mut Out) {
        let readers = std::mem::take(&mut self.readers);
        for id in readers {
            out.stdin_line(&Say::answer(&id, self.output()));
        }
    }

    fn output(&self) -> Value {
        let mut output = json!({"output": self.text, "truncated": self.is_cut});
        if let Stage::Ended(exit) = self.stage {
            output["exitStatus"] = status(exit);
        }
        output
    }
}

impl Out {
    fn terminal(&mut self, id: TerminalId, order: TerminalOrder) {
        self.actions.push(Action::Terminal { id, order });
    }
}

/// What the agent calls a terminal.
fn name(id: TerminalId) -> String {
    format!("terminal-{}", id.0)
}

/// How a command ended, in the words of the protocol.
fn status(exit: Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({"exitCode": u32::try_from(code).ok(), "signal": null}),
        Exit::Signal(signal) => json!({"exitCode": null, "signal": signal_name(signal)}),
    }
}

/// The name of a signal that ends commands; its number has the same meaning everywhere for these.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return signal.to_string(),
    };
    name.to_owned()
}

/// A command as the arguments of a tool.
fn args(command: &TerminalCommand) -> Json {
    let mut args = json!({"command": command.to_string()});
    if let Some(cwd) = &command.cwd {
        args["cwd"] = json!(cwd.to_string_lossy());
    }
    for (name, value) in command.env() {
        args["env"][name] = json!(value);
    }
    Json::from(args)
}

/// The line that a command comes to, whichever shell it is given to.
fn line(command: &TerminalCommand) -> String {
    match command.args.as_slice() {
        [] => command.command.clone(),
        args => {
            let words: Vec<&str> =
                std::iter::once(&command.command).chain(args).map(String::as_str).collect();
            unwrapped(&words)
        }
    }
}

/// The same of a call that the agent has asked about.
fn asked_line(args: &Json) -> Option<String> {
    let args = args.to_value();
    match &args["command"] {
        Value::String(line) => Some(line.clone()),
        Value::Array(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            words.filter(|words| !words.is_empty()).map(|words| unwrapped(&words))
        }
        _ => None,
    }
}

fn unwrapped(words: &[&str]) -> String {
    match words {
        [shell, "-c" | "-lc", script] if is_shell(shell) => (*script).to_owned(),
        words => shell_words::join(words),
    }
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    matches!(name, "sh" | "bash" | "zsh" | "dash")
}
