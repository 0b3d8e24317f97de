//! The MCP servers that did not start: Claude's init line names them, and it says why when it is asked.

use super::wire::{ControlAsk, Say};
use crate::mcp;
use crate::protocol::Out;
use crate::wire::lenient;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How often Claude is asked of servers that are still starting: once a response, for so many responses.
const ASKED_MAX: u32 = 4;

/// How a request of ours for the servers is named.
const REQUEST: &str = "belay-mcp-";

/// What is known of the servers.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// Those that did not start and were not told yet, with Claude's word for it.
    untold: BTreeMap<String, String>,
    told: Vec<String>,
    /// Some were still starting when Claude said so last.
    are_starting: bool,
    asked: u32,
}

/// A server in the init line, or in an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    error: Option<String>,
}

/// An answer to a request of ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    #[serde(rename = "mcpServers", deserialize_with = "lenient")]
    servers: Vec<Server>,
}

impl Servers {
    /// Takes the servers of an init line; asks for the reasons where somebody answers.
    pub(super) fn init(&mut self, servers: Vec<Server>, can_ask: bool, out: &mut Out) {
        self.note(servers, out);
        match can_ask && (self.are_starting || !self.untold.is_empty()) {
            true => self.ask(out),
            false => self.tell(out),
        }
    }

    /// A response begins: what was still starting may have started, or not.
    pub(super) fn response_began(&mut self, can_ask: bool, out: &mut Out) {
        if can_ask && self.are_starting {
            self.ask(out);
        }
    }

    /// Takes an answer of Claude's; false if it answers no request for servers.
    pub(super) fn answered(
        &mut self,
        request: &str,
        status: Option<Status>,
        out: &mut Out,
    ) -> bool {
        if !request.starts_with(REQUEST) {
            return false;
        }
        self.note(status.unwrap_or_default().servers, out);
        self.tell(out);
        true
    }

    /// Tells those of which no answer has said why.
    pub(super) fn tell(&mut self, out: &mut Out) {
        for (name, status) in std::mem::take(&mut self.untold) {
            self.told.push(name.clone());
            out.event(mcp::not_started(&name, &status));
        }
    }

    fn ask(&mut self, out: &mut Out) {
        if self.asked < ASKED_MAX {
            self.asked += 1;
            let request_id = &format!("{REQUEST}{}", self.asked);
            out.stdin_line(&Say::ControlRequest { request_id, request: ControlAsk::McpStatus });
        }
    }

    fn note(&mut self, servers: Vec<Server>, out: &mut Out) {
        self.are_starting = servers.iter().any(|server| server.status == "pending");
        for Server { name, status, error } in servers {
            if !matches!(status.as_str(), "failed" | "needs-auth") || self.told.contains(&name) {
                continue;
            }
            match error.filter(|error| !error.trim().is_empty()) {
                Some(error) => {
                    self.untold.remove(&name);
                    out.event(mcp::not_started(&name, &error));
                    self.told.push(name);
                }
                None => drop(self.untold.insert(name, status)),
            }
        }
    }
}
