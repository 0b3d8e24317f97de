//! A terminal that is lent to another program, and put in order when that ends.

#![expect(clippy::disallowed_methods, reason = "the terminal of another program is put in order")]

use crate::fail::Fail;
use belaykit::Interactive;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// What the terminal was like before.
pub(super) struct Terminal {
    before: Termios,
}

/// Switches off what a terminal program switches on and, killed, did not switch off: the other screen, the hidden
/// cursor, pasted text in brackets, the mouse, the keyboard's long names, colours. Each is without effect where
/// it is off already.
const IN_ORDER: &str = "\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\
    \x1b[?1004l\x1b[<u\x1b[>4;0m\x1b[0m";

impl Terminal {
    pub(super) fn remember() -> Result<Self, Fail> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return Err(Fail::usage("there is no terminal for the agent to open its program in")
                .hint("belay run \"PROMPT\" works without one"));
        }
        let before = tcgetattr(&stdin)
            .map_err(|error| Fail::local(format!("cannot ask the terminal: {error}")))?;
        Ok(Self { before })
    }

    /// Runs a program to its end; the number is its exit code, or 128 and the signal that ended it.
    pub(super) async fn lend(self, interactive: &mut Interactive) -> Result<u8, Fail> {
        let unheard = |error| Fail::local(format!("cannot listen for signals: {error}"));
        // What is typed goes to the program, which is in our process group: it alone decides what Ctrl-C means.
        let typed = [SignalKind::interrupt(), SignalKind::quit()];
        let _typed: Vec<_> =
            typed.into_iter().map(signal).collect::<io::Result<_>>().map_err(unheard)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(unheard)?;

        let command = &mut interactive.command;
        let child = belaykit_supervise::spawn_foreground(command).map_err(|error| {
            let program = command.get_program().to_string_lossy();
            Fail::local(format!("cannot start {program}: {error}"))
        })?;
        interactive.started(child.id());
        let pid = Pid::from_child(&child);
        // On a thread that nobody waits for: the program may never end.
        let (sender, mut ended) = tokio::sync::oneshot::channel();
        thread::Builder::new()
            .name("belay-wait".to_owned())
            .spawn(move || sender.send(wait(pid)))
            .map_err(|error| Fail::local(format!("cannot wait for the agent: {error}")))?;
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                // It may be gone already; then the wait is over.
                Some(()) = terminate.recv() => drop(kill_process(pid, Signal::TERM)),
                Some(()) = hangup.recv() => drop(kill_process(pid, Signal::HUP)),
            }
        };
        let status = ended
            .map_err(Fail::local)?
            .map_err(|error| Fail::local(format!("cannot tell how the agent ended: {error}")))?;
        self.put_in_order(status);
        let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }

    /// A terminal that is gone meanwhile needs no order.
    fn put_in_order(self, status: WaitStatus) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
        if status.signaled() {
            let mut stdout = io::stdout();
            let _ = stdout.write_all(IN_ORDER.as_bytes()).and_then(|()| stdout.flush());
        }
    }
}

/// Waits for the end of a program. When that stands still, by a Ctrl-Z of its own, so do we: the shell looks at us.
fn wait(pid: Pid) -> rustix::io::Result<WaitStatus> {
    loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => {
                let _ = kill_process(getpid(), Signal::STOP);
                // Here we are again, after `fg`, which wakes the whole group.
            }
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
