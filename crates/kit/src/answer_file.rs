//! The file that an agent writes its answer to, where it does not print it.

use crate::private_files::FileArgs;
use belay_agents::Launch;
use belay_trace::open_regular;
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// More than any answer, with the whole trajectory that it stands in.
const BYTES_MAX: u64 = 64 << 20;

/// The file, and what was in its place before the agent began.
#[derive(Clone, Debug)]
pub(crate) struct AnswerFile {
    path: PathBuf,
    before: Option<State>,
}

/// What changes when a file is written, or put in the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(data: &Metadata) -> Self {
        Self {
            file: (data.dev(), data.ino()),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl AnswerFile {
    /// The file that the launch names: one in the working folder, or one of the launch's own, whose path goes to the
    /// argument that says where it is. Call it before the agent is started.
    pub(crate) fn of(launch: &Launch, args: &mut FileArgs, cwd: Option<&Path>) -> Option<Self> {
        let name = launch.answer_file.as_deref()?;
        if name != Launch::ANSWER {
            let path = cwd.map_or_else(|| PathBuf::from(name), |cwd| cwd.join(name));
            let before = fs::metadata(&path).ok().map(|data| State::of(&data));
            return Some(Self { path, before });
        }
        let path = args.folder()?.join("answer.json");
        for arg in &mut args.args {
            let text = arg.to_str().filter(|text| text.contains(Launch::ANSWER));
            let placed = text.map(|text| text.replace(Launch::ANSWER, &path.to_string_lossy()));
            if let Some(placed) = placed {
                *arg = placed.into();
            }
        }
        Some(Self { path, before: None })
    }

    /// What the agent has written; `None` if it has written nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or is too large to be an answer.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match open_regular(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let data = file.metadata()?;
        if self.before == Some(State::of(&data)) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > BYTES_MAX {
            let words = format!("it has more than {} MB", BYTES_MAX / 1_000_000);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_files::PrivateFiles;

    fn args(launch: &Launch, place: &Path) -> FileArgs {
        PrivateFiles::write(launch, place, "1").unwrap().into_args(launch, &[])
    }

    #[test]
    fn what_was_there_before_is_no_answer_and_what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = Launch::new("x");
        launch.answer_file = Some("out.md".into());
        let of = || {
            AnswerFile::of(&launch, &mut args(&launch, folder.path()), Some(folder.path())).unwrap()
        };
        let file = of();
        assert_eq!(file.read().unwrap(), None);
        let path = folder.path().join("out.md");
        fs::write(&path, "an answer").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"an answer"[..]));
        // That of the attempt before, a moment ago.
        let file = of();
        assert_eq!(file.read().unwrap(), None);
        fs::write(&path, "another one").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"another one"[..]));
        fs::File::options().write(true).open(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("more than"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(file.read().is_err());
    }

    #[test]
    fn a_file_of_its_own_goes_with_the_launch() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = Launch::new("x");
        launch.answer_file = Some(Launch::ANSWER.to_owned());
        launch.args.push(format!("-o={}", Launch::ANSWER));
        let mut args = args(&launch, &folder.path().join("private"));
        let file = AnswerFile::of(&launch, &mut args, None).unwrap();
        let path = args.args[0].to_str().unwrap().strip_prefix("-o=").unwrap();
        fs::write(path, "an answer").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"an answer"[..]));
        drop(args);
        assert_eq!(fs::read_dir(folder.path().join("private")).unwrap().count(), 0);
    }
}
