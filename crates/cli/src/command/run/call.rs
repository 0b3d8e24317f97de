//! How the program was called, as far as the request does not say it: kept beside the journal, so that
//! `belay resume RUN` finds the same agent in the same surroundings.

use super::ask::Program;
use super::options::{Options, TransportName};
use crate::config::written;
use crate::notify::Channel;
use crate::say::warn;
use crate::surroundings::environment;
use belay_trace::read_regular;
use belaykit::{Agent, EnvMode, Redaction};
use serde::{Deserialize, Serialize};
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file, in the run's folder.
const CALL_FILE: &str = "call.json";

/// What was given on the command line about the surroundings; of environment variables the names alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    /// What the user had asked for, in a run that is resumed without a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// The agents whose names say nothing of what they start, as the command line wrote them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) commands: Vec<String>,
    pub(crate) programs: Vec<Program>,
    pub(crate) env: Option<String>,
    pub(crate) pass_env: Vec<String>,
    #[serde(with = "belay_trace::stored_path::option")]
    pub(crate) price_file: Option<PathBuf>,
    pub(crate) profile: Option<String>,
    pub(crate) transport: Option<TransportName>,
    #[serde(with = "belay_trace::stored_path::option")]
    pub(crate) trace_dir: Option<PathBuf>,
    pub(crate) no_trace: bool,
    pub(crate) notify: Vec<Channel>,
    pub(crate) no_notify: bool,
    pub(crate) otel: Option<String>,
    pub(crate) otel_content: Option<bool>,
    pub(crate) freeplay: Option<bool>,
}

impl Call {
    pub(crate) fn of(agents: &[Arc<dyn Agent>], options: &Options) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            task: options.task.clone(),
            commands: agents
                .iter()
                .map(|agent| written(agent.as_ref()))
                .filter(|written| written.contains(':'))
                .collect(),
            programs: options
                .ask
                .program
                .iter()
                .map(|program| Program { path: absolute(&program.path), ..program.clone() })
                .collect(),
            // What is built in is what the configuration says then.
            env: options
                .ask
                .env
                .filter(|mode| *mode == EnvMode::Clean)
                .map(|mode| mode.name().to_owned()),
            pass_env: options.ask.pass_env.clone(),
            price_file: options.price_file.as_deref().map(absolute),
            profile: options.profile.clone(),
            transport: options.transport,
            trace_dir: Some(absolute(&options.traces())),
            no_trace: !options.has_trace(),
            notify: options.notify.notify.clone(),
            no_notify: options.notify.no_notify,
            otel: options.otel.otel.clone(),
            otel_content: options.otel.otel_content,
            freeplay: options.otel.freeplay,
        }
    }

    /// Notes it in the run's folder, without secrets. A run of which this cannot be noted can still be resumed: by
    /// more flags.
    pub(crate) fn write(&self, folder: &Path, redaction: &Redaction) {
        let path = folder.join(CALL_FILE);
        let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
        let text = serde_json::to_string(self).unwrap_or_default();
        let text = redaction.text_of(&text, &environment());
        let _ = opened.and_then(|mut file| {
            // Whatever the umask.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())
        });
    }

    /// What was noted; nothing for a run that a program of its own has started.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = read_regular(&folder.join(CALL_FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// How the command line wrote the agent of this name, of which this command was started.
    pub(crate) fn written(&self, agent: &str, started: &[String]) -> String {
        let is_its =
            |written: &&String| written.split_once(':').is_some_and(|(name, _)| name == agent);
        // Several may have the name: the command has the words of its own.
        let shared = |written: &&String| {
            let command = written.split_once(':').map_or("", |(_, command)| command);
            command.split_whitespace().filter(|word| started.iter().any(|it| it == word)).count()
        };
        let written = self.commands.iter().filter(is_its).max_by_key(shared);
        written.cloned().unwrap_or_else(|| agent.to_owned())
    }

    /// Fills in what was not given this time.
    pub(crate) fn fill(self, options: &mut Options) {
        if options.ask.program.is_empty() {
            options.ask.program = self.programs;
        }
        options.price_file = options.price_file.take().or(self.price_file);
        options.transport = options.transport.or(self.transport);
        options.trace_dir = options.trace_dir.take().or(self.trace_dir);
        options.no_trace = options.no_trace.or(Some(self.no_trace));
        let notify = &mut options.notify;
        if notify.notify.is_empty() && !notify.no_notify {
            (notify.notify, notify.no_notify) = (self.notify, self.no_notify);
        }
        let otel = &mut options.otel;
        let is_whole = |to: &String| {
            let is_whole = !to.contains("[redacted:");
            if !is_whole {
                warn(
                    "the run's --otel held a secret, which is not stored: give --otel again to export this run",
                );
            }
            is_whole
        };
        otel.otel = otel.otel.take().or_else(|| self.otel.filter(is_whole));
        otel.otel_content = otel.otel_content.or(self.otel_content);
        otel.freeplay = otel.freeplay.or(self.freeplay);
        let mode = self.env.and_then(|mode| mode.parse().ok());
        options.ask.env = options.ask.env.or(mode);
        for name in self.pass_env {
            if !options.ask.pass_env.contains(&name) {
                options.ask.pass_env.push(name);
            }
        }
    }
}
