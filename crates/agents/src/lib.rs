//! How to start each coding agent, and how to talk with it.
//!
//! Everything here is pure: no process is started, no file read, no clock asked. An [`Agent`] describes a
//! command ([`Launch`]) and hands out a [`Protocol`], a state machine that is fed what the agent printed and
//! answers with events and with bytes for the agent's standard input. So a recording replays in microseconds,
//! an interrupt is a unit test, and whoever runs agents in a sandbox of their own needs this crate alone.
//!
//! ```
//! use belay_agents::{Agent, Claude, RunRequest, StreamParser, Transport};
//!
//! let request = RunRequest::new("it's fine").model("sonnet");
//! let claude = Claude::new();
//! // A line for `sh -c`, with the prompt on standard input.
//! assert!(claude.print_command(&request)?.starts_with(r"printf %s 'it'\''s fine' | claude "));
//!
//! let mut parser = StreamParser::new(&claude, &request, Transport::Print);
//! let events = parser.parse_stream_line(r#"{"type":"system","subtype":"init","session_id":"s1"}"#);
//! assert_eq!(events[0].event.type_name(), "session_started");
//! # Ok::<(), belay_agents::Unsupported>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod account;
#[cfg(feature = "acp")]
mod acp;
mod agent;
mod background;
mod capabilities;
mod claude;
mod cloud;
mod codex;
mod copilot;
mod docker_agent;
mod exit;
pub mod failures;
mod framing;
pub mod harness;
mod hold_back;
mod idle;
mod image;
mod last_words;
mod launch;
mod lines;
mod login;
mod mcp;
mod mode;
mod news;
mod opencode;
mod parser;
mod pi;
mod printing;
mod protocol;
mod provider_error;
mod quiet;
mod registry;
mod replay;
mod request;
pub mod reset_words;
mod session;
mod settings_login;
mod shape;
mod spoken;
mod stderr;
mod steers;
mod terminal;
mod verdict;
mod waits;
mod wire;
mod witness;

pub use crate::account::{Account, AccountPart};
#[cfg(feature = "acp")]
pub use crate::acp::{
    Acp, AcpForm, Heard, Inspection, Learned, ModesForm, Readiness, SessionLogForm, UsageForm,
    UsageOf,
};
pub use crate::agent::{Agent, Care, FullNeeds, TellsTools, Transport, Unsupported};
pub use crate::capabilities::{Capabilities, Capability, Support};
pub use crate::claude::Claude;
pub use crate::cloud::{Cloud, Need};
pub use crate::codex::Codex;
pub use crate::copilot::Copilot;
pub use crate::docker_agent::DockerAgent;
pub use crate::hold_back::HoldBack;
pub use crate::idle::{BadIdleLimits, IdleLimits};
pub use crate::image::{Image, NotAnImage};
pub use crate::launch::{
    EnvPolicy, Launch, PrivateFile, Server, StopPlan, shell_escape, shell_escape_path,
};
pub use crate::lines::{Line, LineSplitter};
pub use crate::login::Login;
pub use crate::mcp::McpServer;
pub use crate::mode::{EffectiveMode, Unreadable, UserConfig, WithoutProject};
pub use crate::opencode::OpenCode;
pub use crate::parser::StreamParser;
pub use crate::pi::Pi;
pub use crate::printing::{Form, Printing};
pub use crate::protocol::{
    Action, AttemptEnd, Emitted, Exit, HttpId, Input, Out, Protocol, TimerId,
};
pub use crate::registry::{AGENTS, Candidate, UnknownAgent};
pub use crate::replay::Replay;
pub use crate::request::{
    Background, BackgroundParseError, Effort, Permissions, RunRequest, Session, WhenInUse,
};
pub use crate::session::{Response, SessionFiles, SessionNotes, Tokens};
pub use crate::settings_login::SettingsLogin;
pub use crate::shape::{New, Shapes};
pub use crate::spoken::spoken_duration;
pub use crate::terminal::{
    TerminalCommand, TerminalId, TerminalNews, TerminalOrder, keep_last_bytes,
};
pub use crate::witness::{Doubt, Standing};
