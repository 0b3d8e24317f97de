//! The run's session, and its folder: in use by this run alone, or waited for, or taken all the same.

use super::chain::Stopped;
use super::{Caller, Runner};
use crate::limits;
use crate::session_lock::{self, Claim, SessionLocks, User};
use belay_agents::{AttemptEnd, Session, WhenInUse};
use belay_trace::{Event, Failure, Interrupted, Level, SESSION_QUEUE};
use tokio::time::Instant;

/// How often is looked whether the agent of a killed run has ended.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// A session that has to be waited for.
#[derive(Debug)]
pub(super) enum Awaited {
    /// Another run uses it.
    InUse(User),
    /// The agent of a killed run is about to end.
    LeftBehind(User),
    /// It is used without a lock.
    Unlocked(String),
}

impl Runner {
    /// Takes the session before anything is written or started; what has to be waited for is waited for later, by
    /// a run that can be seen and stopped.
    pub(super) async fn claim_session(&mut self) -> Result<(), Failure> {
        self.locks = SessionLocks::of(&self.client, &self.request, &self.run_id);
        let Some(locks) = &mut self.locks else {
            if SessionLocks::is_needed(&self.request) {
                let why = "there is no state folder".to_owned();
                self.awaited = Some(Awaited::Unlocked(why));
            }
            return Ok(());
        };
        if !SessionLocks::is_needed(&self.request) {
            return Ok(());
        }
        self.awaited = match locks.claim().await {
            Claim::Ours => None,
            Claim::InUse(user) if self.request.when_in_use == WhenInUse::Refuse => {
                return Err(session_lock::failure(&self.request, &user));
            }
            Claim::InUse(user) => Some(Awaited::InUse(user)),
            Claim::LeftBehind(user) => Some(Awaited::LeftBehind(user)),
            Claim::Unlocked(why) => Some(Awaited::Unlocked(why)),
        };
        Ok(())
    }

    /// Waits for the session, if it has to be waited for, and says who else works in the folder.
    pub(super) async fn enter(&mut self, caller: &mut Caller) -> Result<(), AttemptEnd> {
        match self.await_session(caller).await {
            Ok(()) => {}
            Err(Away::Refused(failure)) => return Err(AttemptEnd::failed(failure)),
            Err(Away::Stopped(stopped)) => {
                let (reason, message) = (stopped.reason(), None);
                self.publisher.event(Event::Interrupted(Interrupted { reason, message }));
                return Err(stopped.end());
            }
        }
        let neighbors = match &mut self.locks {
            Some(locks) => locks.enter().await,
            None => Vec::new(),
        };
        if !neighbors.is_empty() {
            let words = session_lock::neighbor_words(&neighbors, self.request.cwd.as_deref());
            self.publisher.event(Event::notice(Level::Warn, "shared_folder", words));
            self.publisher.flush().await;
        }
        Ok(())
    }

    async fn await_session(&mut self, caller: &mut Caller) -> Result<(), Away> {
        let began = Instant::now();
        let mut told = None;
        while let Some(awaited) = self.awaited.take() {
            let policy = self.request.when_in_use;
            let (user, pause) = match awaited {
                Awaited::Unlocked(why) => {
                    let words = session_lock::unlocked_words(&self.request, &why);
                    self.unlocked = Some(words);
                    return Ok(());
                }
                Awaited::LeftBehind(user) if began.elapsed() < limits::SESSION_LEFT_BEHIND => {
                    (user, LOOK)
                }
                Awaited::InUse(user) | Awaited::LeftBehind(user) => match policy {
                    WhenInUse::Force => {
                        self.force(&user);
                        return Ok(());
                    }
                    WhenInUse::Queue => {
                        self.tell_queue(&user, &mut told).await;
                        (user, limits::SESSION_QUEUE)
                    }
                    _ => {
                        let failure = session_lock::failure(&self.request, &user);
                        return Err(Away::Refused(failure));
                    }
                },
            };
            drop(user);
            caller.rest(Instant::now() + pause).await.map_err(Away::Stopped)?;
            let Some(locks) = &mut self.locks else { return Ok(()) };
            if policy == WhenInUse::Queue {
                locks.queue().await;
            }
            self.awaited = match locks.claim().await {
                Claim::Ours => None,
                Claim::InUse(user) => Some(Awaited::InUse(user)),
                Claim::LeftBehind(user) => Some(Awaited::LeftBehind(user)),
                Claim::Unlocked(why) => Some(Awaited::Unlocked(why)),
            };
        }
        Ok(())
    }

    fn force(&mut self, user: &User) {
        let session = session_lock::session_words(&self.request);
        let words = format!("{session} is in use by {}; resuming it all the same", user.words());
        self.publisher.event(Event::notice(Level::Warn, "session_in_use", words));
        if let Some(locks) = &mut self.locks {
            locks.force();
        }
    }

    /// Says for whom the run waits, whenever that is another one.
    async fn tell_queue(&mut self, user: &User, told: &mut Option<String>) {
        if told.as_ref() == Some(&user.run) {
            return;
        }
        *told = Some(user.run.clone());
        let session = session_lock::session_words(&self.request);
        let words =
            format!("waiting for {session}: in use by {}; Ctrl-C ends the wait", user.words());
        self.publisher.event(Event::notice(Level::Info, SESSION_QUEUE, words));
        self.publisher.flush().await;
    }

    /// The agent says which session it is in. A failure if another run uses that.
    pub(super) fn session_known(&mut self, id: &str) -> Option<Failure> {
        let candidate = self.chain.state.current();
        let is_forced = self.request.when_in_use == WhenInUse::Force;
        if is_forced || !SessionLocks::is_needed(&self.request) {
            self.begun = Some(id.to_owned());
            return None;
        }
        let user = self.locks.as_mut()?.resumed(candidate, id)?;
        let mut request = self.request.clone();
        request.session = Session::Resume(id.to_owned());
        Some(session_lock::failure(&request, &user))
    }

    /// Notes a session that is new, before others are told of it.
    pub(super) async fn note_session(&mut self) {
        let candidate = self.chain.state.current();
        if let (Some(id), Some(locks)) = (self.begun.take(), &mut self.locks) {
            locks.begun(candidate, &id).await;
        }
    }

    /// Lets others have the session.
    pub(super) async fn leave(&mut self) {
        if let Some(locks) = self.locks.take() {
            locks.release().await;
        }
    }
}

/// Why a run does not get its session.
enum Away {
    Refused(Failure),
    Stopped(Stopped),
}
