//! Finds and reads what an agent itself has written down about a session.
//!
//! Only below the folder that the agent's environment names, and through no link: what an agent leaves there is
//! not always the user's own work.

use crate::aside;
use crate::limits;
use belay_agents::{Agent, Response, SessionFiles};
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The two folders that an agent may keep its files in, as its environment names them.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    vars: Vec<(OsString, OsString)>,
}

impl Homes {
    /// From the environment that the agent sees.
    pub(super) fn of(env: &[(OsString, OsString)]) -> Self {
        Self { vars: env.to_vec() }
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// The folder of all sessions; a relative path is relative to we do not know what.
    fn sessions(&self, files: &SessionFiles) -> Option<PathBuf> {
        let home = self.get(files.home_env).map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(self.get("HOME")?).join(files.home)))?;
        home.is_absolute().then(|| home.join(files.folder))
    }
}

/// What an agent has written down of a session, and of those of its helpers.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Its responses, those of helpers first.
    pub(super) responses: Vec<Response>,
    /// The helpers whose last turn did not come to its own end, by what they are called.
    pub(super) cut: Vec<String>,
}

/// What the session's responses since `since` have used; nothing if there is no such file, or if it is not read
/// in time.
pub(super) async fn read(
    agent: Arc<dyn Agent>,
    homes: Homes,
    session_id: &str,
    since: Timestamp,
) -> Account {
    let session_id = session_id.to_owned();
    let reading = aside::begin(move || read_all(&*agent, &homes, session_id, since));
    match tokio::time::timeout(limits::ACCOUNT, reading).await {
        Ok(Some(account)) => account,
        Ok(None) | Err(_) => Account::default(),
    }
}

/// The session's own file, and those of its helpers, which may have helpers too.
fn read_all(agent: &dyn Agent, homes: &Homes, session_id: String, since: Timestamp) -> Account {
    let mut account = Account::default();
    let mut own = Vec::new();
    let mut sessions = vec![(session_id, None::<String>)];
    let mut left = limits::ACCOUNT_BYTES_MAX;
    let mut at = 0;
    while let Some((id, name)) = sessions.get(at).cloned() {
        at += 1;
        let Some(files) = agent.session_files(&id) else { continue };
        let Some(file) = homes.sessions(&files).and_then(|folder| find(&folder, &files)) else {
            continue;
        };
        let texts = texts(&file, &files, &mut left);
        let lines = || texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
        let responses = agent.read_session(since, &mut lines());
        let notes = agent.session_notes(since, &mut lines());
        match name {
            None => own = responses,
            Some(name) => {
                let of_helper = |response| Response { is_helper: true, ..response };
                account.responses.extend(responses.into_iter().map(of_helper));
                account.cut.extend(Some(name).filter(|_| notes.is_cut));
            }
        }
        for (id, name) in notes.helpers {
            let is_new = sessions.iter().all(|(known, _)| *known != id);
            if is_new && sessions.len() <= limits::ACCOUNT_HELPERS_MAX {
                sessions.push((id, Some(name)));
            }
        }
    }
    account.responses.append(&mut own);
    account
}

/// How far the files of a session were read, so that each line is read once.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSoFar(HashMap<PathBuf, u64>);

/// What is wanted of the lines that the files of a session have gained, and how far they are read then; nothing new if
/// there is no such file, or if it is not read in time.
pub(super) async fn news(
    agent: Arc<dyn Agent>,
    homes: Homes,
    session_id: String,
    mut read: ReadSoFar,
    wanted: impl FnOnce(&dyn Agent, Vec<u8>) -> Vec<u8> + Send + 'static,
) -> (Vec<u8>, ReadSoFar) {
    let before = read.clone();
    let Some(files) = agent.session_files(&session_id) else { return (Vec::new(), before) };
    let reading = aside::begin(move || {
        let file = homes.sessions(&files).and_then(|folder| find(&folder, &files));
        let lines = file.map(|file| wanted(&*agent, read.news(&file, &files)));
        (lines.unwrap_or_default(), read)
    });
    match tokio::time::timeout(limits::ACCOUNT, reading).await {
        Ok(Some(news)) => news,
        Ok(None) | Err(_) => (Vec::new(), before),
    }
}

impl ReadSoFar {
    fn news(&mut self, file: &Path, files: &SessionFiles) -> Vec<u8> {
        let mut news = Vec::new();
        for path in paths(file, files) {
            let left = limits::WITNESS_BYTES_MAX.saturating_sub(news.len() as u64);
            let from = self.0.get(&path).copied().unwrap_or_default();
            let Ok((text, to)) = lines_from(&path, from, left) else { continue };
            self.0.insert(path, to);
            news.extend(text);
        }
        news
    }
}

/// The session's file, the newest if there are several.
fn find(folder: &Path, files: &SessionFiles) -> Option<PathBuf> {
    if !is_plain(folder, fs::FileType::is_dir) {
        return None;
    }
    let mut folders = vec![folder.to_owned()];
    let mut left = limits::ACCOUNT_ENTRIES_MAX;
    for _ in 0..files.levels {
        let below = folders.iter().flat_map(|folder| entries(folder));
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders = below.take(left).map(|entry| entry.path()).collect();
        left -= folders.len();
    }
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for folder in folders {
        if files.prefix.is_empty() {
            found.extend(dated(folder.join(&files.suffix)));
            continue;
        }
        for entry in entries(&folder).take(left) {
            left -= 1;
            if is_named(&entry.file_name(), files) {
                found.extend(dated(entry.path()));
            }
        }
    }
    found.into_iter().max().map(|(_, path)| path)
}

fn is_named(name: &OsStr, files: &SessionFiles) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(files.prefix));
    name.is_some_and(|name| name.ends_with(&files.suffix))
}

fn dated(path: PathBuf) -> Option<(SystemTime, PathBuf)> {
    let data = fs::symlink_metadata(&path).ok().filter(|data| data.file_type().is_file())?;
    Some((data.modified().ok()?, path))
}

/// True for what is there itself, and not a link to it.
fn is_plain(path: &Path, is: fn(&fs::FileType) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| is(&data.file_type()))
}

fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// The ends of the session's file and of those beside it: the last turn is at the end.
fn texts(file: &Path, files: &SessionFiles, left: &mut u64) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for path in paths(file, files) {
        let Ok(text) = end_of(&path, *left) else { continue };
        *left -= text.len() as u64;
        texts.push(text);
    }
    texts
}

/// The session's file and those beside it.
fn paths(file: &Path, files: &SessionFiles) -> Vec<PathBuf> {
    let mut paths = vec![file.to_owned()];
    if let (Some(beside), Some(folder)) = (&files.beside, file.parent()) {
        let beside = folder.join(beside);
        let whole = beside.ancestors().take_while(|path| *path != folder);
        if whole.into_iter().all(|path| is_plain(path, fs::FileType::is_dir)) {
            let more = entries(&beside).map(|entry| entry.path());
            let more = more.filter(|path| path.extension() == Some(OsStr::new("jsonl")));
            paths.extend(more.take(limits::ACCOUNT_ENTRIES_MAX));
        }
    }
    paths
}

/// The last bytes of a file, from the beginning of a line.
fn end_of(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_from(open(path)?, 0, bytes_max)
}

/// The whole lines of a file behind `from`, the last ones if they are too many, and where they end.
fn lines_from(path: &Path, from: u64, bytes_max: u64) -> io::Result<(Vec<u8>, u64)> {
    let file = open(path)?;
    let len = file.metadata()?.len();
    // A file that was written anew has nothing that was read.
    let from = if from > len { 0 } else { from };
    let mut text = read_from(file, from, bytes_max)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let rest = (text.len() - whole) as u64;
    text.truncate(whole);
    Ok((text, len.max(from) - rest))
}

/// Opens a file that is the user's own and no link, and waits for nobody.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other("not a file"));
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("not the user's own"));
    }
    Ok(file)
}

/// What stands behind `from`, the last bytes of it if it is too long, from the beginning of a line.
fn read_from(mut file: File, from: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    let begin = from.max(len.saturating_sub(bytes_max));
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.take(len - begin.min(len)).read_to_end(&mut text)?;
    if begin > from {
        let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        text.drain(..line);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Claude, Codex};
    use std::os::unix::fs::symlink;
    use std::time::Duration;
    use tempfile::TempDir;

    const ID: &str = "01a1ff08-3074-7d90-bf25-c517911e63d1";

    fn record(input: u64) -> String {
        format!(
            "{{\"timestamp\":\"2026-11-21T16:54:49Z\",\"type\":\"token_usage_record\",\
             \"payload\":{{\"usage\":{{\"input_tokens\":{input}}}}}}}\n"
        )
    }

    /// The inputs of the responses that are found in this home.
    fn inputs(vars: &[(&str, &Path)], agent: Arc<dyn Agent>) -> Vec<u64> {
        let vars: Vec<_> = vars.iter().map(|(name, dir)| ((*name).into(), (*dir).into())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let since = "2026-11-21T16:54:00Z".parse().unwrap();
        let read = runtime.block_on(read(agent, Homes::of(&vars), ID, since));
        read.responses.iter().map(|response| response.tokens.input).collect()
    }

    fn of_codex(home: &TempDir) -> Vec<u64> {
        inputs(
            &[("HOME", Path::new("/nowhere")), ("CODEX_HOME", home.path())],
            Arc::new(Codex::new()),
        )
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn rollout(home: &TempDir, day: &str) -> PathBuf {
        home.path()
            .join(format!("sessions/2026/11/{day}/rollout-2026-11-{day}T16-54-49-{ID}.jsonl"))
    }

    #[test]
    fn the_newest_file_of_the_session_is_read_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(of_codex(&home), [0; 0]);
        let path = rollout(&home, "20");
        write(&path, &record(1));
        write(&rollout(&home, "21"), &record(2));
        write(&rollout(&home, "22").with_file_name("rollout-2026-other.jsonl"), &record(3));
        let old = SystemTime::now() - Duration::from_secs(60);
        File::open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(of_codex(&home), [2]);
    }

    #[test]
    fn a_link_leads_nowhere() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let real = rollout(&elsewhere, "21");
        write(&real, &record(1));
        fs::create_dir_all(rollout(&home, "21").parent().unwrap()).unwrap();
        symlink(&real, rollout(&home, "21")).unwrap();
        assert_eq!(of_codex(&home), [0; 0], "a linked file");
        let day = rollout(&home, "21").parent().unwrap().to_owned();
        fs::remove_dir_all(&day).unwrap();
        symlink(real.parent().unwrap(), &day).unwrap();
        assert_eq!(of_codex(&home), [0; 0], "a linked folder");
        fs::remove_dir_all(home.path().join("sessions")).unwrap();
        symlink(elsewhere.path().join("sessions"), home.path().join("sessions")).unwrap();
        assert_eq!(of_codex(&home), [0; 0], "a linked folder of all sessions");
    }

    #[test]
    fn a_file_that_is_too_long_is_read_from_a_line_near_its_end() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        write(&path, "one\ntwo\nthree\n");
        assert_eq!(end_of(&path, 100).unwrap(), b"one\ntwo\nthree\n");
        assert_eq!(end_of(&path, 12).unwrap(), b"two\nthree\n");
        assert_eq!(end_of(&path, 3).unwrap(), b"");
    }

    #[test]
    fn a_file_that_grows_is_read_line_by_line_and_each_line_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        write(&path, "one\ntw");
        assert_eq!(lines_from(&path, 0, 100).unwrap(), (b"one\n".to_vec(), 4));
        write(&path, "one\ntwo\nthree\n");
        assert_eq!(lines_from(&path, 4, 100).unwrap(), (b"two\nthree\n".to_vec(), 14));
        assert_eq!(lines_from(&path, 4, 7).unwrap(), (b"three\n".to_vec(), 14));
        assert_eq!(lines_from(&path, 14, 100).unwrap(), (Vec::new(), 14));
        write(&path, "new\n");
        assert_eq!(lines_from(&path, 14, 100).unwrap(), (b"new\n".to_vec(), 4));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let path = rollout(&home, "21");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(of_codex(&home), [0; 0]);
        assert!(end_of(&path, 100).is_err());
    }

    #[test]
    fn the_sessions_of_subagents_stand_beside_that_of_claude() {
        let home = tempfile::tempdir().unwrap();
        let line = |id: &str, input: u64| {
            format!(
                "{{\"type\":\"assistant\",\"timestamp\":\"2026-11-21T16:54:49Z\",\"message\":\
                 {{\"id\":\"{id}\",\"usage\":{{\"input_tokens\":{input}}}}}}}\n"
            )
        };
        let projects = home.path().join(".claude/projects");
        write(&projects.join(format!("-a/{ID}.jsonl")), &line("m1", 1));
        write(&projects.join(format!("-a/{ID}/subagents/agent-1.jsonl")), &line("m2", 2));
        write(&projects.join(format!("-a/{ID}/subagents/agent-1.meta.json")), &line("m3", 3));
        write(&projects.join(format!("-b/x{ID}.jsonl")), &line("m4", 4));
        let vars = [("HOME", home.path())];
        assert_eq!(inputs(&vars, Arc::new(Claude::new())), [1, 2]);
        let other = tempfile::tempdir().unwrap();
        let vars = [("HOME", home.path()), ("CLAUDE_CONFIG_DIR", other.path())];
        assert_eq!(inputs(&vars, Arc::new(Claude::new())), [0; 0]);
    }

    #[test]
    fn an_id_that_is_a_path_is_no_id() {
        for id in ["../../../etc/passwd", "a/b/c/d/e/f", "", "short", "*********"] {
            assert_eq!(Claude::new().session_files(id), None, "{id}");
            assert_eq!(Codex::new().session_files(id), None, "{id}");
        }
    }
}
