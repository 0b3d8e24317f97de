//! A program that plays an agent: it prints a recorded stream, and breaks it as it is told.
//!
//! The binary `fake-agent` ignores its arguments. What it does stands in `<argv[0]>.play.json`, so
//! that a test places it under an agent's name and the runner starts it like the real one.
//!
//! ```no_run
//! use belay_testkit::fake_agent::{Exit, FakeAgent, Play};
//!
//! let dir = tempfile::tempdir()?;
//! let play = Play::lines([r#"{"type":"system"}"#]).exit(Exit::Code(1));
//! let claude = FakeAgent::new(dir.path(), "claude", &play)?;
//! std::process::Command::new(claude.program()).arg("--anything").status()?;
//! assert_eq!(claude.log().argv(), ["--anything"]);
//! # std::io::Result::Ok(())
//! ```

mod dialogue;
mod grandchild;
mod log;
mod place;
mod play;
mod printer;
mod signals;
mod stage;
mod stdin;
mod stop;

pub use log::{Log, LogLine};
pub(crate) use place::binary;
pub use place::{FakeAgent, fake_agent_binary, supervisor};
pub use play::{
    Child, Exit, Garbage, Grandchild, Pace, Pause, Place, Play, Signal, Source, Stop, Until,
    WaitForStdin,
};
pub use stage::perform;
