//! A session has one user, and two runs that may edit the same folder know of each other.
//!
//! `STATE_DIR/locks` has three folders. In `sessions` each session that is resumed has a file, named by a hash over
//! the agent's home and the session's id, which the run that uses it holds by a lock of the system: whoever dies
//! gives it back at once, however he dies. Until the session of a `--continue` is known, it is a file for the
//! folder. In `runs` each run at work has a file that says where it works and which sessions it uses: a new
//! session, whose id nobody can know before, is in use by that. In `queue` stand those who wait, in order.
//!
//! When belay is killed, its supervisor takes up to two seconds to end the agent. The lock is free by then, but its
//! file names the processes that may live on: as long as one does, the session is in use.
//!
//! No lock stops a run: where files cannot be locked, or a disk hangs, the run goes on without, and says so.

mod bounded;
mod files;
mod place;
#[cfg(test)]
mod tests;
mod user;

pub(crate) use self::user::User;

use self::files::{Found, Held, Take};
use self::place::{Names, Place};
use crate::{Client, limits};
use belay_agents::{Permissions, RunRequest, Session};
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The folder of all this, in the state folder.
const LOCKS_DIR: &str = "locks";

/// How often a lock is tried that is held for a moment only.
const LOOK: Duration = Duration::from_millis(5);

/// What a run holds, and what it needs to hold more.
#[derive(Debug)]
pub(crate) struct SessionLocks {
    task: Task,
    /// The sessions, by the names of their files.
    held: Vec<Held>,
    /// That the run is at work.
    mark: Option<Held>,
    /// Its place in the queue.
    ticket: Option<Held>,
    /// Why there are no locks.
    broken: Option<String>,
}

/// What is asked of a thread that looks at files.
#[derive(Clone, Debug)]
struct Task {
    folder: PathBuf,
    places: Vec<Place>,
    cwd: PathBuf,
    wanted: Wanted,
    names: Names,
    user: User,
    /// The sessions that the run is known to use.
    sessions: Vec<String>,
    may_edit: bool,
}

/// What a run uses from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Session(String),
    /// The latest one of the folder.
    Latest,
}

/// Whether a session may be used.
#[derive(Debug)]
pub(crate) enum Claim {
    /// By nobody else.
    Ours,
    /// Another run uses it.
    InUse(User),
    /// A run whose process is gone has left its agent behind, which is about to end.
    LeftBehind(User),
    /// Nobody can tell.
    Unlocked(String),
}

/// What stands in the file of a run at work.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    user: User,
    places: Vec<String>,
    folder: String,
    #[serde(default)]
    tree: Option<String>,
    may_edit: bool,
    sessions: Vec<String>,
}

impl SessionLocks {
    /// What a run of `request` has to hold; nothing without a folder to keep locks in.
    pub(crate) fn of(client: &Client, request: &RunRequest, run_id: &str) -> Option<Self> {
        let folder = client.locks()?.join(LOCKS_DIR);
        let places = (0..client.chain().count()).map(|n| Place::of(&client.turn(n)));
        let wanted = match &request.session {
            Session::Resume(id) => Wanted::Session(id.clone()),
            Session::Continue => Wanted::Latest,
            _ => Wanted::Nothing,
        };
        let cwd = match &request.cwd {
            Some(cwd) => std::path::absolute(cwd).unwrap_or_else(|_| cwd.clone()),
            None => std::env::current_dir().unwrap_or_default(),
        };
        let task = Task {
            folder,
            places: places.collect(),
            cwd,
            wanted,
            names: Names::default(),
            user: User::new(run_id, client.agent.name()),
            sessions: Vec::new(),
            may_edit: request.permissions != Some(Permissions::ReadOnly),
        };
        Some(Self { task, held: Vec::new(), mark: None, ticket: None, broken: None })
    }

    /// True for a run that uses a session which others may use.
    pub(crate) fn is_needed(request: &RunRequest) -> bool {
        matches!(request.session, Session::Resume(_) | Session::Continue)
    }

    /// Takes the session that the run begins with, if nobody uses it.
    pub(crate) async fn claim(&mut self) -> Claim {
        let (task, has_ticket) = (self.task.clone(), self.ticket.is_some());
        let claimed = bounded::run(move || task.claim(has_ticket)).await;
        self.claimed(claimed)
    }

    /// The same for a caller that cannot wait otherwise.
    pub(crate) fn claim_now(&mut self) -> Claim {
        let task = self.task.clone();
        let claimed = bounded::run_now(move || task.claim(false));
        self.claimed(claimed)
    }

    fn claimed(&mut self, claimed: Option<io::Result<(Names, Claimed)>>) -> Claim {
        match claimed.unwrap_or_else(|| Err(late())) {
            Ok((names, Claimed::Ours(held, sessions))) => {
                self.task.names = names;
                self.held.extend(held);
                self.task.sessions.extend(sessions);
                Claim::Ours
            }
            Ok((names, Claimed::Not(claim))) => {
                self.task.names = names;
                claim
            }
            Err(error) => {
                let why = format!("{}: {error}", self.task.folder.display());
                self.broken = Some(why.clone());
                Claim::Unlocked(why)
            }
        }
    }

    /// Uses the session all the same: others are told that this run does, too.
    pub(crate) fn force(&mut self) {
        self.task.sessions.extend(self.task.wanted_name().filter(|_| self.is_of_session()));
    }

    fn is_of_session(&self) -> bool {
        matches!(self.task.wanted, Wanted::Session(_))
    }

    /// Gets in line for the session.
    pub(crate) async fn queue(&mut self) {
        if self.ticket.is_none() {
            let task = self.task.clone();
            self.ticket = bounded::run(move || task.queue()).await.and_then(Result::ok);
        }
    }

    /// Says to others that the run is at work, and returns those that may edit the same files.
    pub(crate) async fn enter(&mut self) -> Vec<User> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let task = self.task.clone();
        let entered = bounded::run(move || task.enter()).await;
        self.entered(entered)
    }

    /// The same for a caller that cannot wait otherwise.
    pub(crate) fn enter_now(&mut self) -> Vec<User> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let task = self.task.clone();
        let entered = bounded::run_now(move || task.enter());
        self.entered(entered)
    }

    fn entered(&mut self, entered: Option<io::Result<(Names, Held, Vec<User>)>>) -> Vec<User> {
        // Its turn has come, or it needs none.
        self.drop_ticket();
        match entered.unwrap_or_else(|| Err(late())) {
            Ok((names, mark, neighbors)) => {
                self.task.names = names;
                self.mark = Some(mark);
                neighbors
            }
            // Whoever wanted a session has said so.
            Err(error) => {
                self.broken.get_or_insert_with(|| error.to_string());
                Vec::new()
            }
        }
    }

    /// Gives up the place in the queue.
    fn drop_ticket(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            bounded::run_now(move || ticket.remove());
        }
    }

    /// Notes the processes that may live on for a moment when this one is killed.
    pub(crate) fn works_with(&mut self, pids: &[u32]) {
        self.task.user.set_below(pids);
        let handles: Vec<_> = self.held.iter().filter_map(|held| held.handle().ok()).collect();
        if self.broken.is_none() && !handles.is_empty() {
            let text = self.task.user.text();
            let wrote = move || handles.iter().for_each(|file| files::write(file, &text));
            if bounded::run_now(wrote).is_none() {
                self.broken = Some(late().to_string());
            }
        }
    }

    /// The same for who works in a session that belay does not see.
    pub(crate) fn works_unseen_with(&mut self, pids: &[u32]) {
        self.works_with(pids);
        if self.broken.is_none() && self.mark.is_some() {
            let task = self.task.clone();
            let mark = bounded::run_now(move || task.mark()).and_then(Result::ok);
            self.mark = mark.or(self.mark.take());
        }
    }

    /// Notes the session that the agent says it is in, which is new: nobody else can use it.
    pub(crate) async fn begun(&mut self, candidate: usize, id: &str) {
        if let Some(look) = self.look(candidate, id, false) {
            let known = bounded::run(look).await;
            self.known(known);
        }
    }

    /// The same of a session that others may use. Returns who uses it. Waits for the disk, since the agent must not
    /// go on meanwhile.
    pub(crate) fn resumed(&mut self, candidate: usize, id: &str) -> Option<User> {
        let look = self.look(candidate, id, true)?;
        let known = bounded::run_now(look);
        self.known(known)
    }

    fn look(
        &self,
        candidate: usize,
        id: &str,
        is_shared: bool,
    ) -> Option<impl FnOnce() -> io::Result<Known> + Send + use<>> {
        let place = self.task.names.places.get(candidate).filter(|_| self.broken.is_none())?;
        let name = Names::session(place, id);
        let is_ours = self.task.sessions.contains(&name);
        let mut task = self.task.clone();
        if !is_ours {
            task.sessions.push(name.clone());
        }
        let has_mark = self.mark.is_some();
        let take = (is_shared && !is_ours).then_some(name);
        Some(move || task.known(take.as_deref(), has_mark))
    }

    fn known(&mut self, known: Option<io::Result<Known>>) -> Option<User> {
        match known.unwrap_or_else(|| Err(late())) {
            Ok(Known::Ours { held, mark, sessions }) => {
                self.held.extend(held);
                self.mark = mark.or(self.mark.take());
                self.task.sessions = sessions;
                None
            }
            Ok(Known::InUse(user)) => Some(user),
            Err(error) => {
                self.broken = Some(error.to_string());
                None
            }
        }
    }

    /// Gives everything back: the run's agent is gone.
    pub(crate) async fn release(mut self) {
        let held = self.take_all();
        bounded::run(move || held.into_iter().for_each(Held::remove)).await;
    }

    fn take_all(&mut self) -> Vec<Held> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().chain(self.mark.take()).chain(self.ticket.take()).collect()
    }
}

impl Drop for SessionLocks {
    /// What was not released is given back by a thread that nobody waits for long.
    fn drop(&mut self) {
        let held = self.take_all();
        if !held.is_empty() {
            bounded::run_now(move || held.into_iter().for_each(Held::remove));
        }
    }
}

/// Says whether the session of `request` is in use, without using it.
pub(crate) fn check(client: &Client, request: &RunRequest) -> Result<(), Failure> {
    if !SessionLocks::is_needed(request) {
        return Ok(());
    }
    let Some(locks) = SessionLocks::of(client, request, "") else { return Ok(()) };
    let task = locks.task.clone();
    match bounded::run_now(move || task.peek()).flatten() {
        Some(user) => Err(failure(request, &user)),
        None => Ok(()),
    }
}

/// A session that cannot be used.
pub(crate) fn failure(request: &RunRequest, user: &User) -> Failure {
    let message = format!("{} is in use by {}", session_words(request), user.words());
    Failure::new(FailureKind::SessionInUse, message).with(
        EvidenceSource::Field,
        "in_use_by",
        &user.run,
    )
}

/// The session, for people.
pub(crate) fn session_words(request: &RunRequest) -> String {
    match &request.session {
        Session::Resume(id) => format!("session {id}"),
        _ => "the latest session of the folder".to_owned(),
    }
}

/// That the session is used without a lock, for people.
pub(crate) fn unlocked_words(request: &RunRequest, why: &str) -> String {
    format!("cannot tell whether another run uses {}: {why}", session_words(request))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

/// What comes of a claim.
enum Claimed {
    Ours(Option<Held>, Option<String>),
    Not(Claim),
}

/// What comes of knowing a session.
enum Known {
    Ours { held: Option<Held>, mark: Option<Held>, sessions: Vec<String> },
    InUse(User),
}

/// What is done on threads that may hang.
impl Task {
    fn look(&mut self) {
        if self.names.places.is_empty() {
            self.names = Names::look(&self.places, &self.cwd);
        }
    }

    fn sessions(&self) -> PathBuf {
        self.folder.join("sessions")
    }

    fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    fn queued(&self) -> PathBuf {
        self.folder.join("queue")
    }

    /// The file of what is wanted.
    fn wanted_name(&self) -> Option<String> {
        let place = self.names.places.first()?;
        match &self.wanted {
            Wanted::Nothing => None,
            Wanted::Session(id) => Some(Names::session(place, id)),
            Wanted::Latest => Some(self.names.latest(place)),
        }
    }

    fn claim(mut self, has_ticket: bool) -> io::Result<(Names, Claimed)> {
        self.look();
        let claimed = match self.wanted_name() {
            None => Claimed::Ours(None, None),
            Some(name) => self.claim_file(name, has_ticket)?,
        };
        Ok((self.names, claimed))
    }

    fn claim_file(&self, name: String, has_ticket: bool) -> io::Result<Claimed> {
        if has_ticket && let Some(first) = self.first_in_line(&name) {
            return Ok(Claimed::Not(Claim::InUse(first)));
        }
        files::make_folder(&self.sessions())?;
        files::sweep(&self.sessions());
        let (held, text) = match self.take(&name)? {
            Ok(taken) => taken,
            Err(user) => return Ok(Claimed::Not(Claim::InUse(user))),
        };
        if let Some(claim) = self.others(&name, &text) {
            give_back(held, &text);
            return Ok(Claimed::Not(claim));
        }
        files::write(&held.handle()?, &self.user.text());
        let is_session = matches!(self.wanted, Wanted::Session(_));
        Ok(Claimed::Ours(Some(held), is_session.then_some(name)))
    }

    /// Who uses the session, if anyone does; takes nothing. Whoever is about to end is waited for by the run.
    fn peek(mut self) -> Option<User> {
        self.look();
        let name = self.wanted_name()?;
        let found = Found::at(&self.sessions().join(&name));
        let user = found.filter(|found| found.is_held() == Some(true));
        let user = user.and_then(|found| User::read(&found.text)).filter(User::is_there);
        user.or_else(|| match self.others(&name, &[]) {
            Some(Claim::InUse(user)) => Some(user),
            _ => None,
        })
    }

    /// Takes a session's file. Whoever looks whether it is free holds it for a moment, and so does whoever finds
    /// that another run has the session.
    fn take(&self, name: &str) -> io::Result<Result<(Held, Vec<u8>), User>> {
        let began = Instant::now();
        loop {
            let text = match Held::take(&self.sessions().join(name))? {
                Take::Held(held, text) => return Ok(Ok((held, text))),
                Take::Busy(text) => text,
            };
            let user = User::read(&text);
            let is_late = began.elapsed() > limits::SESSION_LOCK_LOOK;
            match user {
                Some(user) if is_late || user.is_there() => return Ok(Err(user)),
                None if is_late => return Ok(Err(User::unknown())),
                _ => thread::sleep(LOOK),
            }
        }
    }

    /// Who uses the session besides whoever holds its file: a run that has begun it or was forced, or what a run
    /// has left behind that is gone.
    fn others(&self, name: &str, text: &[u8]) -> Option<Claim> {
        let before = User::read(text).filter(|user| user.run != self.user.run);
        if let Some(user) = before.clone().filter(User::may_be_there) {
            return Some(Claim::InUse(user));
        }
        let left = before.filter(|user| user.left_behind().is_some());
        let mut left = left.map(Claim::LeftBehind);
        for found in files::list(&self.runs()) {
            let Ok(mark) = serde_json::from_slice::<Mark>(&found.text) else { continue };
            let is_used = mark.sessions.iter().any(|session| session == name);
            let is_latest = self.wanted == Wanted::Latest
                && mark.folder == self.names.folder
                && mark.places.contains(&self.names.places[0]);
            if mark.user.run == self.user.run || !(is_used || is_latest) {
                continue;
            }
            match found.is_held() {
                Some(true) => return Some(Claim::InUse(mark.user)),
                _ if mark.user.may_be_there() => return Some(Claim::InUse(mark.user)),
                Some(false) if mark.user.left_behind().is_some() => {
                    left.get_or_insert(Claim::LeftBehind(mark.user));
                }
                Some(false) => found.remove(),
                None => {}
            }
        }
        left
    }

    /// Stands in line for a session.
    fn queue(&self) -> io::Result<Held> {
        files::make_folder(&self.queued())?;
        files::sweep(&self.queued());
        let name = self.wanted_name().ok_or(io::ErrorKind::NotFound)?;
        // Run ids sort by time.
        let path = self.queued().join(format!("{name}.{}", self.user.run));
        Held::put(&path, &self.user.text())
    }

    /// Who comes before this run. Whoever stands still is passed over.
    fn first_in_line(&self, name: &str) -> Option<User> {
        let before = files::list(&self.queued()).filter_map(|found| {
            let run = found.name.strip_prefix(name)?.strip_prefix('.')?;
            let user = User::read(&found.text)?;
            let comes_first = run == user.run && user.run < self.user.run;
            match found.is_held() {
                Some(true) => Some(user).filter(|user| comes_first && !user.is_stopped()),
                Some(false) => {
                    found.remove();
                    None
                }
                None => None,
            }
        });
        before.min_by(|a, b| a.run.cmp(&b.run))
    }

    fn mark(&self) -> io::Result<Held> {
        let names = self.names.clone();
        let mark = Mark {
            user: self.user.clone(),
            places: names.places,
            folder: names.folder,
            tree: names.tree,
            may_edit: self.may_edit,
            sessions: self.sessions.clone(),
        };
        Held::put(&self.runs().join(&self.user.run), &serde_json::to_vec(&mark)?)
    }

    fn enter(mut self) -> io::Result<(Names, Held, Vec<User>)> {
        self.look();
        files::make_folder(&self.runs())?;
        let mark = self.mark()?;
        let neighbors = if self.may_edit { self.neighbors() } else { Vec::new() };
        Ok((self.names, mark, neighbors))
    }

    /// Who may edit the same files now, as many as are named.
    fn neighbors(&self) -> Vec<User> {
        let found = files::list(&self.runs()).filter_map(|found| {
            let mark = serde_json::from_slice::<Mark>(&found.text).ok();
            let mark = mark.filter(|mark| mark.user.run != self.user.run);
            let is_near = mark.as_ref().is_some_and(|mark| {
                mark.may_edit && self.names.overlaps(&mark.folder, mark.tree.as_deref())
            });
            // Only what is near is looked at: there may be a thousand others.
            if !is_near {
                found.remove_old();
                return None;
            }
            match found.is_held() {
                Some(true) => mark.map(|mark| mark.user),
                Some(false) if mark.is_some_and(|mark| mark.user.left_behind().is_none()) => {
                    found.remove();
                    None
                }
                _ => None,
            }
        });
        found.take(NEIGHBORS_MAX).collect()
    }

    /// Takes the session, unless `take` says that it is new, and notes it in the run's file.
    fn known(self, take: Option<&str>, has_mark: bool) -> io::Result<Known> {
        let held = match take {
            None => None,
            Some(name) => match self.take(name)? {
                Err(user) => return Ok(Known::InUse(user)),
                Ok((held, text)) => {
                    if let Some(Claim::InUse(user)) = self.others(name, &text) {
                        give_back(held, &text);
                        return Ok(Known::InUse(user));
                    }
                    files::write(&held.handle()?, &self.user.text());
                    Some(held)
                }
            },
        };
        let mark = if has_mark { Some(self.mark()?) } else { None };
        Ok(Known::Ours { held, mark, sessions: self.sessions })
    }
}

/// Lets go of a session that another run uses. What its file says of processes that live on stays.
fn give_back(held: Held, text: &[u8]) {
    if text.is_empty() {
        held.remove();
    }
}

/// How many others are named that may edit the same files.
const NEIGHBORS_MAX: usize = 3;

/// Who else may edit the same files, in one line.
pub(crate) fn neighbor_words(neighbors: &[User], cwd: Option<&Path>) -> String {
    let names: Vec<_> = neighbors.iter().map(User::to_string).collect();
    let folder = cwd.map_or_else(|| "this folder".to_owned(), |cwd| cwd.display().to_string());
    let (verb, names) = (if names.len() == 1 { "is" } else { "are" }, names.join(" and "));
    format!("{names} {verb} still running and may edit the same files as this run, in {folder}")
}
