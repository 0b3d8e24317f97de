//! From the first word to the prompt: who the agent is, its session, and what is to be set in it.

use super::{Asked, HISTORY_QUIET, Heard, Talk};
use crate::acp::options::PROTOCOL_VERSION;
use crate::acp::options::{Listed, Opened};
use crate::acp::rpc::{Message, RpcError};
use crate::acp::{classify, mode_names};
use crate::protocol::{Out, TimerId};
use crate::wire::decode;
use crate::{McpServer, Permissions, Session};
use belay_trace::{Event, Failure, FailureKind, Level, SessionStarted};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

impl Talk {
    /// The answer to a request of ours; a stream recorded with another client has answers to others.
    pub(super) fn answer(&mut self, id: &RawValue, message: &Message<'_>, out: &mut Out) {
        let number = id.get().parse().ok();
        let ours = number.and_then(|number: u32| self.asked.remove(&number));
        let result = message.result.map_or("null", RawValue::get);
        let Some(asked) = ours.or_else(|| self.recognised(message)) else {
            let words = format!("an answer to the request {} of somebody else", id.get());
            out.event(Event::notice(Level::Debug, "answer", words));
            return;
        };
        if let Some(error) = &message.error {
            return self.refused(asked, error, out);
        }
        if asked != Asked::Prompt {
            // The session opens.
            out.progress();
        } else if self.has_ended && self.heard == Heard::Live {
            let words = "the answer to a prompt whose turn had ended";
            out.event(Event::notice(Level::Warn, "late", words));
            return;
        }
        match asked {
            Asked::Initialize => {
                self.initialized = true;
                self.hello = decode(result).unwrap_or_default();
                if let Err(version) = self.hello.version() {
                    let words = format!(
                        "the agent speaks version {version} of the Agent Client Protocol, and belay version \
                         {PROTOCOL_VERSION}"
                    );
                    return self.fail(FailureKind::VersionUnsupported, &words, out);
                }
                if self.heard == Heard::Live {
                    self.open_session(out);
                }
            }
            Asked::Authenticate => self.new_session(out),
            Asked::List => self.listed(&decode(result).unwrap_or_default(), out),
            Asked::New => {
                let opened: Opened = decode(result).unwrap_or_default();
                match opened.session_id.clone() {
                    Some(session_id) => self.opened(session_id, &opened, out),
                    None => self.fail(FailureKind::Protocol, "the agent opened no session", out),
                }
            }
            Asked::Load => {
                let opened: Opened = decode(result).unwrap_or_default();
                if let Some(session_id) = self.session_id.clone() {
                    self.opened(session_id, &opened, out);
                }
            }
            Asked::Mode | Asked::Model => self.set_next(out),
            Asked::Prompt => self.prompt_answered(decode(result).unwrap_or_default(), out),
        }
    }

    /// What is answered with this id; nothing is forgotten by that.
    pub(super) fn asked_by(&self, id: &RawValue, message: &Message<'_>) -> Option<Asked> {
        let ours = id.get().parse().ok().and_then(|number: u32| self.asked.get(&number));
        ours.copied().or_else(|| self.recognised(message))
    }

    /// In a saved stream the questions are missing: an answer is known by what is in it.
    fn recognised(&self, message: &Message<'_>) -> Option<Asked> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Any<'a> {
            #[serde(borrow, default)]
            protocol_version: Option<&'a RawValue>,
            #[serde(borrow, default)]
            session_id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            stop_reason: Option<&'a RawValue>,
        }
        if self.heard == Heard::Live {
            return None;
        }
        if message.error.is_some() {
            return Some(if self.session_id.is_some() { Asked::Prompt } else { Asked::New });
        }
        let any: Any<'_> = decode(message.result?.get())?;
        match (any.protocol_version, any.session_id, any.stop_reason) {
            (Some(_), _, _) => Some(Asked::Initialize),
            (_, Some(_), _) => Some(Asked::New),
            (_, _, Some(_)) => Some(Asked::Prompt),
            _ => None,
        }
    }

    fn refused(&mut self, asked: Asked, error: &RpcError, out: &mut Out) {
        let mut failure = classify::of_error(self.preset.failures, error);
        match asked {
            Asked::New if error.code == classify::AUTH_REQUIRED && self.authenticate(out) => return,
            Asked::New | Asked::Load if error.code == classify::AUTH_REQUIRED => {
                failure.message = self.how_to_log_in(&failure.message);
            }
            // Without a session there was no request to a model: what was asked for is not to be had.
            Asked::Initialize
            | Asked::List
            | Asked::New
            | Asked::Load
            | Asked::Mode
            | Asked::Model
                if failure.kind == FailureKind::Unknown
                    || !matches!(failure.kind, FailureKind::Auth) =>
            {
                failure.kind = FailureKind::InvalidRequest;
            }
            Asked::Prompt if self.cancel_sent => {
                failure = Failure::new(FailureKind::Interrupted, "interrupted");
            }
            _ => {}
        }
        self.end_turn(Some(failure), out);
    }

    /// Uses a way to log in that needs nobody; false if there is none, or if it was tried.
    fn authenticate(&mut self, out: &mut Out) -> bool {
        let method =
            self.hello.auth_methods.iter().position(|method| {
                method.kind.as_deref() == Some("env_var") && !method.id.is_empty()
            });
        let Some(at) = method.filter(|_| self.heard == Heard::Live) else { return false };
        // A second refusal must not begin it again.
        let method = self.hello.auth_methods.swap_remove(at);
        self.ask(Asked::Authenticate, "authenticate", json!({"methodId": method.id}), out);
        true
    }

    fn how_to_log_in(&self, message: &str) -> String {
        let ways = self.hello.auth_methods.iter().map(|method| match method.name.as_str() {
            "" => method.id.as_str(),
            name => name,
        });
        let ways = ways.collect::<Vec<_>>().join(", ");
        let end = if ways.is_empty() { String::new() } else { format!("; it offers: {ways}") };
        format!("{message} (log in with {} itself{end})", self.preset.name)
    }

    fn open_session(&mut self, out: &mut Out) {
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        let http = self.request.mcp_servers.values().any(|s| matches!(s, McpServer::Http { .. }));
        let capabilities = &self.hello.agent_capabilities;
        if http && !capabilities.mcp_capabilities.http {
            let words = "this agent takes no MCP server over HTTP";
            return self.fail(FailureKind::InvalidRequest, words, out);
        }
        if !self.request.images.is_empty() && !capabilities.prompt_capabilities.image {
            return self.fail(FailureKind::InvalidRequest, "this agent takes no images", out);
        }
        match self.request.session.clone() {
            Session::New => self.new_session(out),
            Session::Resume(id) => self.load(id, out),
            Session::Continue if capabilities.session_capabilities.list.is_some() => {
                let params = json!({"cwd": self.cwd()});
                self.ask(Asked::List, "session/list", params, out);
            }
            Session::Continue | Session::Fork(_) => {
                let words = "this agent does not list its sessions: name the one to go on in";
                self.fail(FailureKind::InvalidRequest, words, out);
            }
        }
    }

    fn new_session(&mut self, out: &mut Out) {
        let params = json!({"cwd": self.cwd(), "mcpServers": self.servers()});
        self.ask(Asked::New, "session/new", params, out);
    }

    fn listed(&mut self, listed: &Listed, out: &mut Out) {
        let sessions = listed.sessions.iter().filter(|session| !session.session_id.is_empty());
        // Times of one form, so that their order is that of their letters.
        let latest = sessions.max_by_key(|session| session.updated_at.clone());
        match latest.map(|session| session.session_id.clone()) {
            Some(id) => self.load(id, out),
            None => {
                self.fail(FailureKind::InvalidRequest, "there is no session to continue", out);
            }
        }
    }

    /// Opens a session that is there already; rather without its history, which is known.
    fn load(&mut self, session_id: String, out: &mut Out) {
        let capabilities = &self.hello.agent_capabilities;
        let method = if capabilities.session_capabilities.resume.is_some() {
            "session/resume"
        } else if capabilities.load_session {
            "session/load"
        } else {
            let words = "this agent cannot go on in a session";
            return self.fail(FailureKind::InvalidRequest, words, out);
        };
        let params =
            json!({"sessionId": session_id, "cwd": self.cwd(), "mcpServers": self.servers()});
        self.session_id = Some(session_id);
        self.ask(Asked::Load, method, params, out);
    }

    fn cwd(&self) -> String {
        let cwd = self.request.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
        cwd.unwrap_or_else(|| ".".to_owned())
    }

    fn servers(&self) -> Vec<Value> {
        let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
            let pair = |(name, value)| json!({"name": name, "value": value});
            pairs.iter().map(pair).collect::<Vec<_>>()
        };
        let servers = self.request.mcp_servers.iter().map(|(name, server)| match server {
            McpServer::Command { command, args, env } => {
                json!({"name": name, "command": command, "args": args, "env": pairs(env)})
            }
            McpServer::Http { url, headers } => {
                json!({"type": "http", "name": name, "url": url, "headers": pairs(headers)})
            }
        });
        servers.collect()
    }

    fn opened(&mut self, session_id: String, opened: &Opened, out: &mut Out) {
        self.session_id = Some(session_id.clone());
        self.meter.window = opened.window();
        self.turn.model = opened.model();
        self.greeting.clone_from(&opened.meta.pi_acp.startup_info);
        let of_thinking = self.preset.quirks.modes_are_of_thinking;
        let current = opened.current_mode().filter(|_| !of_thinking);
        let mode = self.mode(opened);
        let agent = self.hello.agent_info.as_ref();
        out.event(Event::SessionStarted(SessionStarted {
            session_id: session_id.clone(),
            model: self.turn.model.clone(),
            agent_version: agent.map(|agent| agent.version.clone()),
            permission_mode: mode.clone().ok().flatten().or(current.map(str::to_owned)),
            cwd: self.request.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()),
            tools: Vec::new(),
        }));
        if self.heard == Heard::Saved {
            return;
        }
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        match mode {
            Err(words) => return self.fail(FailureKind::InvalidRequest, &words, out),
            Ok(Some(mode)) => {
                if let Some(words) = self.untried_mode(&mode) {
                    out.event(Event::notice(Level::Warn, "agent_mode", words));
                }
                let (method, params) = opened.set_mode(&session_id, &mode);
                self.settings.push((Asked::Mode, method, params));
            }
            Ok(None) => {
                if let Some(words) = current.and_then(|mode| self.laxer_mode(mode, opened)) {
                    out.event(Event::notice(Level::Warn, "agent_mode", words));
                }
            }
        }
        let model = self.model.clone().filter(|_| self.preset.model_flag.is_none());
        if let Some(model) = model {
            let setting = match opened.model_option(Some(&model)) {
                Some(option) => {
                    let params =
                        json!({"sessionId": session_id, "configId": option.id, "value": model});
                    Some(("session/set_config_option", params))
                }
                None => opened.has_models().then(|| {
                    ("session/set_model", json!({"sessionId": session_id, "modelId": model}))
                }),
            };
            let Some((method, params)) = setting else {
                let words = "this agent offers no choice of model: set it where the agent keeps it";
                return self.fail(FailureKind::InvalidRequest, words, out);
            };
            self.turn.model = Some(model);
            self.settings.push((Asked::Model, method, params));
        }
        self.settings.reverse();
        self.set_next(out);
    }

    /// The mode that is to be set, or why there is none.
    fn mode(&self, opened: &Opened) -> Result<Option<String>, String> {
        let offered = opened.offered_modes();
        let list = || match offered.as_slice() {
            [] => "it offers none".to_owned(),
            offered => format!("it offers {}", offered.join(", ")),
        };
        let permissions = self.request.permissions;
        if let Some(mode) = &self.request.agent_mode {
            let permits = mode_names::permits(mode);
            return match (permits.zip(permissions), offered.contains(&mode.as_str())) {
                (_, false) => Err(format!("the agent has no mode `{mode}`: {}", list())),
                (Some((permits, asked)), _) if permits > asked => {
                    Err(format!("the agent's mode `{mode}` permits more than {asked}"))
                }
                _ => Ok(Some(mode.clone())),
            };
        }
        let modes = self.preset.modes;
        if let Some(mode) = modes.of(permissions) {
            return match offered.contains(&mode) {
                true => Ok(Some(mode.to_owned())),
                false => Err(format!("the agent does not offer the mode `{mode}`")),
            };
        }
        let Some(permissions) = permissions.filter(|_| modes.by_name) else { return Ok(None) };
        match mode_names::choose(&offered, permissions) {
            Some(mode) => Ok(Some(mode.to_owned())),
            // What it asks is allowed.
            None if permissions == Permissions::Full => Ok(None),
            None => Err(format!(
                "the agent has no mode that is called as one for {permissions}: {}; choose one by its id, or permit \
                 everything",
                list()
            )),
        }
    }

    /// What to say of a mode that is taken by its name to keep the agent from something.
    fn untried_mode(&self, mode: &str) -> Option<String> {
        let is_chosen = self.preset.modes.by_name && self.request.agent_mode.is_none();
        let permissions = self.request.permissions.filter(|asked| *asked < Permissions::Full)?;
        is_chosen.then(|| {
            format!(
                "the agent's mode `{mode}` is taken for {permissions} by its name; nobody has tried whether it keeps it"
            )
        })
    }

    /// What to say of a session's own mode that permits more unasked than anybody has asked for.
    fn laxer_mode(&self, mode: &str, opened: &Opened) -> Option<String> {
        let permits = mode_names::permits(mode)?;
        if permits <= self.request.permissions.unwrap_or(Permissions::Ask) {
            return None;
        }
        let what = match permits {
            Permissions::Full => "everything",
            _ => "edits",
        };
        let others = opened.offered_modes().into_iter().filter(|other| *other != mode);
        let others = others.collect::<Vec<_>>().join(", ");
        Some(format!(
            "the agent runs in its own mode `{mode}`, which allows {what} unasked; it also has {others}"
        ))
    }

    /// Sets what is still to be set, and then speaks.
    fn set_next(&mut self, out: &mut Out) {
        if self.has_ended {
            return;
        }
        if let Some((asked, method, params)) = self.settings.pop() {
            return self.ask(asked, method, params, out);
        }
        if self.preset.quirks.history_after_load && self.request.session != Session::New {
            return self.wait_for_history(out);
        }
        self.prompt(out);
    }

    /// Nothing says when such a history is told: what comes after the prompt would be taken for its answer.
    pub(super) fn wait_for_history(&mut self, out: &mut Out) {
        let number = self.next_timer();
        self.settling = Some(number);
        out.timer(TimerId(number), HISTORY_QUIET);
    }
}
