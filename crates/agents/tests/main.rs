//! What drivers make of what agents print: of recordings, of what was done to them on purpose, and of dialogues.
//!
//! One program for all: linking each would take longer than running it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests read recordings, start shells and may panic"
)]

mod accounting;
mod acp;
mod acp_known;
mod acp_terminals;
mod acp_unmeasured;
#[path = "support/answers.rs"]
mod answers;
mod bytes;
#[path = "support/count.rs"]
mod count;
mod deep;
mod dialogue;
mod docker_agent;
mod docker_agent_failures;
mod docker_agent_recordings;
mod failure_tables;
mod failures;
mod found;
mod framing;
mod garbage;
mod harness;
mod helpers;
mod inserts;
mod known_shapes;
mod last_words;
mod limits;
mod mcp_servers;
mod opencode;
mod pi;
mod pieces;
mod printed;
mod printing;
mod progress;
mod purity;
mod quoted_failures;
#[path = "support/recorded.rs"]
mod recorded;
mod recordings;
#[path = "support/script.rs"]
mod script;
mod session_files;
mod shapes;
mod shell;
#[path = "support/shown.rs"]
mod shown;
mod side_by_side;
mod strays;
mod truncation;
mod verdicts;
#[path = "support/watch.rs"]
mod watch;
