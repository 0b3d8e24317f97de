//! Slack: the seed's configuration and notifier, within the limits that Slack has.
//!
//! With a bot's token each run, or trace, is a thread: what begins it, its phases and troubles below, one message of
//! its tools that is edited, and the end shown in the channel as well. An incoming webhook gives no time stamps back,
//! so over one there are neither threads nor edits.

pub(crate) mod api;
pub(crate) mod blocks;
pub(crate) mod notifier;

pub use self::notifier::Notifier;
pub use super::notify::Events;

use self::api::{Api, Message, Wrong};
use super::http::Network;
use super::notify::channel::{Channel, Failed};
use super::notify::{Kind, Notice, Notify};
use crate::limits::NOTIFY_RUNS_MAX;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Where messages go, by the names of the seed. What is empty is not configured.
///
/// With `bot_token` and `channel` messages go through the Web API (scope `chat:write`), which knows threads; with
/// `webhook_url` alone through an incoming webhook, which does not.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// False sends nothing, whatever else is there.
    pub enabled: bool,
    /// The address of an incoming webhook; it is a secret.
    pub webhook_url: String,
    /// A bot's token, `xoxb-…`.
    pub bot_token: String,
    /// The channel of a bot: its id, or `#name`.
    pub channel: String,
    /// Who is mentioned at the end of a run: ids of users (`U…`, `W…`) or of groups (`S…`).
    pub notify_users: Vec<String>,
    /// What is told.
    pub events: Events,
    /// Where the Web API is, if not at `https://slack.com/api`.
    pub api_url: String,
}

impl fmt::Debug for Config {
    /// Without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |text: &str| if text.is_empty() { "none" } else { "…" };
        f.debug_struct("Config")
            .field("enabled", &self.enabled)
            .field("webhook_url", &set(&self.webhook_url))
            .field("bot_token", &set(&self.bot_token))
            .field("channel", &self.channel)
            .field("notify_users", &self.notify_users)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl Notify {
    /// Tells people in Slack. A configuration that is not enabled, or has no address, tells nobody.
    pub fn slack(config: Config) -> Self {
        let events = config.events;
        let api = Api::of(&config);
        let threads = BTreeMap::new();
        let mentions = blocks::mentions(&config.notify_users);
        Self::over("slack", api.map(|api| Slack { api, threads, mentions }), events)
    }
}

/// The messages that others stand below.
struct Slack {
    api: Api,
    threads: BTreeMap<String, Thread>,
    mentions: String,
}

/// A thread, where its messages are.
#[derive(Clone, Debug, Default)]
struct Thread {
    root: Option<Place>,
    /// By run.
    tools: BTreeMap<String, Place>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) channel: String,
    pub(crate) ts: String,
}

/// One message a second.
const PACE: Duration = Duration::from_secs(1);

impl Channel for Slack {
    fn pace(&self) -> Duration {
        PACE
    }

    fn merges(&self) -> bool {
        true
    }

    fn edits(&self) -> bool {
        self.api.knows_threads()
    }

    fn network(&mut self, network: Network) {
        self.api.network(network);
    }

    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed> {
        let Some(first) = notices.first() else { return Ok(()) };
        let thread = self.threads.get(first.thread()).cloned().unwrap_or_default();
        let last = notices.last().map(|notice| notice.event);
        let is_end = matches!(last, Some(Kind::Result | Kind::Error));
        let mentions = if is_end { self.mentions.as_str() } else { "" };
        let mut message = Message {
            text: blocks::fallback(notices, mentions),
            blocks: blocks::of(notices, mentions),
            thread: thread.root.clone(),
            broadcast: is_end,
        };
        let is_edit = first.event == Kind::ToolUse;
        if let Some(old) = thread.tools.get(&first.run).filter(|_| is_edit) {
            match self.api.update(old, &message, timeout) {
                // It was taken away, or is too old: another one takes its place.
                Err(Wrong::Gone(_)) => {}
                updated => return updated.map_err(Wrong::into),
            }
        }
        let mut posted = self.api.post(&message, timeout);
        if let Err(Wrong::Gone(_)) = posted {
            message.thread = None;
            posted = self.api.post(&message, timeout);
        }
        if let Err(Wrong::Message(_)) = posted {
            // What it says is worth more than how it looks.
            message.blocks.clear();
            posted = self.api.post(&message, timeout);
        }
        if let Some(place) = posted? {
            self.note(first, place, message.thread.is_none(), is_edit);
        }
        Ok(())
    }
}

impl Slack {
    /// Keeps where a message is.
    fn note(&mut self, notice: &Notice, place: Place, is_root: bool, is_edit: bool) {
        while self.threads.len() >= NOTIFY_RUNS_MAX {
            self.threads.pop_first();
        }
        let thread = self.threads.entry(notice.thread().to_owned()).or_default();
        if is_edit {
            while thread.tools.len() >= NOTIFY_RUNS_MAX {
                thread.tools.pop_first();
            }
            thread.tools.insert(notice.run.clone(), place.clone());
        }
        if is_root {
            thread.root = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_testkit::fake_slack::{CHANNEL_NAME, FakeSlack, TOKEN};
    use belay_trace::Level;

    const LONG: Duration = Duration::from_secs(30);

    fn notice(event: Kind, title: &str) -> Notice {
        Notice {
            event,
            level: Level::Info,
            title: title.to_owned(),
            body: String::new(),
            footer: String::new(),
            agent: String::new(),
            run: "r".to_owned(),
            trace: None,
        }
    }

    fn slack(fake: &FakeSlack) -> Slack {
        let config = Config {
            enabled: true,
            bot_token: TOKEN.to_owned(),
            channel: CHANNEL_NAME.to_owned(),
            api_url: fake.api_url(),
            ..Config::default()
        };
        let api = Api::of(&config).unwrap();
        Slack { api, threads: BTreeMap::new(), mentions: String::new() }
    }

    #[test]
    fn a_message_that_can_no_longer_be_edited_gets_a_successor() {
        let fake = FakeSlack::start().unwrap();
        let mut slack = slack(&fake);
        for (kind, title) in [(Kind::Start, "s"), (Kind::ToolUse, "1"), (Kind::ToolUse, "2")] {
            slack.send(&[notice(kind, title)], LONG).unwrap();
        }
        fake.edit_window(Duration::ZERO);
        slack.send(&[notice(Kind::ToolUse, "3")], LONG).unwrap();
        let shown: Vec<_> = fake.messages().iter().map(|it| it.shown().join("")).collect();
        assert_eq!(shown, ["s", "2", "3"]);
        assert_eq!(fake.refused(), ["edit_window_closed"]);
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let config = Config {
            webhook_url: "https://hooks.slack.com/secret".into(),
            bot_token: "xoxb-secret".into(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
        assert!(!format!("{:?}", Notify::slack(config)).contains("secret"));
    }

    #[test]
    fn what_is_not_enabled_or_not_complete_does_nothing() {
        let all = Config { bot_token: "t".into(), channel: "c".into(), ..Config::default() };
        assert!(Api::of(&all).is_none());
        assert!(Api::of(&Config { enabled: true, ..all.clone() }).is_some());
        assert!(Api::of(&Config { enabled: true, channel: String::new(), ..all }).is_none());
        let mut notifier = Notifier::new(&Config::default());
        assert!(!notifier.is_enabled());
        notifier.start_session("s").and_then(|()| notifier.send("x")).unwrap();
        assert_eq!(notifier.thread_ts(), None);
    }
}
