//! The queue before a channel: in order, at its pace, and with a limit on everything.
//!
//! What to do next is decided by a pure function of the state and the time (`State::next`); the thread does it.

use super::channel::{Channel, Failed};
use super::{Kind, Notice};
use crate::limits::{
    EDIT_PAUSE, NOTICES_KEPT_MAX, NOTICES_MAX, NOTICES_MERGED_MAX, NOTIFY_BACKOFF_MAX,
    NOTIFY_REQUEST,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much of a flush is kept to say what was not sent.
const MARGIN: Duration = Duration::from_millis(100);

/// The queue with its thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    edits: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Notice>,
    /// What is being sent.
    flying: Vec<Notice>,
    /// The newest word of each run's tools, and when it may be written.
    edits: VecDeque<(Instant, Notice)>,
    /// When the tools of a run were written of last.
    edited: BTreeMap<String, Instant>,
    /// Not before this, for the pace.
    next_at: Option<Instant>,
    /// Not before this, because it went wrong; true if the channel has asked for it.
    blocked: Option<(Instant, bool)>,
    /// Until when somebody waits for all of it to be sent.
    hurry: Option<Instant>,
    /// How often it went wrong in a row.
    failures: u32,
    /// What makes every try useless.
    off: Option<String>,
    /// How many notices were dropped or refused since it was said last.
    lost: u64,
    /// What went wrong last.
    why: Option<String>,
    closed: bool,
}

/// What the thread does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Send(Vec<Notice>, Duration),
    WaitUntil(Instant),
    Wait,
    End,
}

impl Outbox {
    pub(crate) fn start(name: &str, channel: impl Channel) -> Self {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let edits = channel.edits();
        let thread = thread::Builder::new().name(format!("belay-{name}-out"));
        if thread.spawn(move || theirs.work(channel)).is_err() {
            shared.lock().off = Some("this machine has no thread left for it".to_owned());
        }
        Self { shared, edits }
    }

    /// Puts something in the queue. It waits for nothing.
    pub(crate) fn add(&self, notice: Notice) {
        if notice.event == Kind::ToolUse && !self.edits {
            return;
        }
        self.shared.lock().add(notice, Instant::now());
        self.shared.changed.notify_all();
    }

    /// Waits until everything is sent, or it cannot be by then; the error says how much was not, and why.
    pub(crate) fn flush(&self, deadline: Instant) -> Result<(), String> {
        let until = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        let mut state = self.shared.lock();
        state.hurry = Some(state.hurry.map_or(until, |other| other.max(until)));
        // Whoever goes away tries once more at once, unless the channel has asked for peace.
        state.blocked = state.blocked.filter(|(_, asked)| *asked);
        let before = state.failures;
        self.shared.changed.notify_all();
        loop {
            let now = Instant::now();
            let is_done = state.is_done(now, until, before);
            if is_done || now >= until {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, until - now);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.hurry = None;
        state.account()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut channel: impl Channel) {
        let (pace, merges) = (channel.pace(), channel.merges());
        let mut state = self.lock();
        loop {
            match state.next(Instant::now(), merges) {
                Next::End => return,
                Next::Wait => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Next::WaitUntil(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    let waited = self.changed.wait_timeout(state, left);
                    (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                }
                Next::Send(notices, timeout) => {
                    state.flying.clone_from(&notices);
                    drop(state);
                    let sent = channel.send(&notices, timeout);
                    state = self.lock();
                    state.sent(sent, Instant::now(), pace);
                    self.changed.notify_all();
                }
            }
        }
    }
}

impl State {
    fn add(&mut self, notice: Notice, now: Instant) {
        if self.off.is_some() {
            self.lost += u64::from(notice.event != Kind::ToolUse);
            return;
        }
        if notice.event == Kind::ToolUse {
            if let Some((_, edit)) = self.edits.iter_mut().find(|(_, it)| it.run == notice.run) {
                *edit = notice;
            } else {
                let at = self.edited.get(&notice.run).map_or(now, |at| *at + EDIT_PAUSE);
                self.edits.push_back((at, notice));
            }
            return;
        }
        self.waiting.push_back(notice);
        while self.waiting.len() > NOTICES_MAX {
            let oldest = self.waiting.iter().position(|notice| !notice.event.is_kept());
            let victim = oldest.or((self.waiting.len() > NOTICES_KEPT_MAX).then_some(0));
            let Some(victim) = victim else { break };
            self.waiting.remove(victim);
            self.lost += 1;
        }
    }

    /// What comes next.
    fn next(&mut self, now: Instant, merges: bool) -> Next {
        if self.closed {
            return Next::End;
        }
        if let Some((at, _)) = self.blocked.filter(|(at, _)| *at > now) {
            return Next::WaitUntil(at);
        }
        let in_hurry = self.hurry.is_some_and(|until| until > now);
        let timeout = self.hurry.filter(|_| in_hurry).map_or(NOTIFY_REQUEST, |until| {
            NOTIFY_REQUEST.min(until.saturating_duration_since(now)).max(MARGIN)
        });
        if let Some(at) = self.next_at.filter(|at| *at > now && !in_hurry) {
            let empty = self.waiting.is_empty() && self.edits.is_empty();
            return if empty { Next::Wait } else { Next::WaitUntil(at) };
        }
        let batch = self.take_batch(merges);
        if !batch.is_empty() {
            return Next::Send(batch, timeout);
        }
        let due = self.edits.iter().position(|(at, _)| *at <= now || in_hurry);
        match due.and_then(|n| self.edits.remove(n)) {
            Some((_, edit)) => Next::Send(vec![edit], timeout),
            None => self.edits.iter().map(|(at, _)| *at).min().map_or(Next::Wait, Next::WaitUntil),
        }
    }

    /// The first notice, and those behind it that fit into one message with it.
    fn take_batch(&mut self, merges: bool) -> Vec<Notice> {
        let joins = |notice: &Notice| matches!(notice.event, Kind::Phase | Kind::Trouble);
        let mut batch: Vec<_> = self.waiting.pop_front().into_iter().collect();
        while merges && batch.len() < NOTICES_MERGED_MAX {
            let (Some(first), Some(next)) = (batch.first(), self.waiting.front()) else { break };
            if !joins(first) || !joins(next) || first.thread() != next.thread() {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }

    /// What came of sending.
    fn sent(&mut self, sent: Result<(), Failed>, now: Instant, pace: Duration) {
        self.next_at = Some(now + pace);
        let flying = std::mem::take(&mut self.flying);
        let edited = flying.first().filter(|notice| notice.event == Kind::ToolUse);
        if let Some(notice) = edited {
            while self.edited.len() >= NOTICES_MAX {
                self.edited.pop_first();
            }
            self.edited.insert(notice.run.clone(), now);
        }
        // Of tools something newer will be said, or nothing.
        let is_edit = edited.is_some();
        let count = if is_edit { 0 } else { flying.len() as u64 };
        match sent {
            Ok(()) => (self.failures, self.blocked, self.why) = (0, None, None),
            Err(Failed::Later(after, why)) => {
                self.failures += 1;
                let backoff = Duration::from_secs(1 << (self.failures - 1).min(8));
                let wait = after.unwrap_or(backoff.min(NOTIFY_BACKOFF_MAX));
                self.blocked = Some((now + wait, after.is_some()));
                self.why = Some(why);
                if !is_edit {
                    flying.into_iter().rev().for_each(|notice| self.waiting.push_front(notice));
                }
            }
            Err(Failed::Never(why)) => {
                self.lost += count;
                self.why = Some(why);
            }
            Err(Failed::Off(why)) => {
                self.lost += count + self.waiting.len() as u64;
                (self.waiting, self.edits) = Default::default();
                self.off = Some(why);
            }
        }
    }

    /// True if waiting longer is of no use.
    fn is_done(&self, now: Instant, until: Instant, failures_before: u32) -> bool {
        let blocked = self.blocked.is_some_and(|(at, _)| at > now);
        let in_vain = self.blocked.is_some_and(|(at, _)| at >= until)
            || self.failures >= failures_before.saturating_add(2);
        let sent = self.waiting.is_empty() && self.flying.is_empty();
        self.off.is_some()
            || (in_vain && self.flying.is_empty())
            || (sent && (self.edits.is_empty() || blocked))
    }

    /// What was not sent, and why.
    fn account(&mut self) -> Result<(), String> {
        let flying = self.flying.iter().filter(|notice| notice.event != Kind::ToolUse).count();
        let left = self.waiting.len() + flying;
        let lost = std::mem::take(&mut self.lost);
        let said = self.off.clone().or_else(|| self.why.clone());
        let why = said.map(|why| format!(": {why}")).unwrap_or_default();
        let messages =
            |n: u64| if n == 1 { "1 message".to_owned() } else { format!("{n} messages") };
        match (lost, left as u64) {
            (0, 0) => Ok(()),
            (0, left) => Err(format!("{} not sent in time{why}", messages(left))),
            (lost, 0) => Err(format!("{} dropped{why}", messages(lost))),
            (lost, left) => {
                Err(format!("{} dropped and {left} not sent in time{why}", messages(lost)))
            }
        }
    }
}
