//! Running a real CLI to its end.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use belay_testkit::model_server::{ModelServer, Tokens};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A run takes a second or two; one that takes this long hangs.
const RUN_MAX: Duration = Duration::from_secs(90);

/// The tokens of a reply in these tests: no two columns are alike.
pub(crate) const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// What a CLI printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) lines: Vec<Value>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs the CLI to its end.
    pub(crate) fn of(program: &Path, args: &[&str], env: &[(String, String)], cwd: &Path) -> Self {
        Self::interrupted(program, args, env, cwd, None)
    }

    /// Runs the CLI to its end with this on its stdin.
    pub(crate) fn fed(
        program: &Path,
        args: &[&str],
        env: &[(String, String)],
        cwd: &Path,
        input: &str,
    ) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        file.rewind().unwrap();
        Self::started(program, args, env, cwd, file.into(), None)
    }

    /// Runs the CLI and interrupts it once the server has a request, if there is a server.
    pub(crate) fn interrupted(
        program: &Path,
        args: &[&str],
        env: &[(String, String)],
        cwd: &Path,
        server: Option<&ModelServer>,
    ) -> Self {
        Self::started(program, args, env, cwd, Stdio::null(), server)
    }

    fn started(
        program: &Path,
        args: &[&str],
        env: &[(String, String)],
        cwd: &Path,
        stdin: Stdio,
        server: Option<&ModelServer>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env.iter().cloned()).current_dir(cwd);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        if let Some(server) = server {
            let since = Instant::now();
            while server.requests().is_empty() && since.elapsed() < RUN_MAX {
                thread::sleep(Duration::from_millis(5));
            }
            kill_process(pid, Signal::INT).unwrap();
        }
        let output = receiver.recv_timeout(RUN_MAX).unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("{} {args:?} did not end", program.display())
        });
        let stdout = String::from_utf8(output.stdout).unwrap();
        Self {
            // Only LF ends a line: U+2028 stands as it is in a string.
            lines: stdout
                .split_terminator('\n')
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            exit_code: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The lines with this `type`.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == kind).collect()
    }
}
