//! `belay logs`

mod raw;

use self::raw::RawLines;
use super::run::options::parts;
use super::runs::state::{lost_words, state_word};
use crate::fail::Fail;
use crate::page::Page;
use crate::say::{say, warn};
use crate::stored::{self, StateDir, unreadable};
use crate::surroundings::Color;
use crate::terminal;
use belay_trace::{Record, RunState, StoredRun, Tail, exit_code, visible_json, visible_line};
use belaykit::{Logger, Part};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

/// Print the events of a run, and follow them while it is at work.
///
/// With -f it goes on until the run has ended, and says how; Ctrl-C ends the following, not the run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay logs -f                               the newest run, while it works
  belay logs 4f3c2b1a -n 50
  belay logs 4f3c2b1a -f --format jsonl | jq 'select(.type==\"tool_call\")'
  belay logs 4f3c2b1a --raw                   what the agent itself printed")]
pub(crate) struct Logs {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// Go on until the run has ended.
    #[arg(short, long)]
    follow: bool,

    /// Begin with the last N events, or with --raw lines.
    #[arg(short, value_name = "N")]
    n: Option<usize>,

    /// How events are shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Print what the agent wrote to its standard output, byte for byte, instead of events.
    #[arg(long, conflicts_with_all = ["format", "hide"])]
    raw: bool,

    /// Leave a part out of the text format; can be given more than once.
    #[arg(long, value_name = "PART", value_parser = parts())]
    hide: Vec<Part>,

    /// When to paint the text format.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    #[command(flatten)]
    state_dir: StateDir,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As text, like `belay run` shows them.
    #[default]
    Text,
    /// As they are stored, a JSON object a line.
    Jsonl,
}

/// How often a run is looked at that is followed: often enough to look live, seldom enough to cost nothing.
const LOOK: Duration = Duration::from_millis(100);

impl Logs {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let store = self.state_dir.store()?;
        let run = stored::find(&store, &self.run)?;
        let page = Page::new();
        let cut = if self.raw { self.raw(&run, &page)? } else { self.events(&run, &page)? };
        let is_read = page.is_read();
        page.end()?;
        if cut > 0 && !is_alive(&run) {
            warn(format_args!("the journal ends in mid-line: {cut} bytes are left out"));
        }
        if self.follow && is_read {
            let overview = run.overview();
            let word = match overview.state {
                RunState::Crashed => "has crashed: the belay that ran it is gone".to_owned(),
                RunState::Lost => format!("is {}", lost_words(&overview)),
                _ => format!("has ended: {}", state_word(&overview)),
            };
            say(format_args!("run {} {word}", stored::short_id(&store, run.id())));
        }
        Ok(exit_code::ANSWERED)
    }

    /// Prints events; returns how many bytes of an unfinished line are left.
    fn events(&self, run: &StoredRun, page: &Page) -> Result<usize, Fail> {
        let mut tail = match self.n {
            Some(n) => Tail::of_last(run, n),
            None => Tail::of(run),
        }
        .map_err(unreadable)?;
        let mut view = self.view(page);
        loop {
            // Asked before we read: what is written until it ends is read below.
            let alive = self.follow && is_alive(run);
            let mut ended = false;
            while let Some(line) = tail.next_line().map_err(unreadable)?
                && page.is_read()
            {
                ended |= view.line(&line);
            }
            page.show();
            if ended || !alive || !page.is_read() {
                view.tell();
                return Ok(tail.pending_bytes());
            }
            thread::sleep(LOOK);
        }
    }

    /// Prints the agent's lines; returns how many bytes of an unfinished one are left.
    fn raw(&self, run: &StoredRun, page: &Page) -> Result<usize, Fail> {
        let mut lines = RawLines::of(run, self.n);
        let terminal = terminal::stdout().is_terminal();
        let mut out = page.clone();
        loop {
            let alive = self.follow && is_alive(run);
            let written = lines.print(|line| {
                // A terminal obeys what it is shown.
                let line = if terminal {
                    Cow::Owned(visible_line(&String::from_utf8_lossy(line)).into_owned().into())
                } else {
                    Cow::Borrowed(line)
                };
                let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
                page.is_read()
            });
            written.map_err(unreadable)?;
            page.show();
            if !alive || !page.is_read() {
                return Ok(lines.pending_bytes());
            }
            thread::sleep(LOOK);
        }
    }

    fn view(&self, page: &Page) -> View {
        let stdout = terminal::stdout();
        match self.format {
            Format::Text => {
                let logger = Logger::new(page.clone()).color(self.color.paints(stdout.handle()));
                let hide = |logger: Logger<Page>, part: &Part| logger.without(*part);
                let logger = self.hide.iter().fold(logger, hide);
                View { look: Look::Text(Box::new(logger)), unreadable: 0 }
            }
            Format::Jsonl => {
                let look = Look::Json { page: page.clone(), terminal: stdout.is_terminal() };
                View { look, unreadable: 0 }
            }
        }
    }
}

/// How a line of the journal is shown.
struct View {
    look: Look,
    /// Lines that are no records.
    unreadable: usize,
}

enum Look {
    Text(Box<Logger<Page>>),
    Json { page: Page, terminal: bool },
}

impl View {
    /// Shows a line; true if it is the run's last.
    fn line(&mut self, line: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
        }
        match &mut self.look {
            Look::Text(logger) => match Record::from_line(line) {
                Ok(record) => logger.record(&record),
                Err(_) => self.unreadable += 1,
            },
            Look::Json { page, terminal: false } => {
                let _ = page.write_all(line).and_then(|()| page.write_all(b"\n"));
            }
            Look::Json { page, terminal: true } => {
                let _ = writeln!(page, "{}", visible_json(&String::from_utf8_lossy(line)));
            }
        }
        serde_json::from_slice::<Kind<'_>>(line).is_ok_and(|line| line.kind == "result")
    }

    fn tell(&self) {
        if self.unreadable > 0 {
            warn(format_args!(
                "{} lines of the journal are no records of this version; --format jsonl shows them",
                self.unreadable
            ));
        }
    }
}

/// True if somebody works on the run. One that has just begun has its file before it has its lock.
fn is_alive(run: &StoredRun) -> bool {
    let overview = run.overview();
    let begins = || {
        let age = run.begun().map(|begun| Timestamp::now().duration_since(begun).as_secs());
        overview.last.is_none() && age.is_some_and(|age| (0..2).contains(&age))
    };
    match overview.state {
        // Of a run on another machine the journal may go on: it is followed until somebody stops.
        RunState::Running | RunState::Lost => true,
        RunState::Crashed => begins(),
        _ => false,
    }
}
