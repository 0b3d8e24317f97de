//! Telling people of runs, over whatever channel they read.
//!
//! From records to notices is one way for all channels (`story`), and so is the queue (`outbox`): a channel is what
//! sends one notice, in a file of its own.

pub(crate) mod channel;
pub(crate) mod outbox;
pub(crate) mod story;
pub(crate) mod text;

use self::channel::Channel;
use self::outbox::Outbox;
use self::story::Story;
use super::http::Network;
use super::{Observer, ObserverError};
use crate::Environment;
use crate::limits::{NOTIFY_REQUEST, NOTIFY_TEST};
use belay_trace::{Level, Record, RunResult, TraceStart};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Instant;

/// What somebody is told of runs; the names are the seed's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Failures, and what is on the way to one: failovers, long waits, errors.
    pub on_error: bool,
    /// Answers.
    pub on_result: bool,
    /// That a run begins, and its phases.
    pub on_start: bool,
    /// How many tools an agent has called: on Slack as one message that is edited, elsewhere not at all.
    pub on_tool_use: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { on_error: true, on_result: true, on_start: false, on_tool_use: false }
    }
}

/// One thing that somebody is told. Everything in it may be an agent's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    pub(crate) event: Kind,
    pub(crate) level: Level,
    /// One line of our words, with names in it.
    pub(crate) title: String,
    /// What the agent has said, or why it failed.
    pub(crate) body: String,
    /// What it took, in figures.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) footer: String,
    pub(crate) agent: String,
    pub(crate) run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Start,
    Phase,
    Trouble,
    ToolUse,
    Result,
    Error,
    Test,
}

impl Kind {
    /// True if nothing else makes up for it.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Self::Result | Self::Error | Self::Test)
    }
}

impl Notice {
    /// What belongs together for a reader.
    pub(crate) fn thread(&self) -> &str {
        self.trace.as_deref().unwrap_or(&self.run)
    }

    /// All of it as plain text.
    pub(crate) fn plain(&self) -> String {
        let parts = [&self.title, &self.body, &self.footer].map(|part| part.trim());
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// Why somebody could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotifyError(pub(crate) String);

/// Tells people of runs over one channel: Slack, a webhook, ntfy, Discord, or a program.
///
/// Messages go out on a thread of its own, in order and at the pace that the channel bears; what cannot be sent is
/// tried again, and said at the end of the run. Under pressure progress is dropped, and neither results nor errors. At
/// a run's end what waits is sent on within the time that the run has for it.
///
/// ```no_run
/// use belaykit::notify::Notify;
/// use belaykit::{Claude, Client, slack};
///
/// let config = slack::Config {
///     enabled: true,
///     bot_token: "xoxb-…".into(),
///     channel: "#agents".into(),
///     ..slack::Config::default()
/// };
/// let client = Client::new(Claude::new()).observe(Notify::slack(config).agent_name("hiveminer"));
/// ```
pub struct Notify {
    story: Story,
    /// What sends, until there is something to be sent.
    channel: Option<Box<dyn Channel>>,
    outbox: Option<Outbox>,
    name: &'static str,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Notify {
    /// Over a channel; `None` says nothing to anybody.
    pub(crate) fn over(name: &'static str, channel: Option<impl Channel>, events: Events) -> Self {
        let channel = channel.map(|channel| Box::new(channel) as Box<dyn Channel>);
        Self { story: Story::new(events), channel, outbox: None, name }
    }

    /// The queue, with its thread from now on; `None` if nobody is told.
    fn outbox(&mut self) -> Option<&Outbox> {
        if let Some(channel) = self.channel.take() {
            self.outbox = Some(Outbox::start(self.name, channel));
        }
        self.outbox.as_ref()
    }

    /// Goes through the proxies of an environment (`HTTPS_PROXY`, `ALL_PROXY`, but for what `NO_PROXY` names) and trusts
    /// the roots that it and the system name (`SSL_CERT_FILE`, `SSL_CERT_DIR`), instead of those built in. Without
    /// it there are none, as there are none on the way to this machine. To be said before anything is sent.
    #[must_use]
    pub fn network_of(mut self, environment: &Environment) -> Self {
        if let Some(channel) = &mut self.channel {
            channel.network(Network::of(environment));
        }
        self
    }

    /// What is told; by default answers and failures.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.story.events = events;
        self
    }

    /// What the agent is called, instead of its own name.
    #[must_use]
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.story.agent_name = Some(name.into());
        self
    }

    /// What is said of a failure, instead of the failure's own words.
    #[must_use]
    pub fn error_formatter(
        mut self,
        format: impl Fn(&RunResult) -> String + Send + 'static,
    ) -> Self {
        self.story.format_error = Some(Box::new(format));
        self
    }

    /// What is said of an answer, instead of the answer itself.
    #[must_use]
    pub fn result_formatter(
        mut self,
        format: impl Fn(&RunResult) -> String + Send + 'static,
    ) -> Self {
        self.story.format_result = Some(Box::new(format));
        self
    }

    /// True if somebody is told at all.
    pub fn is_enabled(&self) -> bool {
        self.channel.is_some() || self.outbox.is_some()
    }

    /// Sends one message, and waits until it has arrived.
    ///
    /// # Errors
    /// [`NotifyError`] with what the channel has said.
    pub fn test(&mut self) -> Result<(), NotifyError> {
        let Some(outbox) = self.outbox() else {
            return Err(NotifyError("nothing is configured".to_owned()));
        };
        outbox.add(Notice {
            event: Kind::Test,
            level: Level::Info,
            title: "belay can reach you here".to_owned(),
            body: "This is a test: no agent has done anything.".to_owned(),
            footer: String::new(),
            agent: String::new(),
            run: String::new(),
            trace: None,
        });
        outbox.flush(Instant::now() + NOTIFY_REQUEST + NOTIFY_TEST).map_err(NotifyError)
    }
}

impl Observer for Notify {
    fn name(&self) -> &str {
        self.name
    }

    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        self.story.trace(start);
        Ok(())
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        if !self.is_enabled() {
            return Ok(());
        }
        for notice in self.story.notices(record) {
            if let Some(outbox) = self.outbox() {
                outbox.add(notice);
            }
        }
        Ok(())
    }

    fn flush(&mut self, deadline: Instant) -> Result<(), ObserverError> {
        let flushed = self.outbox.as_ref().map_or(Ok(()), |outbox| outbox.flush(deadline));
        flushed.map_err(Into::into)
    }
}
