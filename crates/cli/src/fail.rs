//! How the program fails: one line, a way out, a stable exit code (`docs/exit-codes.md`).

use crate::say::{say, without_secrets};
use crate::surroundings::Color;
use crate::terminal;
use belay_trace::{exit_code, visible, visible_line};
use belaykit::{Error, FailureKind};
use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// Why a command could not be carried out.
#[derive(Debug)]
pub(crate) struct Fail {
    code: u8,
    message: String,
    /// The lines of a file that it is about.
    excerpt: Option<String>,
    hint: Option<String>,
    /// What is to be said besides.
    more: Option<String>,
}

impl Fail {
    /// A mistake in the command line or in what it names.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: exit_code::USAGE,
            message: message.to_string(),
            excerpt: None,
            hint: None,
            more: None,
        }
    }

    /// There is no such run.
    pub(crate) fn not_found(message: impl Display) -> Self {
        Self { code: exit_code::NOT_FOUND, ..Self::usage(message) }
    }

    /// A session that another run uses.
    pub(crate) fn in_use(message: impl Display) -> Self {
        Self { code: exit_code::RETRY_LATER, ..Self::usage(message) }
    }

    /// Something failed on this machine.
    pub(crate) fn local(message: impl Display) -> Self {
        Self { code: exit_code::AGENT_FAILED, ..Self::usage(message) }
    }

    /// A mistake in a configuration file.
    pub(crate) fn configuration(message: impl Display) -> Self {
        Self { code: exit_code::CONFIGURATION, ..Self::usage(message) }
    }

    /// A request that cannot be run, found out before anything started.
    pub(crate) fn of_check(error: &Error) -> Self {
        let code = match error.kind() {
            FailureKind::InvalidRequest | FailureKind::LocalIo => exit_code::USAGE,
            kind => exit_code::of_failure(kind),
        };
        Self { code, ..Self::usage(&error.failure().message) }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Shows the lines that it is about, which can be shown as they are.
    pub(crate) fn excerpt(mut self, lines: impl Into<String>) -> Self {
        self.excerpt = Some(lines.into());
        self
    }

    /// Adds a last word.
    pub(crate) fn also(mut self, more: impl Display) -> Self {
        self.more = Some(more.to_string());
        self
    }

    /// What is wrong, without advice.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// In one line, for what reports it in its own way.
    pub(crate) fn in_words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }

    pub(crate) fn report(self) -> ExitCode {
        say(format_args!("error: {}", visible_line(&self.message)));
        if let Some(excerpt) = self.excerpt {
            say(excerpt);
        }
        if let Some(hint) = self.hint {
            // A name in it may come from a file that somebody else wrote.
            say(format_args!("hint: {}", visible(&hint)));
        }
        if let Some(more) = self.more {
            say(more);
        }
        ExitCode::from(self.code)
    }
}

/// What clap found: help and version on standard output, mistakes on standard error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let (text, colored) = (error.render().to_string(), error.render().ansi().to_string());
    // Nobody is left to tell when the terminal is gone. A word of the command line may come from anywhere.
    let _ = match error.use_stderr() {
        true => {
            let mut out = terminal::stderr();
            let text = if Color::Auto.paints(out.handle()) { colored } else { text };
            out.write_all(without_secrets(&text).as_bytes())
        }
        false => {
            let mut out = terminal::stdout();
            let text = if Color::Auto.paints(out.handle()) { colored } else { text };
            out.write_all(text.as_bytes())
        }
    };
    ExitCode::from(if error.use_stderr() { exit_code::USAGE } else { exit_code::ANSWERED })
}

/// Standard output that is closed is no mistake of ours: `belay … | head` has seen enough.
pub(crate) fn closed_pipe_is_fine(written: io::Result<()>) -> Result<(), Fail> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Fail::local(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
