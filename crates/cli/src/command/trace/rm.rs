//! `belay trace rm`

use super::{Names, TraceDirFlag};
use crate::command::prune::time;
use crate::fail::Fail;
use crate::figures;
use crate::page::Page;
use crate::say::warn;
use belay_trace::{StoredTrace, exit_code};
use clap::Args;
use jiff::SignedDuration;
use std::fs;
use std::io::{self, Write as _};
use std::time::SystemTime;

/// Remove traces, and say how much that was. The journals of the runs stay (`belay prune`).
///
/// A link, and whatever else is not a trace of the folder, is not touched; if one of several ids could mean more than
/// one trace, nothing is removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay trace rm 62216721
  belay trace rm hiveminer-run 62216721
  belay trace rm --older-than 30d --dry-run")]
pub(super) struct Rm {
    /// Their ids, or parts of them that no other trace has.
    #[arg(value_name = "ID", required_unless_present = "older_than")]
    ids: Vec<String>,

    /// Those that were last written longer ago than this: 12h, 30d, 2w.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "ids")]
    older_than: Option<SignedDuration>,

    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    trace_dir: TraceDirFlag,
}

impl Rm {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let traces = self.trace_dir.traces();
        let all = traces.all().map_err(|error| {
            Fail::local(format!("cannot read {}: {error}", traces.dir().display()))
                .hint("choose another folder with --trace-dir")
        })?;
        let names = Names::of(&all);
        let mut wanted = match self.older_than {
            Some(age) => all.into_iter().filter(|trace| is_older(trace, age)).collect(),
            // All of them are known before the first one goes.
            None => {
                self.ids.iter().map(|id| self.trace_dir.find(id)).collect::<Result<Vec<_>, _>>()?
            }
        };
        wanted.sort_by(|a, b| a.id().cmp(b.id()));
        wanted.dedup();
        let page = Page::new();
        let mut out = page.clone();
        let (mut removed, mut bytes, mut failed) = (0, 0, 0);
        for trace in &wanted {
            // The entry itself: what is removed is a name in the folder, wherever it leads.
            let size = fs::symlink_metadata(trace.path()).map_or(0, |data| data.len());
            if self.dry_run {
                let _ = writeln!(out, "{}  {}", names.get(trace.id()), figures::bytes(size));
            } else if let Err(error) = remove(trace) {
                warn(format_args!("cannot remove {}: {error}", trace.path().display()));
                failed += 1;
                continue;
            }
            (removed, bytes) = (removed + 1, bytes + size);
        }
        let count = if removed == 1 { "1 trace".to_owned() } else { format!("{removed} traces") };
        let _ = match (removed, self.dry_run) {
            (0, _) => writeln!(out, "there is nothing to remove"),
            (_, true) => writeln!(out, "would remove {count}, {}", figures::bytes(bytes)),
            (_, false) => writeln!(out, "removed {count}, {}", figures::bytes(bytes)),
        };
        page.end()?;
        match failed {
            0 => Ok(exit_code::ANSWERED),
            n => Err(Fail::local(format!("{n} of {} could not be removed", wanted.len()))
                .hint("the warnings above say why")),
        }
    }
}

fn is_older(trace: &StoredTrace, age: SignedDuration) -> bool {
    let since = SystemTime::now().duration_since(trace.written()).unwrap_or_default();
    SignedDuration::try_from(since).is_ok_and(|since| since >= age)
}

/// Removes a trace; what is gone already needs no removing.
fn remove(trace: &StoredTrace) -> io::Result<()> {
    match fs::remove_file(trace.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
