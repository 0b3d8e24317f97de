//! Signals that are ignored, waited for, or died of.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::{Signal as Native, getpid, kill_process};
use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSEGV, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::Signal;

/// How long a signal to ourselves may take; it is immediate on every system we know.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// Makes these signals do nothing.
///
/// By a handler and not by SIG_IGN, since a child would inherit the latter.
pub(crate) fn ignore(signals: &[Signal]) -> io::Result<()> {
    for signal in signals {
        flag::register(number(*signal), Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Signals that are caught from now on and can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Caught(Vec<(Signal, Signals)>);

impl Caught {
    /// Starts to catch this signal; a second call for the same one does nothing.
    pub(crate) fn catch(&mut self, signal: Signal) -> io::Result<()> {
        if self.0.iter().all(|(caught, _)| *caught != signal) {
            self.0.push((signal, Signals::new([number(signal)])?));
        }
        Ok(())
    }

    /// Returns when the signal has come, at once if it came earlier.
    pub(crate) fn wait(&mut self, signal: Signal) {
        let caught = self.0.iter_mut().find(|(caught, _)| *caught == signal);
        let (_, signals) = caught.expect("the signals of the pauses are caught from the start");
        signals.forever().next();
    }
}

/// Ends this process by a signal, even by one that it ignores.
pub(crate) fn die_of(signal: Signal) -> io::Error {
    let sent = match signal {
        Signal::Kill => kill_process(getpid(), Native::KILL).map_err(io::Error::from),
        other => low_level::emulate_default_handler(number(other)),
    };
    std::thread::sleep(DEATH_MAX);
    sent.err().unwrap_or_else(|| io::Error::other(format!("survived {signal:?}")))
}

fn number(signal: Signal) -> i32 {
    match signal {
        Signal::Hup => SIGHUP,
        Signal::Int => SIGINT,
        Signal::Quit => SIGQUIT,
        Signal::Abrt => SIGABRT,
        Signal::Kill => SIGKILL,
        Signal::Segv => SIGSEGV,
        Signal::Term => SIGTERM,
    }
}
