//! `belay config`

mod init;
mod show;

use crate::config::places::Places;
use crate::config::{self, Which};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::page::Page;
use crate::terminal;
use belay_trace::{exit_code, visible_line};
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Show what holds and why, and write first configuration files.
///
/// Your own file is $XDG_CONFIG_HOME/belay/config.toml or ~/.config/belay/config.toml; a project's is
/// .belay/config.toml in the working directory, or in the nearest folder above that has one, up to the root of the
/// git repository. docs/config.md has every key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay config init
  belay config show --profile cheap
  belay config show --json | jq .settings.max_cost
  $EDITOR \"$(belay config path)\"")]
pub(crate) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(show::Show),
    Init(init::Init),
    Path(PathOf),
    Check(Check),
}

impl Config {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.what {
            What::Show(show) => show.run(),
            What::Init(init) => init.run(),
            What::Path(path) => path.run(),
            What::Check(check) => check.run(),
        }
    }
}

/// Print where your file is, or would be.
#[derive(Debug, Args)]
struct PathOf {
    /// The project's file instead.
    #[arg(long)]
    project: bool,
}

impl PathOf {
    fn run(self) -> Result<u8, Fail> {
        let path =
            path(&Places::of(None), if self.project { Which::Project } else { Which::User })?;
        closed_pipe_is_fine(writeln!(terminal::stdout(), "{}", path.display()))?;
        Ok(exit_code::ANSWERED)
    }
}

/// Where a file is, or would be.
fn path(places: &Places, which: Which) -> Result<PathBuf, Fail> {
    let path = match which {
        Which::User => places.user.as_deref(),
        Which::Project => {
            let there = places.project.iter().find(|path| path.symlink_metadata().is_ok());
            there.map(PathBuf::as_path).or(places.new_project_file())
        }
    };
    path.map(Path::to_owned).ok_or_else(|| {
        Fail::usage("there is no HOME for a configuration")
            .hint("set HOME or XDG_CONFIG_HOME to an absolute path")
    })
}

/// Say all that is wrong in the files.
#[derive(Debug, Args)]
struct Check {}

impl Check {
    fn run(self) -> Result<u8, Fail> {
        let page = Page::new();
        let mut out = page.clone();
        let mut wrong = Vec::new();
        for file in config::check(&Places::of(None)) {
            match file {
                Ok(Some(path)) => {
                    let _ = writeln!(out, "{}: fine", visible_line(&path.to_string_lossy()));
                }
                Ok(None) => {}
                Err(file) => wrong.extend(file.all()),
            }
        }
        page.end()?;
        if wrong.is_empty() {
            return Ok(exit_code::ANSWERED);
        }
        for mistake in wrong {
            let _ = mistake.report();
        }
        Ok(exit_code::CONFIGURATION)
    }
}
