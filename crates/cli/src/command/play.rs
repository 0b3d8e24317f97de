//! The hidden verb behind `belay demo`: plays a recorded stream as if it were the agent.
//!
//! It is started by the same code as a real agent and heard through the same pipes; only the words are old.

use crate::fail::{Fail, closed_pipe_is_fine};
use crate::terminal;
use clap::Args;
use serde_json::Value;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "__play";

/// A recorded run, and when its lines came.
struct Recorded {
    stdout: &'static str,
    meta: &'static str,
}

/// A run of Claude Code 2.1.329, recorded on 2026-11-21 (`recordings/README.md`).
const CLAUDE: Recorded = Recorded {
    stdout: include_str!("../../../../recordings/claude-code/2.1.329/f-partial/stdout.jsonl"),
    meta: include_str!("../../../../recordings/claude-code/2.1.329/f-partial/meta.json"),
};

/// A run of Codex 0.169.0 whose account had used up its limit, likewise.
const CODEX: Recorded = Recorded {
    stdout: include_str!("../../../../recordings/codex/0.169.0/k-usage-limit/stdout.jsonl"),
    meta: include_str!("../../../../recordings/codex/0.169.0/k-usage-limit/meta.json"),
};

/// Play a recorded run.
#[derive(Debug, Args)]
pub(crate) struct Play {
    /// What a real agent would be told; it tells which agent is meant.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Play {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let is_codex = self.args.first().is_some_and(|arg| arg == "exec");
        let recorded = if is_codex { CODEX } else { CLAUDE };
        let stdin = io::stdin();
        let mut prompt = String::new();
        stdin.lock().read_line(&mut prompt).map_err(Fail::local)?;
        let (began, times) = (Instant::now(), line_times(recorded.meta));
        for (n, line) in recorded.stdout.lines().enumerate() {
            let due = times.get(n).copied().unwrap_or_default();
            thread::sleep(due.saturating_sub(began.elapsed()));
            closed_pipe_is_fine(writeln!(terminal::stdout(), "{line}"))?;
        }
        // An agent goes when its input is closed.
        let mut rest = Vec::new();
        stdin.lock().read_to_end(&mut rest).map_err(Fail::local)?;
        Ok(u8::from(is_codex))
    }
}

/// When each line came, from the first one on.
fn line_times(meta: &str) -> Vec<Duration> {
    let meta: Value = serde_json::from_str(meta).unwrap_or_default();
    let times = meta["line_times_ms"].as_array().cloned().unwrap_or_default();
    let times: Vec<f64> = times.iter().filter_map(Value::as_f64).collect();
    let first = times.first().copied().unwrap_or(0.0);
    times.into_iter().map(|ms| Duration::from_secs_f64(((ms - first) / 1000.0).max(0.0))).collect()
}
