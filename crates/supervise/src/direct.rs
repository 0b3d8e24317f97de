//! A program as our own child, where there is no supervisor.

use crate::children::OwnChild;
use crate::{Exit, LeftProcess, Pipes, Start, children, mark, tree};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io;

/// An agent in a process group of its own.
#[derive(Debug)]
pub(crate) struct Direct {
    child: OwnChild,
    pub(crate) agent: Option<Pid>,
    mark: String,
}

impl Direct {
    pub(crate) fn start(start: &Start<'_>, pipes: Pipes) -> io::Result<Self> {
        let child = children::spawn(start.command(pipes))?;
        let agent = child.id();
        Ok(Self { child, agent, mark: mark(start.run_id) })
    }

    /// Waits for the agent to end. Can be called again after it was cancelled.
    pub(crate) async fn wait(&mut self) -> Exit {
        match self.child.wait().await {
            Ok(status) => status.into(),
            // Somebody else has waited for our child; it is gone all the same.
            Err(_) => Exit::Code(-1),
        }
    }

    /// Sends a signal to the agent, or to its group.
    pub(crate) fn signal(&self, signal: Signal, group: bool) {
        // The id of an agent that has been waited for may be somebody else's by now.
        if let Some(agent) = self.agent.filter(|_| self.child.is_ours()) {
            let _ =
                if group { kill_process_group(agent, signal) } else { kill_process(agent, signal) };
        }
    }

    /// Sends a signal to the agent and all that is below it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        if let Some(agent) = self.agent.filter(|_| self.child.is_ours()) {
            let below = tree::below(agent);
            let _ = kill_process_group(agent, signal);
            tree::signal(&below, signal);
        }
    }

    /// Kills the agent, what is in its process group, and all that they have started.
    pub(crate) fn kill(&self) {
        // Stopped first, so that it starts nothing while we look.
        self.signal_all(Signal::STOP);
        self.signal_all(Signal::KILL);
    }

    /// Ends what the agent left behind, as far as it can be found.
    pub(crate) async fn sweep(&self, leave_running: bool) -> Vec<LeftProcess> {
        if leave_running {
            tree::marked(&self.mark).into_iter().map(|pid| tree::describe(pid, false)).collect()
        } else {
            crate::kill_marked(&self.mark).await
        }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.child.start_kill();
    }
}
