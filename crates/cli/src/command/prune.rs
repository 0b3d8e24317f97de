//! `belay prune`

use super::runs::state::{StateFilter, lost_words, state_word};
use crate::fail::Fail;
use crate::figures;
use crate::page::Page;
use crate::say::{say, warn};
use crate::stored::{ShortIds, StateDir, unreadable};
use belay_trace::{RunState, StoredRun, exit_code};
use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// Remove the journals of runs that have ended, and say how much that was.
///
/// Runs that are at work stay, and so does whatever is not a run of belay's. Traces (`.belay/traces`) are not
/// touched. A run that is removed can be neither shown nor resumed any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay prune --dry-run
  belay prune --older-than 7d --keep 100
  belay prune --state answered --older-than 12h
  belay prune --older-than 0s               all that have ended")]
pub(crate) struct Prune {
    /// Those that began longer ago than this: 12h, 30d, 2w.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30d")]
    older_than: SignedDuration,

    /// Keep the newest N, however old they are.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,

    /// Those that stand so: answered, failed, crashed, lost, damaged, or a kind of failure; can be given
    /// more than once.
    #[arg(long, value_name = "STATE")]
    state: Vec<StateFilter>,

    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    state_dir: StateDir,
}

pub(super) fn time(text: &str) -> Result<SignedDuration, String> {
    let span = text.parse::<Span>().ok();
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    time.filter(|time| !time.is_negative())
        .ok_or_else(|| "write a time such as 12h, 30d or 2w".to_owned())
}

impl Prune {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let store = self.state_dir.store()?;
        let listed = store.runs().map_err(unreadable)?;
        let short = ShortIds::of(&listed);
        let (now, page) = (Timestamp::now(), Page::new());
        let mut out = page.clone();
        let (mut removed, mut bytes, mut failed) = (0, 0, 0);
        for run in store.folders().map_err(unreadable)?.iter().skip(self.keep) {
            if !self.wants(run, now) {
                continue;
            }
            let size = size(run.folder());
            if self.dry_run {
                let (state, age) =
                    (state_word(&run.overview()), run.begun().map(|at| figures::age(at, now)));
                let (id, age) = (short.get(run.id()), age.unwrap_or_default());
                let _ = writeln!(out, "{id}  {state:<10} {age:>5}  {}", figures::bytes(size));
            } else if let Err(error) = remove(run.folder()) {
                warn(format_args!("cannot remove {}: {error}", run.folder().display()));
                failed += 1;
                continue;
            }
            (removed, bytes) = (removed + 1, bytes + size);
        }
        let _ = match (removed, self.dry_run) {
            (0, _) => writeln!(out, "there is nothing to remove"),
            (n, true) => {
                writeln!(out, "would remove {}, {}", figures::runs(n), figures::bytes(bytes))
            }
            (n, false) => writeln!(out, "removed {}, {}", figures::runs(n), figures::bytes(bytes)),
        };
        page.end()?;
        match failed {
            0 => Ok(exit_code::ANSWERED),
            n => Err(Fail::local(format!("{} could not be removed", figures::runs(n)))
                .hint("the warnings above say why")),
        }
    }

    /// True for a run of ours that has ended, and is as asked for.
    fn wants(&self, run: &StoredRun, now: Timestamp) -> bool {
        let Some(age) = run.begun().map(|begun| now.duration_since(begun)) else { return false };
        if age < self.older_than {
            return false;
        }
        let overview = run.overview();
        match overview.state {
            RunState::Running => return false,
            // Only that machine knows: it is removed where somebody says so.
            RunState::Lost if !overview.damaged => {
                let is_meant = self.state.iter().any(|state| state.takes(&overview));
                if !is_meant {
                    say(format_args!("run {} is {}: it stays", run.id(), lost_words(&overview)));
                }
                return is_meant;
            }
            _ => {}
        }
        // One that is being made has no lock yet, and perhaps not all its files.
        let has_result = !overview.damaged && overview.state != RunState::Crashed;
        if !has_result && age < BEING_MADE {
            return false;
        }
        self.state.is_empty() || self.state.iter().any(|state| state.takes(&overview))
    }
}

/// A run without a lock that is younger than this may just be beginning.
const BEING_MADE: SignedDuration = SignedDuration::from_secs(10);

/// How much the files in a folder hold; links are not followed.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Removes a folder; what is gone already needs no removing.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
