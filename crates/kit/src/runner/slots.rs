//! How many runs of one agent may be at work at once: places that all processes of a user share.
//!
//! A place is a file in the state folder, taken by a lock on it: whoever is killed gives it back.

use super::chain::Stopped;
use super::{Caller, Runner};
use crate::journal::files::{check_owner, private_dirs, private_file};
use belay_trace::{Event, Level, lock};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How often a run that waits looks whether a place is free.
const LOOK: Duration = Duration::from_millis(200);

/// A place among those who may work at once; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot(#[expect(dead_code, reason = "holds the lock")] File);

impl Runner {
    /// Waits until no more runs of the agent are at work than may be.
    pub(super) async fn queue_up(&mut self, caller: &mut Caller) -> Result<(), Stopped> {
        let agent = self.client.agent.name();
        let Some(max) = self.client.max_concurrent(agent) else { return Ok(()) };
        let Some(state_dir) = &self.client.state_dir else {
            let words = "without a state folder nobody knows how many runs are at work at once";
            self.publisher.event(Event::notice(Level::Warn, "concurrency", words));
            return Ok(());
        };
        let folder = state_dir.join("slots").join(agent);
        let mut has_told = false;
        loop {
            match take(&folder, max) {
                Ok(Some(slot)) => {
                    self.slot = Some(slot);
                    return Ok(());
                }
                Ok(None) => {}
                // It is there to spare the machine, and no reason to do nothing.
                Err(error) => {
                    let words = format!("cannot count the runs in {}: {error}", folder.display());
                    self.publisher.event(Event::notice(Level::Warn, "concurrency", words));
                    return Ok(());
                }
            }
            if !std::mem::replace(&mut has_told, true) {
                let words = format!("{max} other runs of {agent} are at work; waiting for a place");
                self.publisher.event(Event::notice(Level::Info, "concurrency", words));
                self.publisher.flush().await;
            }
            caller.rest(Instant::now() + LOOK).await?;
        }
    }
}

/// Takes a free place, if there is one.
fn take(folder: &Path, max: u32) -> io::Result<Option<Slot>> {
    private_dirs(folder)?;
    check_owner(folder)?;
    for n in 0..max {
        let file = open(folder.join(n.to_string()))?;
        if lock::try_exclusive(&file)? {
            return Ok(Some(Slot(file)));
        }
    }
    Ok(None)
}

fn open(path: PathBuf) -> io::Result<File> {
    match private_file(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_places_are_taken_and_each_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("slots/claude-code");
        let first = take(&folder, 2).unwrap().unwrap();
        let second = take(&folder, 2).unwrap().unwrap();
        assert!(take(&folder, 2).unwrap().is_none());
        drop(first);
        let third = take(&folder, 2).unwrap().unwrap();
        // A smaller number holds for whoever has it.
        drop(second);
        assert!(take(&folder, 1).unwrap().is_none(), "the first place is taken");
        drop(third);
        assert!(take(&folder, 1).unwrap().is_some());
    }
}
