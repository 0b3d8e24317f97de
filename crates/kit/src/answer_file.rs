//! The file that an agent writes its answer to, where it does not print it.

use crate::temp_folder::TempFolder;
use belay_agents::Launch;
use belay_trace::open_regular;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// More than any answer, with the whole trajectory that it stands in.
const BYTES_MAX: u64 = 64 << 20;

/// The times of files are that coarse on some systems.
const COARSE: Duration = Duration::from_secs(2);

/// The file, which belay removes if it is one of its own.
#[derive(Clone, Debug)]
pub(crate) struct AnswerFile {
    path: PathBuf,
    is_own: bool,
    /// What was there before is no answer.
    since: SystemTime,
}

impl AnswerFile {
    /// The file that the launch names; the argument that says where it is gets its path.
    pub(crate) fn of(
        launch: &Launch,
        args: &mut [OsString],
        cwd: Option<&Path>,
        temp: Option<&TempFolder>,
    ) -> Option<Self> {
        let name = launch.answer_file.as_deref()?;
        let since = SystemTime::now().checked_sub(COARSE)?;
        if name != Launch::ANSWER {
            let path = cwd.map_or_else(|| PathBuf::from(name), |cwd| cwd.join(name));
            return Some(Self { path, is_own: false, since });
        }
        let path = PathBuf::from(temp?.variable().1).join("answer.json");
        for arg in args.iter_mut() {
            let text = arg.to_str().filter(|text| text.contains(Launch::ANSWER));
            if let Some(placed) =
                text.map(|text| text.replace(Launch::ANSWER, &path.to_string_lossy()))
            {
                *arg = placed.into();
            }
        }
        Some(Self { path, is_own: true, since })
    }

    /// What the agent has written, if it has.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let file = open_regular(&self.path).ok()?;
        let is_new =
            file.metadata().and_then(|data| data.modified()).is_ok_and(|at| at >= self.since);
        let mut bytes = Vec::new();
        is_new.then(|| file.take(BYTES_MAX).read_to_end(&mut bytes))?.ok()?;
        Some(bytes)
    }

    /// Removes it when it was read.
    pub(crate) fn remove(&self) {
        if self.is_own {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_no_answer_and_what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = Launch::new("x");
        launch.answer_file = Some("out.md".into());
        let file = AnswerFile::of(&launch, &mut [], Some(folder.path()), None).unwrap();
        assert_eq!(file.read(), None);
        let path = folder.path().join("out.md");
        fs::write(&path, "an answer").unwrap();
        assert_eq!(file.read().as_deref(), Some(&b"an answer"[..]));
        file.remove();
        assert!(path.exists(), "it is the user's");
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(file.read(), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(file.read(), None);
    }
}
