//! Talking with a CLI that stays: lines to its stdin, lines from its stdout.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer than a few seconds; what takes this long hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A running CLI, which is killed when the test is over.
#[derive(Debug)]
pub(crate) struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Talk {
    pub(crate) fn start(
        program: &Path,
        args: &[&str],
        env: &[(String, String)],
        cwd: &Path,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env.iter().cloned()).current_dir(cwd);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn say(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The next line of its stdout.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(WAIT_MAX).expect("it says something")
    }

    /// What it says up to the first message of which this is true, that one included.
    #[track_caller]
    pub(crate) fn hear(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard: Vec<Value> = Vec::new();
        while !heard.last().is_some_and(&wanted) {
            let line = self.lines.recv_timeout(WAIT_MAX);
            let line = line.unwrap_or_else(|_| panic!("it did not say that, but {heard:#?}"));
            heard.push(serde_json::from_str(&line).unwrap());
        }
        heard
    }

    /// How it ends when its stdin is closed.
    #[track_caller]
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.wait()
    }

    /// How it ends when it is killed.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.wait()
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < WAIT_MAX, "it did not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
