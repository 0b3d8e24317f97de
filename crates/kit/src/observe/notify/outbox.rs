//! The queue before a channel: in order, at its pace, and with a limit on everything.
//!
//! What to do next is decided by a pure function of the state and the time (`State::next`); the thread does it.

use super::channel::{Channel, Failed, Leaving};
use super::{Kind, Notice};
use crate::limits::{
    EDIT_PAUSE, NOTICES_KEPT_MAX, NOTICES_MAX, NOTICES_MERGED_MAX, NOTIFY_BACKOFF_MAX,
    NOTIFY_REQUEST, RETRY_AFTER_MAX,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much of a flush is kept to say what was not sent.
const MARGIN: Duration = Duration::from_millis(100);

/// How long nothing begins after a flush whose time was up.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The queue with its thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    edits: bool,
    leaving: Leaving,
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
    /// The newest word of each run's tools, and since when there is one to be written.
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
    /// What makes every try useless, and since when.
    off: Option<(Instant, String)>,
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
    pub(crate) fn start(name: &str, mut channel: Box<dyn Channel>) -> Self {
        let leaving = Leaving::default();
        channel.heed(Arc::clone(&leaving));
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let edits = channel.edits();
        let thread = thread::Builder::new().name(format!("belay-{name}-out"));
        if thread.spawn(move || theirs.work(&mut *channel)).is_err() {
            let why = "this machine has no thread left for it".to_owned();
            shared.lock().off = Some((Instant::now(), why));
        }
        Self { shared, edits, leaving }
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
        *self.leaving.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
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
        if Instant::now() >= until {
            // This program may end now: nothing more begins that would be cut short.
            let rest = Instant::now() + AFTERWARDS;
            state.blocked =
                Some(state.blocked.unwrap_or((rest, false))).map(|it| it.max((rest, false)));
        }
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

    fn work(&self, channel: &mut dyn Channel) {
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
        // Somebody may have mended it meanwhile.
        self.off.take_if(|(since, _)| now.saturating_duration_since(*since) > RETRY_AFTER_MAX);
        if self.off.is_some() {
            self.lost += u64::from(notice.event != Kind::ToolUse);
            return;
        }
        if notice.event == Kind::ToolUse {
            if let Some((_, edit)) = self.edits.iter_mut().find(|(_, it)| it.run == notice.run) {
                *edit = notice;
            } else {
                self.edits.push_back((now, notice));
            }
            return;
        }
        if notice.event.is_kept() && !self.edited.contains_key(&notice.run) {
            self.edits.retain(|(_, edit)| edit.run != notice.run);
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
        if let Some(until) = self.hurry.filter(|until| in_hurry && *until - now < MARGIN) {
            // It would not be done by then, and this program may end.
            let rest = (until + AFTERWARDS, false);
            self.blocked = Some(self.blocked.map_or(rest, |blocked| blocked.max(rest)));
            return Next::WaitUntil(until + AFTERWARDS);
        }
        let timeout = self.hurry.filter(|_| in_hurry).map_or(NOTIFY_REQUEST, |until| {
            NOTIFY_REQUEST.min(until.saturating_duration_since(now)).max(MARGIN)
        });
        if let Some(at) = self.next_at.filter(|at| *at > now && !in_hurry) {
            let empty = self.waiting.is_empty() && self.edits.is_empty();
            return if empty { Next::Wait } else { Next::WaitUntil(at) };
        }
        let batch = self.take_batch(merges, in_hurry);
        if !batch.is_empty() {
            return Next::Send(batch, timeout);
        }
        let due = self.edits.iter().position(|edit| self.due(edit) <= now);
        match due.and_then(|n| self.edits.remove(n)) {
            Some((_, edit)) => Next::Send(vec![edit], timeout),
            None => {
                let due = self.edits.iter().map(|edit| self.due(edit)).min();
                due.map_or(Next::Wait, Next::WaitUntil)
            }
        }
    }

    /// When a run's tools may be written of. Of a run that is over before the first time, its end says it.
    fn due(&self, (since, edit): &(Instant, Notice)) -> Instant {
        *self.edited.get(&edit.run).unwrap_or(since) + EDIT_PAUSE
    }

    /// The first notice, and those behind it that fit into one message with it: in a hurry also the end.
    fn take_batch(&mut self, merges: bool, in_hurry: bool) -> Vec<Notice> {
        let joins = |notice: &Notice| matches!(notice.event, Kind::Phase | Kind::Trouble);
        let ends = |notice: &Notice| matches!(notice.event, Kind::Result | Kind::Error);
        let mut batch: Vec<_> = self.waiting.pop_front().into_iter().collect();
        while merges && batch.len() < NOTICES_MERGED_MAX {
            let (Some(last), Some(next)) = (batch.last(), self.waiting.front()) else { break };
            let is_one = last.thread() == next.thread();
            if !joins(last) || !is_one || !(joins(next) || in_hurry && ends(next)) {
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
                self.off = Some((now, why));
            }
        }
    }

    /// True if waiting longer is of no use.
    fn is_done(&self, now: Instant, until: Instant, failures_before: u32) -> bool {
        let blocked = self.blocked.is_some_and(|(at, _)| at > now);
        let in_vain = self.blocked.is_some_and(|(at, _)| at >= until)
            || self.failures >= failures_before.saturating_add(2);
        // What is written of tools is worth no waiting, if it is not due.
        let is_due = !blocked && self.edits.iter().any(|edit| self.due(edit) <= now);
        let is_sent = self.waiting.is_empty() && self.flying.is_empty() && !is_due;
        self.off.is_some() || is_sent || (in_vain && self.flying.is_empty())
    }

    /// What was not sent, and why.
    fn account(&mut self) -> Result<(), String> {
        let flying = self.flying.iter().filter(|notice| notice.event != Kind::ToolUse).count();
        let left = self.waiting.len() + flying;
        let lost = std::mem::take(&mut self.lost);
        let off = self.off.as_ref().map(|(_, why)| why.clone());
        let said = off.or_else(|| self.why.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::Level;

    fn notice(event: Kind, title: &str) -> Notice {
        Notice {
            event,
            level: Level::Info,
            title: title.to_owned(),
            body: String::new(),
            footer: String::new(),
            agent: String::new(),
            run: "r".to_owned(),
            trace: None,
        }
    }

    fn titles(next: &Next) -> Vec<&str> {
        match next {
            Next::Send(notices, _) => notices.iter().map(|notice| &*notice.title).collect(),
            _ => Vec::new(),
        }
    }

    const PACE: Duration = Duration::from_secs(1);

    #[test]
    fn messages_keep_their_order_and_their_pace_and_join_where_they_may() {
        let now = Instant::now();
        let mut state = State::default();
        for (kind, title) in
            [(Kind::Start, "s"), (Kind::Phase, "p"), (Kind::Trouble, "t"), (Kind::Result, "r")]
        {
            state.add(notice(kind, title), now);
        }
        assert_eq!(titles(&state.next(now, true)), ["s"]);
        state.sent(Ok(()), now, PACE);
        assert_eq!(state.next(now, true), Next::WaitUntil(now + PACE));
        let later = now + PACE;
        assert_eq!(titles(&state.next(later, true)), ["p", "t"]);
        state.sent(Ok(()), later, PACE);
        state.hurry = Some(later + PACE);
        assert_eq!(
            titles(&state.next(later, true)),
            ["r"],
            "whoever waits does not wait for the pace"
        );

        let mut state = State { hurry: Some(later), ..State::default() };
        for (kind, title) in [(Kind::Phase, "p"), (Kind::Error, "e"), (Kind::Phase, "q")] {
            state.add(notice(kind, title), now);
        }
        assert_eq!(titles(&state.next(now, true)), ["p", "e"]);
        assert_eq!(titles(&state.next(now, false)), ["q"]);
    }

    #[test]
    fn progress_is_dropped_before_results_and_counted() {
        let now = Instant::now();
        let mut state = State::default();
        for n in 0..NOTICES_MAX {
            state.add(notice(Kind::Error, &format!("e{n}")), now);
            state.add(notice(Kind::Phase, &format!("p{n}")), now);
        }
        assert_eq!(state.waiting.len(), NOTICES_MAX);
        assert!(state.waiting.iter().all(|notice| notice.event == Kind::Error));
        let want = format!("{NOTICES_MAX} messages dropped and {NOTICES_MAX} not sent in time");
        assert_eq!(state.account(), Err(want));
        (0..NOTICES_KEPT_MAX).for_each(|_| state.add(notice(Kind::Result, "r"), now));
        assert_eq!(state.waiting.len(), NOTICES_KEPT_MAX, "nor does this grow without end");
    }

    #[test]
    fn what_failed_is_sent_again_first_and_later_each_time() {
        let mut now = Instant::now();
        let mut state = State::default();
        state.add(notice(Kind::Start, "s"), now);
        state.add(notice(Kind::Result, "r"), now);
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(titles(&state.next(now, true)), ["s"]);
            state.flying = vec![notice(Kind::Start, "s")];
            state.sent(Err(Failed::Later(None, "no".into())), now, PACE);
            let at = now + Duration::from_secs(wait);
            assert_eq!(state.next(now, true), Next::WaitUntil(at));
            now = at;
        }
        assert_eq!(titles(&state.next(now, true)), ["s"]);
        state.flying = vec![notice(Kind::Start, "s")];
        let asked = Some(Duration::from_secs(60));
        state.sent(Err(Failed::Later(asked, "429".into())), now, PACE);
        let at = now + Duration::from_secs(60);
        assert_eq!(state.next(now, true), Next::WaitUntil(at));
        assert!(state.is_done(now, now + PACE, state.failures), "nobody waits for that");
        assert_eq!(state.account(), Err("2 messages not sent in time: 429".into()));
    }

    #[test]
    fn what_no_try_can_mend_is_tried_once() {
        let now = Instant::now();
        let mut state = State::default();
        (0..3).for_each(|_| state.add(notice(Kind::Error, "e"), now));
        assert_eq!(titles(&state.next(now, true)), ["e"]);
        state.flying = vec![notice(Kind::Error, "e")];
        state.sent(Err(Failed::Off("invalid_auth".into())), now, PACE);
        state.add(notice(Kind::Error, "e"), now);
        assert_eq!(state.next(now + PACE, true), Next::Wait);
        assert_eq!(state.account(), Err("4 messages dropped: invalid_auth".into()));
        let later = now + RETRY_AFTER_MAX + PACE;
        state.add(notice(Kind::Error, "e"), later);
        assert_eq!(titles(&state.next(later, true)), ["e"], "it may have been mended");
    }

    #[test]
    fn the_tools_of_a_run_are_written_of_every_three_seconds_with_the_newest_word() {
        let now = Instant::now();
        let mut state = State::default();
        state.add(notice(Kind::ToolUse, "1"), now);
        state.add(notice(Kind::ToolUse, "2"), now);
        assert_eq!(state.next(now, true), Next::WaitUntil(now + EDIT_PAUSE));
        let then = now + EDIT_PAUSE;
        assert_eq!(titles(&state.next(then, true)), ["2"]);
        state.flying = vec![notice(Kind::ToolUse, "2")];
        state.sent(Ok(()), then, PACE);
        state.add(notice(Kind::ToolUse, "3"), then);
        state.hurry = Some(then + PACE);
        assert_eq!(state.next(then, true), Next::WaitUntil(then + EDIT_PAUSE), "also in a hurry");
        assert_eq!(state.account(), Ok(()));
    }
}
