//! From what is configured to those who tell people of runs.

use crate::config::keys;
use crate::config::{At, File, Names};
use crate::fail::Fail;
use crate::say::warn;
use crate::surroundings;
use belay_trace::visible_line;
use belaykit::notify::{Events, Notify};
use belaykit::{Client, slack};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::env;
use std::ffi::OsString;
use std::fs::File as Opened;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// A way to tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channel {
    /// Slack, by a bot or an incoming webhook.
    Slack,
    /// A webhook of one's own: JSON, signed.
    Webhook,
    /// ntfy, which pushes to phones.
    Ntfy,
    /// A Discord webhook.
    Discord,
    /// A program of one's own.
    Exec,
}

impl Channel {
    pub(crate) const ALL: [Self; 5] =
        [Self::Slack, Self::Webhook, Self::Ntfy, Self::Discord, Self::Exec];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Ntfy => "ntfy",
            Self::Discord => "discord",
            Self::Exec => "exec",
        }
    }
}

/// Who is told of this run.
#[derive(Debug, Default, Args)]
pub(crate) struct NotifyFlags {
    /// Tell people of this run over these channels of your configuration (`belay notify test`), beyond those that
    /// are `enabled` there.
    #[arg(long, value_name = "CHANNEL,…", value_enum, value_delimiter = ',')]
    #[arg(help_heading = "Notifications")]
    pub(crate) notify: Vec<Channel>,

    /// Tell nobody of this run.
    #[arg(long, conflicts_with = "notify", help_heading = "Notifications")]
    pub(crate) no_notify: bool,

    /// What the user's file says.
    #[arg(skip)]
    pub(crate) configured: keys::Notify,
}

impl NotifyFlags {
    /// Lets those watch who tell people. One that was asked for and cannot, is a mistake; one that is always there
    /// and cannot now, keeps nobody from work.
    pub(crate) fn watch(&self, mut client: Client) -> Result<Client, Fail> {
        if self.no_notify {
            return Ok(client);
        }
        for channel in Channel::ALL {
            let is_asked_for = self.notify.contains(&channel);
            if !is_asked_for && !is_enabled(&self.configured, channel) {
                continue;
            }
            match made(&self.configured, channel) {
                Ok(notify) => client = client.observe(notify),
                Err(why) if is_asked_for => {
                    return Err(Fail::configuration(why).hint(
                        "docs/notify.md says what a channel needs; `belay notify test` tries it",
                    ));
                }
                Err(why) => warn(format_args!("nobody is told: {}", visible_line(&why))),
            }
        }
        Ok(client)
    }
}

/// True if it tells of every run.
pub(crate) fn is_enabled(keys: &keys::Notify, channel: Channel) -> bool {
    let enabled = match channel {
        Channel::Slack => &keys.slack_enabled,
        Channel::Webhook => &keys.webhook_enabled,
        Channel::Ntfy => &keys.ntfy_enabled,
        Channel::Discord => &keys.discord_enabled,
        Channel::Exec => &keys.exec_enabled,
    };
    enabled.as_ref().is_some_and(|at| at.value)
}

/// True if the file says anything of it.
pub(crate) fn is_configured(keys: &keys::Notify, channel: Channel) -> bool {
    let mut rows = Vec::new();
    keys.rows("", &mut rows);
    let within = format!("notify.{}.", channel.name());
    rows.iter()
        .any(|row| row.key.starts_with(&within) && row.origin != crate::config::Origin::BuiltIn)
}

/// The one who tells, with his secrets; the error says what is missing.
pub(crate) fn made(keys: &keys::Notify, channel: Channel) -> Result<Notify, String> {
    let missing = |what: &str| format!("{} is not configured: {what}", channel.name());
    let events = match channel {
        Channel::Slack => &keys.slack_events,
        Channel::Webhook => &keys.webhook_events,
        Channel::Ntfy => &keys.ntfy_events,
        Channel::Discord => &keys.discord_events,
        Channel::Exec => &keys.exec_events,
    };
    let events = events.as_ref().map_or_else(Events::default, |at| at.value.0);
    let notify = match channel {
        Channel::Slack => Notify::slack(slack_config(keys)?),
        Channel::Webhook => {
            let url = address(&keys.webhook_url, &keys.webhook_url_env)?;
            let url = url.ok_or_else(|| missing("notify.webhook.url says where it is"))?;
            Notify::webhook(url, secret(&keys.webhook_secret_env, &keys.webhook_secret_file)?)
        }
        Channel::Ntfy => {
            let url = address(&keys.ntfy_url, &keys.ntfy_url_env)?;
            let url = url.ok_or_else(|| missing("notify.ntfy.url names the topic"))?;
            Notify::ntfy(url, secret(&keys.ntfy_token_env, &keys.ntfy_token_file)?)
        }
        Channel::Discord => {
            let url = secret(&keys.discord_webhook_url_env, &keys.discord_webhook_url_file)?;
            Notify::discord(url.ok_or_else(|| {
                missing("notify.discord.webhook_url_env or webhook_url_file says where it is")
            })?)
        }
        Channel::Exec => {
            let command = names(&keys.exec_command);
            if command.is_empty() {
                return Err(missing("notify.exec.command names the program"));
            }
            if let Some(name) = command.iter().find_map(|word| placeholder(word)) {
                let variable = name.trim_matches(['{', '}']).to_uppercase();
                return Err(format!(
                    "notify.exec.command: {name} is no longer put into arguments: take $BELAY_{variable} in a shell \
                     of yours, or read the notice as JSON from standard input"
                ));
            }
            let passed = names(&keys.exec_pass_env);
            let wanted = ["PATH", "HOME", "LANG"].map(str::to_owned).into_iter().chain(passed);
            let env = wanted.filter_map(|name| Some((OsString::from(&name), env::var_os(&name)?)));
            Notify::exec(command, env.collect::<Vec<_>>())
        }
    };
    Ok(notify.events(events).network_of(&surroundings::environment()))
}

/// What once stood for a part of a notice.
fn placeholder(word: &str) -> Option<&'static str> {
    let names = ["{title}", "{body}", "{level}", "{event}", "{agent}", "{run}", "{trace}"];
    names.into_iter().find(|name| word.contains(name))
}

fn slack_config(keys: &keys::Notify) -> Result<slack::Config, String> {
    let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    let config = slack::Config {
        enabled: true,
        bot_token: secret(&keys.slack_bot_token_env, &keys.slack_bot_token_file)?
            .unwrap_or_default(),
        webhook_url: secret(&keys.slack_webhook_url_env, &keys.slack_webhook_url_file)?
            .unwrap_or_default(),
        channel: text(&keys.slack_channel),
        notify_users: names(&keys.slack_notify_users),
        api_url: text(&keys.slack_api_url),
        ..slack::Config::default()
    };
    let has_bot = !config.bot_token.is_empty();
    if has_bot && config.channel.is_empty() && config.webhook_url.is_empty() {
        return Err("slack is not configured: a bot needs notify.slack.channel".to_owned());
    }
    if !has_bot && config.webhook_url.is_empty() {
        return Err(
            "slack is not configured: it needs notify.slack.bot_token_env and channel, or \
                    webhook_url_env"
                .to_owned(),
        );
    }
    Ok(config)
}

fn names(at: &Option<At<Names>>) -> Vec<String> {
    at.as_ref().map(|at| at.value.0.clone()).unwrap_or_default()
}

/// An address that stands in the file, or in a variable.
fn address(
    plain: &Option<At<String>>,
    variable: &Option<At<String>>,
) -> Result<Option<String>, String> {
    match plain {
        Some(at) => Ok(Some(at.value.clone())),
        None => secret(variable, &None),
    }
}

/// The longest secret: a thousand times what any is.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// What is in a variable, or else in a file that is its owner's alone; nothing if neither is named.
fn secret(
    variable: &Option<At<String>>,
    file: &Option<At<File>>,
) -> Result<Option<String>, String> {
    if let Some(name) = variable.as_ref().map(|at| &at.value) {
        match env::var(name).ok().filter(|value| !value.trim().is_empty()) {
            Some(value) => return Ok(Some(value.trim().to_owned())),
            None if file.is_none() => return Err(format!("there is no variable {name}")),
            None => {}
        }
    }
    let Some(path) = file.as_ref().map(|at| &at.value.0) else { return Ok(None) };
    let cannot = |why: &str| format!("cannot read {}: {why}", path.display());
    // Whoever opens a pipe may wait for ever.
    if !path.metadata().map_err(|error| cannot(&error.to_string()))?.is_file() {
        return Err(cannot("it is no file"));
    }
    let opened = Opened::open(path).map_err(|error| cannot(&error.to_string()))?;
    let data = opened.metadata().map_err(|error| cannot(&error.to_string()))?;
    if data.mode() & 0o077 != 0 {
        return Err(cannot("others can read or write it; `chmod 600` it"));
    }
    let mut text = String::new();
    let read = opened.take(SECRET_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| cannot(&error.to_string()))?;
    match text.trim() {
        "" => Err(cannot("it is empty")),
        secret => Ok(Some(secret.to_owned())),
    }
}
