//! The thread and the bounded queue between a run and an observer.

use super::Observer;
use crate::limits::{OBSERVER_ERRORS_MAX, OBSERVER_QUEUE_MAX};
use belay_trace::{Event, Record};
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// A handle to an observer's thread; the thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct ObserverHandle {
    shared: Arc<Shared>,
    /// Counts the handles: the thread holds `shared` as well.
    _owner: Arc<Owner>,
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
    records: usize,
    closed: bool,
}

#[derive(Debug)]
enum Item {
    Record(Arc<Record>),
    /// Everything of this run was handled: answer with the errors that it met.
    Flush(String, oneshot::Sender<Vec<String>>),
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
        let _ = thread.spawn(move || watch(observer, &theirs));
        Self { _owner: Arc::new(Owner(Arc::clone(&shared))), shared }
    }

    /// The observer's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Hands over records and returns how many others had to be dropped for them.
    pub(crate) fn push(&self, records: &[Arc<Record>]) -> u64 {
        let mut state = self.shared.lock();
        let mut dropped = 0;
        for record in records {
            if state.records >= OBSERVER_QUEUE_MAX {
                state.drop_one();
                dropped += 1;
            }
            state.queue.push_back(Item::Record(Arc::clone(record)));
            state.records += 1;
        }
        drop(state);
        self.shared.wake.notify_one();
        dropped
    }

    /// Resolves to the observer's errors in a run when everything that was pushed is handled.
    pub(crate) fn flush(&self, run: &str) -> oneshot::Receiver<Vec<String>> {
        let (done, flushed) = oneshot::channel();
        self.shared.lock().queue.push_back(Item::Flush(run.to_owned(), done));
        self.shared.wake.notify_one();
        flushed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.queue.pop_front() {
                state.records -= usize::from(matches!(item, Item::Record(_)));
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Drops the oldest piece of text, or else the oldest record.
    fn drop_one(&mut self) {
        let is_record = |item: &Item| matches!(item, Item::Record(_));
        let is_piece = |item: &Item| match item {
            Item::Record(record) => matches!(
                record.event,
                Event::Text(_) | Event::Reasoning(_) | Event::ToolCallDelta(_)
            ),
            Item::Flush(..) => false,
        };
        let victim = self.queue.iter().position(is_piece);
        if let Some(index) = victim.or_else(|| self.queue.iter().position(is_record)) {
            self.queue.remove(index);
            self.records -= 1;
        }
    }
}

/// The observer's thread.
fn watch(mut observer: impl Observer, shared: &Shared) {
    let mut runs: HashMap<String, Errors> = HashMap::new();
    let mut broken = false;
    while let Some(item) = shared.next() {
        match item {
            Item::Record(record) => {
                let mut shown = None;
                if !broken {
                    let show = AssertUnwindSafe(|| observer.on_record(&record));
                    shown = catch_unwind(show).ok();
                    broken = shown.is_none();
                }
                match shown {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        runs.entry(record.run.clone()).or_default().add(error.as_ref());
                    }
                    None => runs.entry(record.run.clone()).or_default().panicked = true,
                }
            }
            Item::Flush(run, done) => {
                let errors = runs.remove(&run).map(|errors| errors.into_words(&shared.name));
                // A run that did not wait for the answer does not want it.
                let _ = done.send(errors.unwrap_or_default());
            }
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
        let flushed = handle.flush("r");
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
            handle.flush("r").blocking_recv().unwrap(),
            ["bad panicked and is switched off"]
        );
    }
}
