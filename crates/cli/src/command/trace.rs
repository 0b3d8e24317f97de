//! `belay trace`

mod end;
mod start;

use crate::fail::Fail;
use clap::{Args, Subcommand};

/// Begin and end traces that several runs belong to.
///
/// A trace is one file, `.belay/traces/ID.json` (docs/trace-format.md). Each run has one of its own, unless it is told
/// to which it belongs: from any process, also at the same time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  id=$(belay trace start --name hiveminer-run)
  belay run --trace $id --phase subreddit-discovery \"Find subreddits about climbing.\"
  belay run --trace $id --phase thread-discovery \"Find threads in them.\"
  belay trace end $id")]
pub(crate) struct Trace {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(start::Start),
    End(end::End),
}

impl Trace {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.verb {
            Verb::Start(start) => start.run(),
            Verb::End(end) => end.run(),
        }
    }
}
