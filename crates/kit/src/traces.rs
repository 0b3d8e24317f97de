//! Traces as a program makes them: a name for a piece of work, its phases, and the runs in them.

use crate::Client;
use crate::limits::OBSERVER_FLUSH;
use crate::observe::queue::{ObserverHandle, Told};
use crate::observe::trace_file::{now, trace_start};
use crate::redact::Redactor;
use belay_agents::RunRequest;
use belay_trace::{SessionStart, TraceConfig, TraceEnd};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Which of this program's traces belong to a session; runs ask by the trace in their request.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, String>>);

impl Sessions {
    /// The session of a trace.
    pub(crate) fn of(&self, trace_id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(trace_id).cloned()
    }

    fn add(&self, trace_id: &str, session_id: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(trace_id.to_owned(), session_id.to_owned());
    }

    fn remove(&self, trace_id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(trace_id);
    }
}

/// A piece of work that runs of this program, or of others that are told its id, belong to.
///
/// Made by [`Client::start_trace`]. Any number of phases and runs may be at work at once.
///
/// Dropping a trace does not end it: it stays open in its file, where `belay trace end` or
/// [`TraceFiles::end`](crate::TraceFiles::end) ends it later.
///
/// ```no_run
/// # async fn pipeline(client: belaykit::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let trace = client.start_trace("hiveminer-run");
/// let phase = trace.phase("subreddit-discovery");
/// let found = client.run(phase.request("Find subreddits about climbing.")).await?;
/// let phase = trace.phase("thread-discovery");
/// client.run(phase.request(format!("Find threads in {}", found.text))).await?;
/// trace.end().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a trace that is not ended stays open"]
pub struct Trace {
    id: String,
    observers: Vec<ObserverHandle>,
    sessions: Arc<Sessions>,
    redactor: Redactor,
}

/// A named part of a [`Trace`]. Two phases, and two runs of one, may be at work at once.
#[derive(Clone, Debug)]
pub struct Phase {
    trace_id: String,
    name: String,
}

/// A set of traces that belong together, for observers that know such a thing (Freeplay, Langfuse). Not the agent's
/// session, which is its memory of a conversation.
#[derive(Debug)]
pub struct TraceSession {
    id: String,
    client: Client,
}

/// What observers could not do for a trace or a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not everything was observed: {}", errors.join("; "))]
#[non_exhaustive]
pub struct NotObserved {
    /// What each of them says.
    pub errors: Vec<String>,
}

impl Client {
    /// Begins a trace: tells the observers, and gives an id that no other trace has. Runs belong to it by their
    /// requests, see [`Trace::phase`] and [`RunRequest::trace_id`].
    ///
    /// An observer that cannot begin it says so at [`Trace::end`].
    pub fn start_trace(&self, config: impl Into<TraceConfig>) -> Trace {
        self.start_trace_in(config.into(), None)
    }

    /// Begins a session of traces, of which the observers are told this.
    pub fn start_session(
        &self,
        metadata: impl IntoIterator<Item = (String, Value)>,
    ) -> TraceSession {
        let id = Uuid::now_v7().to_string();
        let start = SessionStart {
            session_id: id.clone(),
            metadata: metadata.into_iter().collect(),
            start_time: now(),
        };
        let clean = match Redactor::new(&self.redaction, &self.env, None).json(&start) {
            None => start,
            Some(Ok(clean)) => clean,
            Some(Err(())) => SessionStart { metadata: BTreeMap::new(), ..start },
        };
        tell(&self.observers, Told::SessionStart(clean));
        TraceSession { id, client: self.clone() }
    }

    fn start_trace_in(&self, config: TraceConfig, session: Option<&str>) -> Trace {
        let redactor = Redactor::new(&self.redaction, &self.env, None);
        let (id, start) = trace_start(config, session.map(str::to_owned), &redactor);
        if let Some(session) = session {
            self.sessions.add(id.as_str(), session);
        }
        tell(&self.observers, Told::TraceStart(start));
        let (observers, sessions) = (self.observers.clone(), Arc::clone(&self.sessions));
        Trace { id: id.to_string(), observers, sessions, redactor }
    }
}

impl Trace {
    /// Its id, for requests and for other processes (`belay run --trace ID`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A named part of it.
    pub fn phase(&self, name: impl Into<String>) -> Phase {
        Phase { trace_id: self.id.clone(), name: name.into() }
    }

    /// Ends it: tells the observers, and waits until they have handled everything, two seconds at most.
    ///
    /// Runs that are still at work go on and are added to it.
    ///
    /// # Errors
    /// [`NotObserved`] with what observers could not do for the trace. What they could not do for a run stands in
    /// the run's outcome.
    pub async fn end(self) -> Result<(), NotObserved> {
        self.end_with(None).await
    }

    /// Like [`end`](Self::end), of work that has failed.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn fail(self, error: impl Into<String>) -> Result<(), NotObserved> {
        let error = error.into();
        let error = self.redactor.text(&error).into_owned();
        self.end_with(Some(error)).await
    }

    async fn end_with(self, error: Option<String>) -> Result<(), NotObserved> {
        self.sessions.remove(&self.id);
        let end = TraceEnd { trace_id: self.id.clone(), end_time: now(), error };
        tell(&self.observers, Told::TraceEnd(end));
        flushed(&self.observers, &self.id).await
    }
}

impl Phase {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request whose run belongs to this phase.
    pub fn request(&self, prompt: impl Into<String>) -> RunRequest {
        self.of(RunRequest::new(prompt))
    }

    /// This request, of which the run belongs to this phase.
    pub fn of(&self, request: RunRequest) -> RunRequest {
        request.trace_id(&self.trace_id).phase(&self.name)
    }
}

impl TraceSession {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Like [`Client::start_trace`], in this session.
    pub fn start_trace(&self, config: impl Into<TraceConfig>) -> Trace {
        self.client.start_trace_in(config.into(), Some(&self.id))
    }

    /// Waits until the observers have handled everything, two seconds at most.
    ///
    /// # Errors
    /// [`NotObserved`] with what observers could not do for the session itself.
    pub async fn end(self) -> Result<(), NotObserved> {
        flushed(&self.client.observers, &self.id).await
    }
}

fn tell(observers: &[ObserverHandle], told: Told) {
    let told = Arc::new(told);
    for observer in observers {
        observer.tell(&told);
    }
}

async fn flushed(observers: &[ObserverHandle], of: &str) -> Result<(), NotObserved> {
    let errors = flush(observers, of, OBSERVER_FLUSH).await;
    if errors.is_empty() { Ok(()) } else { Err(NotObserved { errors }) }
}

/// Waits until the observers have handled everything of a run, trace or session, at most `patience` in all; returns
/// their errors.
pub(crate) async fn flush(
    observers: &[ObserverHandle],
    of: &str,
    patience: Duration,
) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + patience;
    // So that who gives up at the last moment can still say what is lost.
    let by = Instant::now() + patience - patience / 8;
    let flushes: Vec<_> = observers.iter().map(|o| (o.name(), o.flush(of, by))).collect();
    let mut errors = Vec::new();
    for (name, flushed) in flushes {
        match tokio::time::timeout_at(deadline, flushed).await {
            Ok(Ok(failed)) => errors.extend(failed),
            Ok(Err(_)) => errors.push(format!("{name}: its thread is gone")),
            Err(_) => errors.push(format!("{name}: still busy after {} s", patience.as_secs())),
        }
    }
    errors
}
