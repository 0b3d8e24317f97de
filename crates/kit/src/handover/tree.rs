//! What a folder was like before a run, and what has become of it.
//!
//! It is looked at on threads of its own, which are left alone when a disk does not answer: nothing waits for them,
//! a run's end least of all.

use super::compare::{Comparison, compare};
use super::patience::Patience;
use super::snapshot::Snapshot;
use super::stat::{self, Time};
use crate::{Environment, limits};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The folder as it was when the run began, or will be known shortly.
#[derive(Debug, Default)]
pub(crate) struct Base {
    taken: Option<Taken>,
    env: Arc<Environment>,
    /// When the agent got its prompt, if the folder was not looked at by then.
    began: Arc<OnceLock<Time>>,
}

#[derive(Debug)]
enum Taken {
    UnderWay(Look<Snapshot>),
    Done(Result<Arc<Snapshot>, String>),
}

/// What has changed since.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changes {
    /// A letter as git has it (A, M, D) and the path below the top of the repository or below the folder; or why they
    /// are not known. A question mark is for what may have been changed before it was looked at.
    pub(crate) files: Result<Vec<(char, String)>, String>,
    /// The diff, or its beginning; nothing outside of git.
    pub(crate) diff: String,
    /// What was not looked at.
    pub(crate) unseen: Vec<String>,
    /// Whether there are files that git ignores, which are not looked at either.
    pub(crate) has_ignored: bool,
    /// Whether the agent was at work before the folder was looked at.
    pub(crate) is_late: bool,
    /// Since when.
    pub(crate) since: &'static str,
}

/// The beginning of the run that looks.
const RUN: &str = "since the run began";

/// What nobody has looked at before.
const COMMIT: &str = "that are not committed";

impl Changes {
    pub(super) fn unknown(why: &str) -> Self {
        Self {
            files: Err(why.to_owned()),
            diff: String::new(),
            unseen: Vec::new(),
            has_ignored: false,
            is_late: false,
            since: RUN,
        }
    }

    /// True if a file is known not to be what it was.
    pub(crate) fn is_certain(&self) -> bool {
        self.files.as_ref().is_ok_and(|files| files.iter().any(|(letter, _)| *letter != '?'))
    }

    fn of(compared: Result<Comparison, String>, since: &'static str, is_late: bool) -> Self {
        match compared {
            Ok(Comparison { files, diff, unseen, has_ignored }) => {
                Self { files: Ok(files), diff, unseen, has_ignored, is_late, since }
            }
            Err(why) => Self { since, ..Self::unknown(&why) },
        }
    }
}

impl Base {
    /// Begins to look at the folder, while the agent starts.
    pub(crate) fn begin(folder: Option<&Path>, env: &Arc<Environment>) -> Self {
        let (env, began) = (Arc::clone(env), Arc::default());
        let taken = folder.map(|folder| {
            let (folder, env, began) = (folder.to_owned(), Arc::clone(&env), Arc::clone(&began));
            let look = move |patience: &Patience| Snapshot::take(&folder, &env, patience, &began);
            Taken::UnderWay(Look::begin(look))
        });
        Self { taken, env, began }
    }

    /// Waits until the folder was looked at, before an agent may change it; but not for long. What takes longer goes
    /// on beside the agent, and what it may have changed by then is told as uncertain.
    pub(crate) async fn ready(&mut self) {
        if !self.wait(limits::LOOK_BEFORE_PROMPT).await {
            let _ = self.began.set(stat::now());
        }
    }

    /// Waits for the snapshot, and says whether it is there.
    async fn wait(&mut self, patience: Duration) -> bool {
        if let Some(Taken::UnderWay(look)) = &mut self.taken {
            let Ok(before) = tokio::time::timeout(patience, look.result()).await else {
                return false;
            };
            self.taken = Some(Taken::Done(before.map(Arc::new)));
        }
        true
    }

    /// What has changed since.
    pub(crate) async fn changes(&mut self) -> Changes {
        if !self.wait(limits::LOOK).await {
            self.taken = Some(Taken::Done(Err(TOO_LONG.to_owned())));
        }
        let Some(Taken::Done(before)) = &self.taken else {
            return Changes::unknown("nobody looked at the folder before");
        };
        let before = match before {
            Ok(before) => Arc::clone(before),
            Err(why) => return Changes::unknown(why),
        };
        let (began, env) = (self.began.get().copied(), Arc::clone(&self.env));
        let look = move |patience: &Patience| compare(&before, began, &env, patience);
        let mut look = Look::begin(look);
        let compared = tokio::time::timeout(limits::LOOK, look.result()).await;
        let compared = compared.unwrap_or_else(|_| Err(TOO_LONG.to_owned()));
        Changes::of(compared, RUN, began.is_some())
    }
}

#[cfg(test)]
impl Base {
    /// Waits for the snapshot, however long it takes.
    pub(super) async fn complete(&mut self) {
        assert!(self.wait(limits::LOOK_MAX).await);
    }

    /// Looks at a folder after something was done to it by an agent that had its prompt.
    pub(super) fn late(folder: &Path, env: &Arc<Environment>, act: impl FnOnce()) -> Self {
        let began = Arc::new(OnceLock::from(stat::now()));
        act();
        let taken = {
            let (folder, env, began) = (folder.to_owned(), Arc::clone(env), Arc::clone(&began));
            Look::begin(move |patience: &Patience| Snapshot::take(&folder, &env, patience, &began))
        };
        Self { taken: Some(Taken::UnderWay(taken)), env: Arc::clone(env), began }
    }
}

/// What is in a folder and not in its last commit, for a run whose beginning nobody has seen.
pub(super) fn uncommitted(folder: &Path, env: &Environment) -> Changes {
    let (folder, env) = (folder.to_owned(), env.clone());
    let look = Look::begin(move |patience: &Patience| {
        let before = Snapshot::committed(&folder, &env, patience)?;
        compare(&before, None, &env, patience)
    });
    Changes::of(look.wait(limits::LOOK), COMMIT, false)
}

const TOO_LONG: &str = "the folder takes too long to look at";

/// How many threads may look at folders at once: those that a dead disk holds stay.
const LOOKS_MAX: usize = 256;

static LOOKS: AtomicUsize = AtomicUsize::new(0);

/// A thread that looks at something, and that can be abandoned.
#[derive(Debug)]
struct Look<T> {
    result: oneshot::Receiver<io::Result<T>>,
    patience: Patience,
}

impl<T: Send + 'static> Look<T> {
    fn begin(look: impl FnOnce(&Patience) -> io::Result<T> + Send + 'static) -> Self {
        let (done, result) = oneshot::channel();
        let patience = Patience::new(limits::LOOK_MAX);
        let of_thread = patience.clone();
        if LOOKS.fetch_add(1, Ordering::Relaxed) >= LOOKS_MAX {
            LOOKS.fetch_sub(1, Ordering::Relaxed);
            // Without its sender the result is that nothing is known.
            return Self { result, patience };
        }
        let work = move || {
            let _ = done.send(look(&of_thread));
            LOOKS.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().name("belay-look".to_owned()).spawn(work).is_err() {
            LOOKS.fetch_sub(1, Ordering::Relaxed);
        }
        Self { result, patience }
    }

    async fn result(&mut self) -> Result<T, String> {
        match (&mut self.result).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the folder cannot be looked at".to_owned()),
        }
    }

    /// Waits without a runtime.
    fn wait(mut self, patience: Duration) -> Result<T, String> {
        let until = Instant::now() + patience;
        loop {
            match self.result.try_recv() {
                Ok(result) => return result.map_err(|error| error.to_string()),
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err("the folder cannot be looked at".to_owned());
                }
                Err(oneshot::error::TryRecvError::Empty) if Instant::now() > until => {
                    return Err(TOO_LONG.to_owned());
                }
                Err(oneshot::error::TryRecvError::Empty) => thread::sleep(limits::LOOK_POLL),
            }
        }
    }
}

impl<T> Drop for Look<T> {
    fn drop(&mut self) {
        self.patience.abandon();
    }
}
