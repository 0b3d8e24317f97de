#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod answer_file;
mod aside;
pub mod blocking;
pub mod breaker;
mod client;
pub mod control;
pub mod doctor;
mod environment;
mod error;
mod failover;
mod feed;
mod handover;
mod http;
mod images;
mod interactive;
mod interpreter;
mod journal;
mod json_text;
mod late_prompt;
pub mod limits;
mod mode_bound;
pub mod observe;
mod price;
mod private_files;
mod program;
mod prompt_template;
mod redact;
mod reset;
mod run;
mod runner;
mod schema;
mod session_lock;
mod temp_folder;
mod trace_context;
mod traces;

#[cfg(any(feature = "slack", feature = "webhook"))]
pub mod notify {
    //! Telling people of runs: Slack, webhooks, ntfy, Discord, and programs of one's own.
    pub use crate::observe::notify::{Events, Notify, NotifyError};
}
#[cfg(feature = "slack")]
pub mod slack {
    //! Slack, by the names of the seed.
    pub use crate::observe::slack::{Config, Events, Notifier};
}

pub mod driver {
    //! An agent's stream, read without starting anything.
    //!
    //! ```
    //! use belaykit::driver::StreamParser;
    //! use belaykit::{Claude, RunRequest, Transport};
    //!
    //! let mut parser = StreamParser::new(&Claude::new(), &RunRequest::new(""), Transport::Print);
    //! let line = r#"{"type":"system","subtype":"init","session_id":"s1"}"#;
    //! assert_eq!(parser.parse_stream_line(line)[0].event.type_name(), "session_started");
    //! ```
    pub use belay_agents::{AttemptEnd, Emitted, Exit, Line, LineSplitter, StreamParser};
}
pub mod compat {
    //! What programs written for `rumpl/harness` call and read.
    pub use belay_agents::harness;
}

pub use belaykit_supervise::init;

pub use crate::client::{Client, Installed, Plan};
pub use crate::environment::{EnvMode, Environment};
pub use crate::error::Error;
pub use crate::failover::{BadRule, OnEffects, OnLimit, Policy, Rule};
pub use crate::handover::handoff;
pub use crate::interactive::Interactive;
pub use crate::journal::Durability;
pub use crate::json_text::{NoJson, extract_json, extract_json_array, strip_code_fences};
#[cfg(feature = "freeplay")]
pub use crate::observe::freeplay::{Freeplay, FreeplayNeeds};
pub use crate::observe::logger::{Logger, Part};
#[cfg(feature = "otlp")]
pub use crate::observe::otlp::{BadOtlp, Otlp, OtlpExport, OtlpSettings};
pub use crate::observe::trace_dir::TraceDir;
pub use crate::observe::trace_file::{Settled, TraceFileError, TraceFiles};
pub use crate::observe::{Observer, ObserverError};
pub use crate::price::{BadPrices, Prices};
pub use crate::private_files::remove_left_private_files;
pub use crate::prompt_template::{BadTemplate, PromptTemplate};
pub use crate::redact::{BadPattern, LineRedaction, Redaction};
pub use crate::run::{Interrupter, Outcome, Run};
pub use crate::trace_context::TraceContext;
pub use crate::traces::{NotObserved, Phase, Trace, TraceSession};
pub use belay_agents::{
    AGENTS, Account, Agent, Background, BackgroundParseError, BadIdleLimits, Candidate,
    Capabilities, Capability, Care, Claude, Codex, Copilot, DockerAgent, EffectiveMode, Effort,
    Form, HoldBack, IdleLimits, Image, McpServer, OpenCode, Permissions, Pi, Printing, Response,
    RunRequest, Session, Support, Tokens, Transport, UnknownAgent, Unsupported, WhenInUse,
    shell_escape, shell_escape_path,
};
#[cfg(feature = "acp")]
pub use belay_agents::{Acp, AcpForm};
pub use belay_trace as trace;
pub use belay_trace::{
    CompletionRecord, Decision, Event, Failure, FailureKind, PermissionRequest, Record,
    TraceConfig, Usage,
};
