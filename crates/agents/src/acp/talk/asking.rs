//! What the agent asks for: permissions, and requests that nobody answers.

use super::late::Sign;
use super::raw::Raw;
use super::{Ask, Talk};
use crate::Permissions;
use crate::acp::rpc::Say;
use crate::acp::tools::{Asked, Calls};
use crate::protocol::Out;
use crate::wire::decode;
use agent_client_protocol_schema::v1::{
    PermissionOption, PermissionOptionKind, RequestPermissionRequest,
};
use belay_trace::{Decision, Event, Level, PermissionRequest, ToolKind};
use serde_json::json;
use serde_json::value::RawValue;

impl Talk {
    pub(super) fn agent_request(
        &mut self,
        method: &str,
        id: &RawValue,
        params: Option<&RawValue>,
        out: &mut Out,
    ) {
        if self.terminal_request(method, id, params, out) {
            return;
        }
        let asked = params.filter(|_| method == "session/request_permission");
        let asked = asked
            .and_then(|params| Some((params, decode::<RequestPermissionRequest>(params.get())?)));
        // Whatever is asked gets an answer: the agent waits for one.
        let Some((params, asked)) = asked else {
            out.stdin_line(&Say::no_such_method(id));
            let needed = ["session/", "fs/", "terminal/"];
            let level = match needed.iter().any(|lead| method.starts_with(lead)) {
                true => Level::Warn,
                // An agent's own extension, which it can do without.
                false => Level::Debug,
            };
            let words =
                format!("refused the agent's request `{method}`, which belay does not offer");
            out.event(Event::notice(level, "refused_request", words));
            self.heard_late(Sign::Report, out);
            return;
        };
        if self.session_id.as_deref().is_some_and(|ours| ours != asked.session_id.0.as_ref()) {
            return self.asked_by_another(id, params, &asked, out);
        }
        if !self.calls.knows(&asked.tool_call.tool_call_id.0) {
            self.end_denied(out);
            self.turn.calls(out);
        }
        self.tool_heard_late(&asked.tool_call.tool_call_id.0);
        self.heard_late(Sign::Work, out);
        let raw = Raw::read(params);
        let tool = self.calls.ask(&asked.tool_call, raw.for_call(), out);
        let permission_id = self.note_ask(id, &tool, asked.options);
        if self.cancel_sent {
            return self.cancel_asks(out);
        }
        // A server that the caller gives is one whose tools may be called, unless the run may only look.
        if tool.is_of_request && self.request.permissions != Some(Permissions::ReadOnly) {
            return self.permission(&permission_id, Decision::Allow, out);
        }
        out.event(wish(permission_id, tool));
    }

    /// Another session of the same agent asks, that of a subagent: its call is none of the turn's.
    fn asked_by_another(
        &mut self,
        id: &RawValue,
        params: &RawValue,
        asked: &RequestPermissionRequest,
        out: &mut Out,
    ) {
        let mut calls = Calls::new(self.preset.quirks, &self.request);
        let beside = Raw::read(params);
        let tool = calls.ask(&asked.tool_call, beside.for_call(), &mut Out::default());
        let permission_id = self.note_ask(id, &tool, asked.options.clone());
        match self.cancel_sent {
            true => self.cancel_asks(out),
            false => out.event(wish(permission_id, tool)),
        }
    }

    /// Remembers what is asked; returns the name under which it is answered.
    fn note_ask(&mut self, id: &RawValue, tool: &Asked, options: Vec<PermissionOption>) -> String {
        let options = options.into_iter();
        let options = options.map(|option| (option.option_id.0.to_string(), option.kind));
        let permission_id = id.get().trim_matches('"').to_owned();
        let command = (tool.kind == ToolKind::Execute).then(|| tool.args.clone());
        let ask = Ask {
            id: id.to_owned(),
            tool_id: tool.tool_id.clone(),
            command,
            options: options.collect(),
        };
        self.asks.insert(permission_id.clone(), ask);
        permission_id
    }

    pub(super) fn permission(&mut self, id: &str, answer: Decision, out: &mut Out) {
        if self.terminal_permission(id, answer, out) {
            return;
        }
        let Some(ask) = self.asks.remove(id) else { return };
        let option = |wanted: PermissionOptionKind| {
            let found = ask.options.iter().find(|(_, kind)| *kind == wanted);
            found.map(|(id, _)| id.clone())
        };
        let chosen = match answer {
            Decision::Allow => option(PermissionOptionKind::AllowOnce).or_else(|| {
                // For ever is more than once: only who has allowed everything has allowed that.
                let full = self.request.permissions == Some(Permissions::Full);
                option(PermissionOptionKind::AllowAlways).filter(|_| full)
            }),
            Decision::Deny => option(PermissionOptionKind::RejectOnce)
                .or_else(|| option(PermissionOptionKind::RejectAlways)),
        };
        if answer == Decision::Deny || chosen.is_none() {
            self.calls.denied(&ask.tool_id);
        } else if let Some(command) = &ask.command {
            self.note_allowed(&ask.tool_id, command);
        }
        let outcome = match chosen {
            Some(option) => json!({"outcome": "selected", "optionId": option}),
            None => json!({"outcome": "cancelled"}),
        };
        out.stdin_line(&Say::answer(&ask.id, json!({"outcome": outcome})));
    }

    pub(super) fn send_cancel(&mut self, out: &mut Out) {
        let Some(session_id) = self.session_id.as_ref().filter(|_| self.prompting) else { return };
        if !self.cancel_sent {
            self.cancel_sent = true;
            let params = json!({"sessionId": session_id});
            out.stdin_line(&Say::notify("session/cancel", params));
            self.cancel_asks(out);
            self.cancel_terminals(out);
        }
    }

    fn cancel_asks(&mut self, out: &mut Out) {
        for (_, ask) in self.asks.drain() {
            let result = json!({"outcome": {"outcome": "cancelled"}});
            out.stdin_line(&Say::answer(&ask.id, result));
        }
    }
}

fn wish(permission_id: String, tool: Asked) -> Event {
    Event::PermissionRequest(PermissionRequest {
        permission_id,
        tool_id: Some(tool.tool_id),
        name: tool.name,
        args: tool.args,
        kind: tool.kind,
        reason: None,
    })
}
