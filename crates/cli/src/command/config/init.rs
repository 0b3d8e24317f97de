//! `belay config init`

use super::path;
use crate::config::places::Places;
use crate::config::{Which, starter};
use crate::fail::Fail;
use crate::say::say;
use belay_trace::exit_code;
use clap::Args;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Write a first file with every key, explained and commented out; never over one that is there.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// For the project, at the root of its git repository, instead of for you.
    #[arg(long)]
    project: bool,
}

impl Init {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let which = if self.project { Which::Project } else { Which::User };
        let path = path(&Places::of(None), which)?;
        write(which, &path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Fail::usage(format!("there is {} already", path.display()))
                .hint("edit it, or take it away first"),
            _ => Fail::local(format!("cannot write {}: {error}", path.display())),
        })?;
        say(format_args!("wrote {}; all of it is commented out", path.display()));
        Ok(exit_code::ANSWERED)
    }
}

fn write(which: Which, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    // Yours is nobody else's business, and neither are traces, which the project's folder holds too.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = match which {
        Which::User => 0o600,
        Which::Project => 0o644,
    };
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(path)?;
    file.write_all(starter::text(which).as_bytes())?;
    if which == Which::Project {
        keep_rest_out_of_git(folder)?;
    }
    Ok(())
}

/// The folder keeps itself out of commits, as it does for whoever writes traces there; the configuration is the
/// project's.
fn keep_rest_out_of_git(folder: &Path) -> io::Result<()> {
    let ignore = folder.join(".gitignore");
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&ignore);
    match made {
        Ok(mut file) => file.write_all(b"*\n!/config.toml\n"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let ignores = std::fs::read_to_string(&ignore).unwrap_or_default();
            if !ignores.lines().any(|line| line.trim() == "!/config.toml") {
                say(format_args!("git may ignore it: add `!/config.toml` to {}", ignore.display()));
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}
