//! Looks at an agent's own account of its session while it works, for limits that its stream says nothing about.

use super::account::{self, Account, Homes};
use super::sleep_until;
use crate::limits;
use belay_agents::{Agent, Response};
use belay_trace::Event;
use jiff::Timestamp;
use std::future::pending;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Looks again a while after the agent has said something, until nothing new is found.
#[derive(Debug)]
pub(super) struct AccountWatch {
    agent: Arc<dyn Agent>,
    homes: Homes,
    since: Timestamp,
    session_id: Option<String>,
    /// When to look next; while the agent is silent and has written down all it said, never.
    next: Option<Instant>,
    /// Not before then: the last look was work.
    rest: Instant,
    look: Option<(Instant, JoinHandle<Account>)>,
    found: usize,
}

impl AccountWatch {
    /// What the agent has used before `since` is no matter of this watch.
    pub(super) fn new(agent: Arc<dyn Agent>, homes: Homes, since: Timestamp) -> Self {
        let rest = Instant::now();
        Self { agent, homes, since, session_id: None, next: None, rest, look: None, found: 0 }
    }

    /// The agent has done something.
    pub(super) fn event(&mut self, event: &Event) {
        if let Event::SessionStarted(session) = event {
            self.session_id = Some(session.session_id.clone());
        }
        self.next.get_or_insert_with(|| Instant::now() + limits::ACCOUNT_PAUSE);
    }

    /// The responses so far, when there are more than last time. May be dropped and called again.
    async fn more(&mut self) -> Vec<Response> {
        loop {
            if self.look.is_none() {
                let Some(session_id) = self.session_id.clone() else { return pending().await };
                sleep_until(self.next).await;
                tokio::time::sleep_until(self.rest).await;
                self.next = None;
                let (agent, homes, since) = (self.agent.clone(), self.homes.clone(), self.since);
                let look = async move { account::read(agent, homes, &session_id, since).await };
                self.look = Some((Instant::now(), tokio::spawn(look)));
            }
            if let Some((began, look)) = &mut self.look {
                let Account { responses, cut } = look.await.unwrap_or_default();
                self.rest = Instant::now() + began.elapsed() * limits::ACCOUNT_SHARE;
                self.look = None;
                if !cut.is_empty() {
                    // A helper is at work, of which the stream says nothing.
                    self.next = Some(Instant::now() + limits::ACCOUNT_PAUSE);
                }
                if responses.len() > self.found {
                    self.found = responses.len();
                    // What was written a moment later is not announced by anything.
                    self.next = Some(Instant::now() + limits::ACCOUNT_PAUSE);
                    return responses;
                }
            }
        }
    }
}

/// What the watch finds; without one, nothing for ever.
pub(super) async fn more(watch: &mut Option<AccountWatch>) -> Vec<Response> {
    match watch {
        Some(watch) => watch.more().await,
        None => pending().await,
    }
}
