//! `belay notify`

use crate::config::{Config, Wanted};
use crate::fail::Fail;
use crate::notify::{Channel, is_configured, made};
use crate::page::Page;
use crate::say::say;
use belay_trace::{exit_code, visible_line};
use clap::{Args, Subcommand};
use std::io::Write as _;

/// Try the channels over which people are told of runs.
///
/// They stand in your configuration, below [notify.slack], [notify.webhook], [notify.ntfy], [notify.discord] and
/// [notify.exec] (docs/notify.md).
#[derive(Debug, Args)]
pub(crate) struct Notify {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Test(Test),
}

/// Send one message to each channel that is configured, and say what happened.
///
/// The exit code is 0 if all of them took it, 1 if one did not, and 78 if one is not configured as it must be.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay notify test
  belay notify test slack ntfy")]
struct Test {
    /// To these alone.
    #[arg(value_name = "CHANNEL", value_enum)]
    channels: Vec<Channel>,
}

impl Notify {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.verb {
            Verb::Test(test) => test.run(),
        }
    }
}

impl Test {
    fn run(&self) -> Result<u8, Fail> {
        let config = Config::load(Wanted::default(), None)?;
        let keys = &config.notify;
        let is_meant = |channel: &Channel| match &self.channels[..] {
            [] => is_configured(keys, *channel),
            named => named.contains(channel),
        };
        let channels: Vec<_> = Channel::ALL.into_iter().filter(is_meant).collect();
        if channels.is_empty() {
            let file = config.places.user.as_ref().map(|path| path.display().to_string());
            return Err(Fail::configuration("no channel is configured").hint(format_args!(
                "write [notify.slack], or another of docs/notify.md, into {}",
                file.as_deref().unwrap_or("~/.config/belay/config.toml")
            )));
        }
        let page = Page::new();
        let mut worst = exit_code::ANSWERED;
        for channel in channels {
            let name = channel.name();
            let (code, why) = match made(keys, channel) {
                Err(why) => (exit_code::CONFIGURATION, why),
                Ok(mut notify) => match notify.test() {
                    Ok(()) => {
                        let _ = writeln!(&mut page.clone(), "{name}: sent");
                        continue;
                    }
                    Err(error) => (exit_code::AGENT_FAILED, error.to_string()),
                },
            };
            worst = worst.max(code);
            say(format_args!("{name}: {}", visible_line(&why)));
        }
        page.end()?;
        Ok(worst)
    }
}
