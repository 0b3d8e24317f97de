//! The thread and the bounded queue between a run and an observer.

use super::Observer;
use crate::limits::{
    OBSERVER_BYTES_MAX, OBSERVER_ERRORS_MAX, OBSERVER_KEPT_BYTES_MAX, OBSERVER_QUEUE_MAX,
};
use belay_trace::{CompletionRecord, Event, Record, SessionStart, TraceEnd, TraceStart};
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use tokio::sync::oneshot;

/// A handle to an observer's thread; the thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct ObserverHandle {
    shared: Arc<Shared>,
    /// Counts the handles: the thread holds `shared` as well.
    _owner: Arc<Owner>,
}

/// What an observer is told beside the records of runs. None of it is dropped for others.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    SessionStart(SessionStart),
    TraceStart(TraceStart),
    TraceEnd(TraceEnd),
    Completion(Box<CompletionRecord>),
}

impl Told {
    /// The run, trace or session that hears of what goes wrong with it.
    fn of(&self) -> &str {
        match self {
            Self::SessionStart(start) => &start.session_id,
            Self::TraceStart(start) => &start.trace_id,
            Self::TraceEnd(end) => &end.trace_id,
            Self::Completion(completion) => &completion.run,
        }
    }

    /// About how much memory it takes: what is long in it.
    fn weight(&self) -> usize {
        let texts = match self {
            Self::SessionStart(_) | Self::TraceStart(_) | Self::TraceEnd(_) => 0,
            Self::Completion(completion) => completion.prompt.len() + completion.response.len(),
        };
        size_of::<Self>() + texts
    }
}

#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    /// How many records and other things wait, and how much they weigh.
    waiting: usize,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
enum Item {
    Record(Arc<Record>),
    Told(Arc<Told>),
    /// Everything of this run, trace or session was handled: send on what is held, and answer with the errors that
    /// there were.
    Flush(String, Instant, oneshot::Sender<Vec<String>>),
}

impl Item {
    fn weight(&self) -> usize {
        match self {
            Self::Record(record) => record.weight(),
            Self::Told(told) => told.weight(),
            Self::Flush(..) => 0,
        }
    }

    /// What goes first when there is no room: the smaller, the sooner. `None` stays.
    fn rank(&self) -> Option<Rank> {
        match self {
            Self::Flush(..) => None,
            Self::Told(_) => Some(Rank::Kept),
            Self::Record(record) => Some(match record.event {
                Event::Text(_) | Event::Reasoning(_) | Event::ToolCallDelta(_) => Rank::Piece,
                Event::RunStarted(_) | Event::Result(_) => Rank::Kept,
                _ => Rank::Event,
            }),
        }
    }
}

/// How dear something is that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A piece of a text that comes again as a whole.
    Piece,
    Event,
    /// Without it nothing else makes sense.
    Kept,
}

#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl ObserverHandle {
    /// Starts the thread of `observer`.
    pub(crate) fn start(observer: impl Observer) -> Self {
        let name = observer.name().to_owned();
        let shared = Arc::new(Shared { name, state: Mutex::default(), wake: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name(format!("belay-{}", shared.name));
        // A machine that has no thread left fails the run soon enough; until then nothing is observed.
        let _ = thread.spawn(move || Watch::new(observer).watch(&theirs));
        Self { _owner: Arc::new(Owner(Arc::clone(&shared))), shared }
    }

    /// The observer's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Hands over records and returns how many others had to be dropped for them.
    pub(crate) fn push(&self, records: &[Arc<Record>]) -> u64 {
        self.add(records.iter().map(|record| Item::Record(Arc::clone(record))))
    }

    /// Hands over something else and returns how many records had to be dropped for it.
    pub(crate) fn tell(&self, told: &Arc<Told>) -> u64 {
        self.add(std::iter::once(Item::Told(Arc::clone(told))))
    }

    fn add(&self, items: impl Iterator<Item = Item>) -> u64 {
        let mut state = self.shared.lock();
        let dropped = items.map(|item| state.add(item)).sum();
        drop(state);
        self.shared.wake.notify_one();
        dropped
    }

    /// Resolves to the observer's errors in a run, trace or session when everything that was pushed is handled, which
    /// should be by `deadline`.
    pub(crate) fn flush(&self, of: &str, deadline: Instant) -> oneshot::Receiver<Vec<String>> {
        let (done, flushed) = oneshot::channel();
        self.shared.lock().queue.push_back(Item::Flush(of.to_owned(), deadline, done));
        self.shared.wake.notify_one();
        flushed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what comes next; `Wake` if nothing has come by then.
    fn next(&self, wake_at: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.take() {
                return Next::Item(item);
            }
            if state.closed {
                return Next::End;
            }
            let Some(at) = wake_at else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Wake;
            }
            let waited = self.wake.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[derive(Debug)]
enum Next {
    Item(Item),
    /// It is the time at which the observer wanted to be woken.
    Wake,
    End,
}

impl State {
    fn take(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        if item.rank().is_some() {
            self.waiting -= 1;
            self.bytes -= item.weight();
        }
        Some(item)
    }

    /// Puts something in, and out what there is no room for; returns how much that is.
    fn add(&mut self, item: Item) -> u64 {
        self.waiting += 1;
        self.bytes += item.weight();
        self.queue.push_back(item);
        let mut dropped = 0;
        while (self.waiting > OBSERVER_QUEUE_MAX || self.bytes > OBSERVER_BYTES_MAX)
            && self.drop_one()
        {
            dropped += 1;
        }
        dropped
    }

    /// Drops the oldest piece of text, or else the oldest record. Of what is kept something goes only when that alone
    /// is too much.
    fn drop_one(&mut self) -> bool {
        let oldest = |rank| self.queue.iter().position(|item| item.rank() == Some(rank));
        let victim = oldest(Rank::Piece).or_else(|| oldest(Rank::Event));
        let kept_too_much = || self.bytes > OBSERVER_KEPT_BYTES_MAX && self.waiting > 1;
        let victim = victim.or_else(|| oldest(Rank::Kept).filter(|_| kept_too_much()));
        let Some(item) = victim.and_then(|index| self.queue.remove(index)) else { return false };
        self.waiting -= 1;
        self.bytes -= item.weight();
        true
    }
}

/// An observer on its thread.
struct Watch<O> {
    observer: O,
    /// It has panicked, and is asked nothing any more.
    broken: bool,
    /// By run, trace and session. What went wrong for nobody in particular stands under the empty name.
    errors: HashMap<String, Errors>,
}

impl<O: Observer> Watch<O> {
    fn new(observer: O) -> Self {
        Self { observer, broken: false, errors: HashMap::new() }
    }

    fn watch(mut self, shared: &Shared) {
        loop {
            let mut wake_at = None;
            if !self.broken {
                // A panic here is one as well.
                match catch_unwind(AssertUnwindSafe(|| self.observer.wake_at())) {
                    Ok(at) => wake_at = at,
                    Err(_) => self.broken = true,
                }
            }
            match shared.next(wake_at) {
                Next::Item(Item::Record(record)) => {
                    self.ask(&record.run, |observer| observer.on_record(&record));
                }
                Next::Item(Item::Told(told)) => {
                    self.ask(told.of(), |observer| match &*told {
                        Told::SessionStart(start) => observer.start_session(start),
                        Told::TraceStart(start) => observer.start_trace(start),
                        Told::TraceEnd(end) => observer.end_trace(end),
                        Told::Completion(completion) => observer.record_completion(completion),
                    });
                }
                Next::Item(Item::Flush(of, deadline, done)) => {
                    self.ask(&of, |observer| observer.flush(deadline));
                    let errors = ["", of.as_str()].map(|of| self.errors.remove(of));
                    let words = errors.into_iter().flatten();
                    // A run that did not wait for the answer does not want it.
                    let _ = done.send(words.flat_map(|e| e.into_words(&shared.name)).collect());
                }
                Next::Wake => self.ask("", |observer| observer.on_wake()),
                Next::End => return,
            }
        }
    }

    fn ask(&mut self, of: &str, what: impl FnOnce(&mut O) -> Result<(), super::ObserverError>) {
        let mut answer = None;
        if !self.broken {
            answer = catch_unwind(AssertUnwindSafe(|| what(&mut self.observer))).ok();
            self.broken = answer.is_none();
        }
        match answer {
            Some(Ok(())) => {}
            Some(Err(error)) => self.errors.entry(of.to_owned()).or_default().add(error.as_ref()),
            None => self.errors.entry(of.to_owned()).or_default().panicked = true,
        }
    }
}

/// What an observer could not do in one run.
#[derive(Default)]
struct Errors {
    first: Vec<String>,
    more: u64,
    /// It panicked in this run, or in one before.
    panicked: bool,
}

impl Errors {
    fn add(&mut self, error: &(dyn Error + 'static)) {
        if self.first.len() < OBSERVER_ERRORS_MAX {
            let mut words = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                words.push_str(&format!(": {error}"));
                cause = error.source();
            }
            self.first.push(words);
        } else {
            self.more += 1;
        }
    }

    fn into_words(self, name: &str) -> Vec<String> {
        let mut words: Vec<_> = self.first.iter().map(|error| format!("{name}: {error}")).collect();
        if self.more > 0 {
            words.push(format!("{name}: {} more errors", self.more));
        }
        if self.panicked {
            words.push(format!("{name} panicked and is switched off"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObserverError;
    use belay_trace::{Level, Text};
    use std::sync::mpsc;

    struct Gate {
        open: mpsc::Receiver<()>,
        seen: mpsc::Sender<&'static str>,
    }

    impl Observer for Gate {
        fn name(&self) -> &'static str {
            "gate"
        }

        fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
            if self.seen.send(record.event.type_name()).is_ok() {
                let _ = self.open.recv();
            }
            Ok(())
        }
    }

    fn records(event: &Event, n: usize) -> Vec<Arc<Record>> {
        (0..n).map(|_| Arc::new(Record::new("r", event.clone()))).collect()
    }

    #[test]
    fn a_slow_observer_loses_pieces_of_text_first_and_each_loss_is_counted() {
        let (open, gate) = mpsc::channel();
        let (seen, events) = mpsc::channel();
        let handle = ObserverHandle::start(Gate { open: gate, seen });
        let notice = Event::notice(Level::Info, "n", "n");
        assert_eq!(handle.push(&records(&notice, 1)), 0);
        assert_eq!(events.recv().unwrap(), "notice");

        let text = Event::Text(Text { text: "t".into(), message_id: None });
        assert_eq!(handle.push(&records(&text, 10)), 0);
        assert_eq!(handle.push(&records(&notice, OBSERVER_QUEUE_MAX)), 10);
        drop(open);
        let flushed = handle.flush("r", Instant::now());
        assert_eq!(flushed.blocking_recv().unwrap(), Vec::<String>::new());
        assert!(events.try_iter().all(|name| name == "notice"));
    }

    #[test]
    fn a_panicking_observer_is_switched_off_and_named() {
        struct Bad;
        impl Observer for Bad {
            fn name(&self) -> &'static str {
                "bad"
            }
            fn on_record(&mut self, _: &Record) -> Result<(), ObserverError> {
                panic!("an observer's own mistake")
            }
        }
        let handle = ObserverHandle::start(Bad);
        handle.push(&records(&Event::notice(Level::Info, "n", "n"), 3));
        assert_eq!(
            handle.flush("r", Instant::now()).blocking_recv().unwrap(),
            ["bad panicked and is switched off"]
        );
    }

    /// An observer that takes nothing until the gate is open, and its handle.
    fn gated() -> (ObserverHandle, mpsc::Sender<()>, mpsc::Receiver<&'static str>) {
        let (open, gate) = mpsc::channel();
        let (seen, events) = mpsc::channel();
        let handle = ObserverHandle::start(Gate { open: gate, seen });
        assert_eq!(handle.push(&records(&Event::notice(Level::Info, "n", "n"), 1)), 0);
        assert_eq!(events.recv().unwrap(), "notice");
        (handle, open, events)
    }

    #[test]
    fn what_waits_is_bounded_by_its_weight_as_well() {
        let (handle, open, events) = gated();
        let long = Event::notice(Level::Info, "n", "x".repeat(1 << 20));
        // Eight of them are more than eight mebibytes.
        let dropped: u64 = (0..20).map(|_| handle.push(&records(&long, 1))).sum();
        assert_eq!(dropped, 20 - 7);
        assert!(handle.shared.lock().bytes <= OBSERVER_BYTES_MAX);
        drop(open);
        handle.flush("r", Instant::now()).blocking_recv().unwrap();
        assert_eq!(events.try_iter().count(), 7);
        let state = handle.shared.lock();
        assert_eq!((state.waiting, state.bytes), (0, 0));
    }

    #[test]
    fn begins_results_and_completions_are_dropped_for_nothing_but_each_other() {
        let (handle, open, events) = gated();
        let begin = Event::RunStarted(belay_trace::RunStarted::default());
        let result = Event::Result(belay_trace::RunResult::default());
        handle.push(&records(&begin, 1));
        handle.push(&records(&result, 1));
        let response = "x".repeat(1 << 20);
        let completion = CompletionRecord { response, ..CompletionRecord::default() };
        let completion = Arc::new(Told::Completion(Box::new(completion)));
        assert_eq!((0..20).map(|_| handle.tell(&completion)).sum::<u64>(), 0);
        let notice = Event::notice(Level::Info, "n", "n");
        assert_eq!(
            handle.push(&records(&notice, 3000)),
            3000,
            "there is no room for anything else"
        );
        // One that takes nothing any more costs no more memory than this.
        let dropped: u64 = (0..100).map(|_| handle.tell(&completion)).sum();
        assert!(dropped > 50, "{dropped}");
        assert!(handle.shared.lock().bytes <= OBSERVER_KEPT_BYTES_MAX);
        drop(open);
        handle.flush("r", Instant::now()).blocking_recv().unwrap();
        assert!(events.try_iter().all(|name| name != "notice"));
    }

    #[test]
    fn an_observer_is_woken_when_it_wants_to_be_and_a_panic_there_is_told_as_well() {
        struct Sleepy(Option<Instant>, mpsc::Sender<()>);
        impl Observer for Sleepy {
            fn name(&self) -> &'static str {
                "sleepy"
            }
            fn wake_at(&self) -> Option<Instant> {
                self.0
            }
            fn on_wake(&mut self) -> Result<(), ObserverError> {
                let first = self.0.take().is_some();
                self.1.send(())?;
                Err(format!("woken: {first}").into())
            }
        }
        let (woken, wakes) = mpsc::channel();
        let handle = ObserverHandle::start(Sleepy(Some(Instant::now()), woken));
        wakes.recv().unwrap();
        let errors = handle.flush("r", Instant::now()).blocking_recv().unwrap();
        assert_eq!(errors, ["sleepy: woken: true"]);

        struct Bad;
        impl Observer for Bad {
            fn name(&self) -> &'static str {
                "bad"
            }
            fn wake_at(&self) -> Option<Instant> {
                panic!("an observer's own mistake")
            }
        }
        let handle = ObserverHandle::start(Bad);
        let errors = handle.flush("r", Instant::now()).blocking_recv().unwrap();
        assert_eq!(errors, ["bad panicked and is switched off"]);
    }
}
