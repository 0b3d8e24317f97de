//! Sends parcels to a service, one after the other, on a thread of its own: an observer goes on to watch however slow
//! the service is, and what it loses by that is counted.

use super::http::Http;
use crate::limits::{
    QUOTED_CHARS_MAX, SENDER_BYTES_MAX, SENDER_ERRORS_MAX, SENDER_PATIENCE, SENDER_PAUSE,
};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Something to be sent.
pub(super) struct Parcel {
    pub(super) url: Arc<str>,
    pub(super) headers: Arc<[(String, String)]>,
    pub(super) body: Vec<u8>,
    /// It changes what is there.
    pub(super) is_patch: bool,
    /// How much is in it: "12 spans".
    pub(super) count: usize,
    pub(super) what: &'static str,
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// True of a status that passes.
    pub(super) passes: fn(u16) -> bool,
    /// What an answer that is none the worse for its status says of what it did not take.
    pub(super) refused: fn(&Parcel, &[u8]) -> Option<String>,
    /// What an answer says of its error in a format of the service's own.
    pub(super) error_words: fn(&[u8]) -> Option<String>,
}

/// The way to the thread; it ends when this is dropped.
pub(super) struct Sender(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Parcel>,
    bytes: usize,
    /// How much of what is with the service now.
    sending: Option<(usize, &'static str)>,
    /// When it is tried again.
    again: Option<Instant>,
    last_error: Option<String>,
    errors: Vec<String>,
    errors_more: usize,
    closed: bool,
}

impl Sender {
    pub(super) fn start(name: &str, http: Http, manners: Manners) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), news: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name(format!("belay-{name}-send"));
        // A machine without a thread to spare sends nothing, and flush says so.
        let _ = thread.spawn(move || theirs.work(&http, manners));
        Self(shared)
    }

    /// Sends it when it is its turn. When too much waits, the oldest is lost.
    pub(super) fn send(&self, parcel: Parcel) {
        let mut state = self.0.lock();
        state.bytes += parcel.body.len();
        state.queue.push_back(parcel);
        while state.bytes > SENDER_BYTES_MAX && state.queue.len() > 1 {
            let Some(lost) = state.queue.pop_front() else { break };
            state.bytes -= lost.body.len();
            let words = format!("{} {} lost: too much waits to be sent", lost.count, lost.what);
            state.fail(words);
        }
        drop(state);
        self.0.news.notify_all();
    }

    /// Waits until everything was sent, or until that cannot be by then. Says what was lost, and what still waits.
    pub(super) fn flush(&self, deadline: Instant) -> Result<(), String> {
        let mut state = self.0.lock();
        while state.is_busy() {
            let now = Instant::now();
            if now >= deadline || state.again.is_some_and(|again| again >= deadline) {
                break;
            }
            let waited = self.0.news.wait_timeout(state, deadline - now);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let mut errors = std::mem::take(&mut state.errors);
        let more = std::mem::take(&mut state.errors_more);
        if more > 0 {
            errors.push(format!("{more} more errors"));
        }
        if state.is_busy() {
            errors.push(state.waiting());
        }
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.news.notify_all();
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.sending.is_some() || !self.queue.is_empty()
    }

    fn fail(&mut self, words: String) {
        if self.errors.len() < SENDER_ERRORS_MAX {
            self.errors.push(words);
        } else {
            self.errors_more += 1;
        }
    }

    /// What was not sent yet, in words.
    fn waiting(&self) -> String {
        let queued = self.queue.iter().map(|parcel| (parcel.count, parcel.what));
        let mut counts: Vec<(usize, &str)> = Vec::new();
        for (count, what) in self.sending.into_iter().chain(queued) {
            match counts.iter_mut().find(|(_, known)| *known == what) {
                Some((sum, _)) => *sum += count,
                None => counts.push((count, what)),
            }
        }
        let counts: Vec<_> = counts.iter().map(|(n, what)| format!("{n} {what}")).collect();
        let why = self.last_error.as_deref().unwrap_or("the service has not answered yet");
        format!("{} not sent in time: {why}", counts.join(", "))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, http: &Http, manners: Manners) {
        while let Some(parcel) = self.next() {
            let sent = self.deliver(http, &parcel, manners);
            let mut state = self.lock();
            (state.sending, state.again) = (None, None);
            match sent {
                Ok(()) => state.last_error = None,
                Err(error) => {
                    state.fail(format!("{} {} lost: {error}", parcel.count, parcel.what));
                    state.last_error = Some(error);
                }
            }
            drop(state);
            self.news.notify_all();
        }
    }

    fn next(&self) -> Option<Parcel> {
        let mut state = self.lock();
        loop {
            // Nobody waits for what a service does not take.
            if state.closed && state.last_error.is_some() {
                return None;
            }
            if let Some(parcel) = state.queue.pop_front() {
                state.bytes -= parcel.body.len();
                state.sending = Some((parcel.count, parcel.what));
                return Some(parcel);
            }
            if state.closed {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tries until it is there, it cannot be, or it is not worth it any more.
    fn deliver(&self, http: &Http, parcel: &Parcel, manners: Manners) -> Result<(), String> {
        let began = Instant::now();
        let mut pause = SENDER_PAUSE;
        loop {
            let (error, wait) = match attempt(http, parcel, manners) {
                Ok(()) => return Ok(()),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::ForNow(error, wait)) => (error, wait),
            };
            // Many programs that found the same service down do not come back at once.
            let jitter = pause.mul_f64(fastrand::f64() * 0.25);
            let wait = wait.unwrap_or(pause + jitter);
            pause *= 2;
            if began.elapsed() + wait > SENDER_PATIENCE || !self.pause(&error, wait) {
                return Err(error);
            }
        }
    }

    /// Waits before the next try; false if nobody wants it any more.
    fn pause(&self, error: &str, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.lock();
        state.last_error = Some(error.to_owned());
        state.again = Some(until);
        self.news.notify_all();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closed {
                return false;
            }
            if left.is_zero() {
                state.again = None;
                return true;
            }
            let waited = self.news.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

enum Failed {
    ForGood(String),
    /// And how long the service wants to be left alone.
    ForNow(String, Option<Duration>),
}

fn attempt(http: &Http, parcel: &Parcel, manners: Manners) -> Result<(), Failed> {
    let host = http.check(&parcel.url).map_err(Failed::ForGood)?;
    let headers: Vec<_> =
        parcel.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let send = if parcel.is_patch { Http::patch } else { Http::post };
    let response = match send(http, &parcel.url, &headers, &parcel.body, manners.timeout) {
        Ok(response) => response,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            return Err(Failed::ForNow(format!("{error}{cause}"), None));
        }
    };
    if response.is_ok() {
        let refused = (manners.refused)(parcel, &response.body);
        return refused.map_or(Ok(()), |words| Err(Failed::ForGood(words)));
    }
    let said = (manners.error_words)(&response.body).unwrap_or_else(|| words_of(&response.body));
    let said: Vec<&str> = said
        .split(|char: char| char.is_control() || char.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let said: String = said.join(" ").chars().take(QUOTED_CHARS_MAX).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let words = format!("{host} has answered {}{said}", response.status);
    if (manners.passes)(response.status) {
        Err(Failed::ForNow(words, response.retry_after))
    } else {
        Err(Failed::ForGood(words))
    }
}

/// What an answer says of its error: the message of a JSON object, or else its text.
fn words_of(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let places = ["/message", "/error/message", "/error", "/detail"];
    let message = places.iter().find_map(|place| json.pointer(place)?.as_str());
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}
