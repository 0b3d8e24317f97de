//! What an agent prints loses its secrets here, before anybody reads it.

use super::Attempt;
use crate::redact::{Gate, Passed, Redactor};
use belay_agents::Input;
use belay_trace::{Event, Level, PermissionRequest};
use tokio::time::Instant;

/// Where an agent says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipe {
    Stdout,
    Stderr,
    /// The events of a server.
    Sse,
}

impl Pipe {
    const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Sse];

    fn input(self, line: &[u8]) -> Input<'_> {
        match self {
            Self::Stdout => Input::Stdout(line),
            Self::Stderr => Input::Stderr(line),
            Self::Sse => Input::Sse(line),
        }
    }
}

/// A gate for each pipe.
#[derive(Debug)]
pub(super) struct Gates([Gate; 3]);

impl Gates {
    pub(super) fn new(redactor: &Redactor) -> Self {
        Self(Pipe::ALL.map(|_| Gate::new(redactor.clone())))
    }

    /// When a line has been held for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(Gate::deadline).min()
    }
}

/// The arguments of a tool that the agent asks for.
#[derive(Debug)]
pub(super) struct Asked {
    redacted: Vec<u8>,
    /// As the agent wrote them, if that is still known.
    original: Option<Vec<u8>>,
}

impl Attempt<'_> {
    /// Feeds the driver with a line, when it is known to hold no secret.
    pub(super) fn gated(&mut self, pipe: Pipe, line: &[u8]) {
        match self.gates.0[pipe as usize].push(line) {
            None => self.input(pipe.input(line)),
            Some(passed) => self.passed(pipe, passed),
        }
    }

    /// Lets through what is held: it was held for long enough, or nothing follows.
    pub(super) fn open_gates(&mut self, is_late: bool) {
        let now = Instant::now();
        for pipe in Pipe::ALL {
            let gate = &mut self.gates.0[pipe as usize];
            let passed = match is_late {
                false => gate.finish(),
                true if gate.deadline().is_some_and(|at| at <= now) => gate.late(),
                true => Vec::new(),
            };
            self.passed(pipe, passed);
        }
    }

    fn passed(&mut self, pipe: Pipe, passed: Vec<Passed>) {
        for passed in passed {
            let line = passed.line.clone();
            self.passed = Some(passed);
            self.input(pipe.input(&line));
            self.passed = None;
        }
    }

    /// Remembers what the agent really asks for: the answer to it repeats the arguments, and is for the agent.
    pub(super) fn note_asked(&mut self, request: &PermissionRequest) {
        let Some(passed) = self.passed.as_ref().filter(|passed| passed.is_changed()) else {
            return;
        };
        let redacted = request.args.get().as_bytes().to_vec();
        let original = passed.original(&redacted).map(<[u8]>::to_vec);
        if original.as_ref() != Some(&redacted) {
            self.asked.insert(request.permission_id.clone(), Asked { redacted, original });
        }
    }

    /// An answer with the arguments that the agent wrote: it would run what it is allowed to run.
    pub(super) fn as_asked(&mut self, input: Input<'_>, bytes: Vec<u8>) -> Vec<u8> {
        let Input::Permission { id, .. } = input else { return bytes };
        let Some(asked) = self.asked.remove(id) else { return bytes };
        let Some(from) = memchr::memmem::find(&bytes, &asked.redacted) else { return bytes };
        let Some(original) = asked.original else {
            let words = "the agent was answered with redacted arguments";
            self.runner.publisher.event(Event::notice(Level::Warn, "redaction", words));
            return bytes;
        };
        let after = &bytes[from + asked.redacted.len()..];
        [&bytes[..from], original.as_slice(), after].concat()
    }
}
