//! `belay show`

pub(crate) mod account;

use self::account::Account;
use crate::fail::Fail;
use crate::page::Page;
use crate::stored::{StateDir, unreadable};
use crate::surroundings::Color;
use crate::terminal;
use belay_trace::{Tail, exit_code};
use belaykit::Logger;
use clap::{Args, ValueEnum};
use std::io::Write as _;

/// Show a run again: what was asked, what happened, how it stands, and its answer.
///
/// Of a run that has crashed, or was stopped, it shows what was reached and the line that goes on with it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay show
  belay show 4f3c2b1a
  belay show 4f3c2b1a --format json | jq .attempts
  belay logs 4f3c2b1a -f            follow a run that is at work")]
pub(crate) struct Show {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// What is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    #[command(flatten)]
    state_dir: StateDir,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The request, the log of the run as it was shown, how it stands, and its answer.
    #[default]
    Text,
    /// The request, the attempts and how the run stands, as one JSON object.
    Json,
    /// Its events as they are stored, a JSON object a line.
    Jsonl,
}

impl Show {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let store = self.state_dir.store()?;
        let run = self.state_dir.find(&self.run)?;
        let mut page = Page::new();
        // What cannot be written is remembered by the page.
        match self.format {
            Format::Jsonl => {
                let mut tail = Tail::of(&run).map_err(unreadable)?;
                while let Some(line) = tail.next_line().map_err(unreadable)?
                    && page.is_read()
                {
                    let _ = page.write_all(&line).and_then(|()| page.write_all(b"\n"));
                }
            }
            Format::Json => {
                let account = Account::of(&store, &run)?;
                let text = serde_json::to_string_pretty(&account).map_err(Fail::local)?;
                let _ = writeln!(page, "{text}");
            }
            Format::Text => {
                let account = Account::of(&store, &run)?;
                let _ = write!(page, "{}\n\n", account.head());
                let mut logger =
                    Logger::new(page.clone()).color(self.color.paints(terminal::stdout().handle()));
                let records = run.records().map_err(unreadable)?;
                records.take_while(|_| page.is_read()).for_each(|record| logger.record(&record));
                let _ = write!(page, "\n{}", account.end());
            }
        }
        page.end()?;
        Ok(exit_code::ANSWERED)
    }
}
