//! One agent process: started in one place, which knows how it ends.

pub(crate) mod ladder;
mod tree;

use belay_agents::Exit;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use self::tree::Tree;
use crate::limits::{READ_BYTES, READS_MAX};

/// A running agent process, its pipes drained from the first byte by tasks of their own.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Option<Pid>,
    stdin: Option<mpsc::UnboundedSender<Vec<u8>>>,
}

/// Something that came out of the process.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// One of the two pipes is at its end.
    End,
}

impl Process {
    /// Starts a program in a process group of its own. Beside the process comes what it prints, in order of
    /// arrival.
    pub(crate) fn start(
        program: &Path,
        args: &[OsString],
        env: Vec<(OsString, OsString)>,
        cwd: Option<&Path>,
    ) -> io::Result<(Self, mpsc::Receiver<Output>)> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env);
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        // A group of its own: a Ctrl-C at the terminal goes to belay, which asks the agent in its own words.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;

        let (inbox, output) = mpsc::channel(READS_MAX);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(drain(stdout, Output::Stdout, inbox.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(drain(stderr, Output::Stderr, inbox));
        }
        let stdin = child.stdin.take().map(|stdin| {
            let (sender, bytes) = mpsc::unbounded_channel();
            tokio::spawn(feed(stdin, bytes));
            sender
        });
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok((Self { child, pid, stdin }, output))
    }

    /// The process id.
    pub(crate) fn id(&self) -> Option<u32> {
        self.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
    }

    /// Writes to the agent's standard input, behind everything that was written before.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        if let Some(stdin) = &self.stdin {
            // An agent that has closed its input is about to say why.
            let _ = stdin.send(bytes);
        }
    }

    /// Closes the agent's standard input when all is written.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the process to end. Can be called again after it was cancelled.
    pub(crate) async fn wait(&mut self) -> Exit {
        match self.child.wait().await {
            Ok(status) => exit(status),
            // Somebody else has waited for our child; it is gone all the same.
            Err(_) => Exit::Code(-1),
        }
    }

    /// Sends a signal to the agent alone: its tools are its own to end.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // A process that is gone needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills the agent, what is in its process group, and all that they have started.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.pid {
            // Stopped first, so that it starts nothing while we look. The id of an agent that has been waited for
            // may be somebody else's by now.
            let tree = self.child.id().map(|_| {
                let _ = kill_process_group(pid, Signal::STOP);
                Tree::below(pid)
            });
            let _ = kill_process_group(pid, Signal::KILL);
            tree.unwrap_or_default().kill();
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

/// Reads a pipe to its end. It waits for nobody but the loop of the run, which itself waits for nobody.
async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    wrap: fn(Vec<u8>) -> Output,
    inbox: mpsc::Sender<Output>,
) {
    let mut buffer = vec![0; READ_BYTES];
    // A pipe that cannot be read is at its end.
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        if inbox.send(wrap(buffer[..n].to_vec())).await.is_err() {
            return;
        }
    }
    let _ = inbox.send(Output::End).await;
}

/// Writes to the agent's input until nobody has anything more to say, or it no longer listens.
async fn feed(mut stdin: ChildStdin, mut bytes: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = bytes.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}
