//! The folders of runs, whole or not.

use crate::overview::begun;
use crate::store::{Store, StoredRun};
use std::fs;
use std::io;

impl Store {
    /// Every folder that a run has made, newest first: also those that a crash left without a journal, or of
    /// which somebody has removed a part. Nothing else that lies there, and no link.
    ///
    /// # Errors
    /// When the folder of the runs cannot be read; one that does not exist has no runs.
    pub fn folders(&self) -> io::Result<Vec<StoredRun>> {
        let entries = match fs::read_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // The type of the entry itself: a link is not what it points at.
            if let Some(id) = name.to_str().filter(|id| begun(id).is_some())
                && entry.file_type()?.is_dir()
            {
                runs.push(StoredRun::at(id, entry.path()));
            }
        }
        runs.sort_by(|a, b| b.id().cmp(a.id()));
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RUNS_DIR;

    #[test]
    fn only_folders_that_a_run_has_made_are_runs() {
        let state = std::env::temp_dir().join(format!("belay-folders-{}", std::process::id()));
        let runs = state.join(RUNS_DIR);
        let id = |n: u32| format!("01a1fded-c7f0-76d1-9a5c-f99e6221672{n}");
        for name in ["notes", "01a1fded", "01a1fded-c7f0-46d1-9a5c-f99e62216721", &id(1), &id(2)] {
            fs::create_dir_all(runs.join(name)).unwrap();
        }
        fs::write(runs.join(id(3)), "a file").unwrap();
        std::os::unix::fs::symlink(runs.join("notes"), runs.join(id(4))).unwrap();
        let found = Store::new(&state).folders().unwrap();
        assert_eq!(found.iter().map(StoredRun::id).collect::<Vec<_>>(), [id(2), id(1)]);
        assert!(Store::new(state.join("none")).folders().unwrap().is_empty());
        fs::remove_dir_all(state).unwrap();
    }
}
