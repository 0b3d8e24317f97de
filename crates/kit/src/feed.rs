//! The way of records to somebody who takes his time: through memory while he keeps up, and through the journal
//! when he does not.
//!
//! The producer never waits. What no longer fits into the queue is not kept: the queue remembers where in the
//! journal it stands, and the reader reads it there when it is its turn. So a reader who stops reading costs
//! disk, which the journal takes anyway, and no memory. Without a journal, or after it has failed, there is
//! nowhere else than memory to keep what is not read.

mod piece;

pub(crate) use self::piece::{Piece, Stored};
use crate::aside::{self, Aside};
use crate::limits::{FEED_BYTES_MAX, FEED_RECORDS_MAX};
use belay_trace::{Event, LogDegraded, Record};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The end where records go in; the feed ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

/// The end where they come out, for async code and for threads.
#[derive(Debug)]
pub(crate) struct FeedReader {
    shared: Arc<Shared>,
    /// Read from the journal, and next to be handed out.
    ready: VecDeque<Result<Record, String>>,
    /// A piece of the journal that comes next.
    piece: Option<Piece>,
    /// The same piece, being read on a thread where that may block.
    loading: Option<Aside<piece::Loaded>>,
    /// The run and number of the record that was handed out last.
    last: Option<(String, u64)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    /// How many records the queue holds, and how much they weigh.
    held: usize,
    bytes: usize,
    /// Nothing more will come.
    closed: bool,
    /// Nobody reads.
    gone: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Item {
    Held(Arc<Record>),
    Stored(Piece),
}

/// What is next for a reader.
enum Next {
    Item(Item),
    Nothing,
    End,
}

/// A new feed.
pub(crate) fn feed() -> (Feed, FeedReader) {
    let shared = Arc::new(Shared::default());
    let reader = FeedReader {
        shared: Arc::clone(&shared),
        ready: VecDeque::new(),
        piece: None,
        loading: None,
        last: None,
    };
    (Feed { shared }, reader)
}

impl Feed {
    /// Hands records over; `stored` says where they stand in the journal if they do.
    pub(crate) fn push(&self, records: &[Arc<Record>], stored: Option<&Stored>) {
        let mut state = self.shared.lock();
        if state.gone || records.is_empty() {
            return;
        }
        for (n, record) in records.iter().enumerate() {
            // The last one may be large: it is in memory anyway, for whoever else watches.
            let is_full = state.held >= FEED_RECORDS_MAX || state.bytes >= FEED_BYTES_MAX;
            match stored {
                Some(stored) if is_full => state.store(stored.piece(n)),
                _ => {
                    state.held += 1;
                    state.bytes += record.weight();
                    state.queue.push_back(Item::Held(Arc::clone(record)));
                }
            }
        }
        self.shared.wake(state);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.wake(state);
    }
}

impl State {
    fn store(&mut self, piece: Piece) {
        if let Some(Item::Stored(last)) = self.queue.back_mut()
            && last.extend(&piece)
        {
            return;
        }
        self.queue.push_back(Item::Stored(piece));
    }

    fn next(&mut self) -> Next {
        let item = self.queue.pop_front();
        if let Some(Item::Held(record)) = &item {
            self.held -= 1;
            self.bytes -= record.weight();
        }
        match item {
            Some(item) => Next::Item(item),
            None if self.closed => Next::End,
            None => Next::Nothing,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl FeedReader {
    /// The next record, or `None` when all were handed out and no more will come.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Record>>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Poll::Ready(Some(self.hand_out(record)));
            }
            if let Some(loading) = &mut self.loading {
                let Poll::Ready(loaded) = Pin::new(loading).poll(cx) else { return Poll::Pending };
                self.loading = None;
                let piece = self.piece.take();
                match (loaded, piece) {
                    (Some(loaded), _) => self.take_in(loaded),
                    // What was written can still be read.
                    (None, Some(piece)) => self.take_in(piece.load()),
                    (None, None) => {}
                }
                continue;
            }
            if let Some(piece) = self.piece.clone() {
                self.loading = Some(aside::begin(move || piece.load()));
                continue;
            }
            let mut state = self.shared.lock();
            match state.next() {
                Next::Item(Item::Held(record)) => {
                    drop(state);
                    return Poll::Ready(Some(self.pass_on(record)));
                }
                Next::Item(Item::Stored(piece)) => {
                    drop(state);
                    self.piece = Some(piece);
                }
                Next::Nothing => {
                    state.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Next::End => return Poll::Ready(None),
            }
        }
    }

    /// Like [`poll_next`](Self::poll_next), for a thread that may block.
    pub(crate) fn next_blocking(&mut self) -> Option<Arc<Record>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(self.hand_out(record));
            }
            if let Some(piece) = self.piece.take() {
                self.take_in(piece.load());
                continue;
            }
            let shared = Arc::clone(&self.shared);
            let mut state = shared.lock();
            match state.next() {
                Next::Item(Item::Held(record)) => return Some(self.pass_on(record)),
                Next::Item(Item::Stored(piece)) => self.piece = Some(piece),
                Next::Nothing => {
                    drop(shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                }
                Next::End => return None,
            }
        }
    }

    fn take_in(&mut self, loaded: piece::Loaded) {
        self.ready = loaded.records;
        self.piece = loaded.rest;
    }

    fn pass_on(&mut self, record: Arc<Record>) -> Arc<Record> {
        self.last = Some((record.run.clone(), record.seq));
        record
    }

    /// What could not be read again is not passed over in silence.
    fn hand_out(&mut self, record: Result<Record, String>) -> Arc<Record> {
        let record = record.unwrap_or_else(|message| {
            let (run, seq) = self.last.clone().unwrap_or_default();
            let lost = Event::LogDegraded(LogDegraded { message });
            Record { seq: seq + 1, ..Record::new(run, lost) }
        });
        self.pass_on(Arc::new(record))
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.gone = true;
        state.queue.clear();
    }
}

#[cfg(test)]
mod tests;
