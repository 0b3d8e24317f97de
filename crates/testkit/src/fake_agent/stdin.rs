//! Stdin, read from the start to the end by a thread of its own, as real agents do.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::log::{LogLine, LogWriter};
use super::{Stop, stop};

/// The lines of stdin in the order they come.
#[derive(Debug)]
pub(crate) struct Stdin(Receiver<String>);

impl Stdin {
    /// Starts reading; every line goes to the log, whether the play looks at it or not.
    pub(crate) fn open(log: Arc<LogWriter>, stops: Vec<Stop>) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut bytes = Vec::new();
            while stdin.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                let line = String::from_utf8_lossy(&bytes).into_owned();
                bytes.clear();
                log.write(&LogLine::Stdin { line: line.clone() });
                stops.iter().for_each(|stop| stop::hear(stop, &line));
                // The play may be over already; the log still wants the rest.
                drop(sender.send(line));
            }
            log.write(&LogLine::StdinEnd);
            stops.iter().for_each(stop::hear_the_end);
        });
        Self(receiver)
    }

    /// The next line; `None` when stdin has ended.
    pub(crate) fn next_line(&self) -> Option<String> {
        self.0.recv().ok()
    }
}
