//! Runs as Freeplay's sessions, traces and completions.

use super::provider::provider;
use super::sender::{Manners, Parcel, Sender};
use super::{Observer, ObserverError};
use crate::Environment;
use crate::limits::{FREEPLAY_TEXT_BYTES_MAX, FREEPLAY_TOOLS_MAX, SENDER_TIMEOUT};
use crate::observe::http::{Http, Network};
use belay_trace::{
    CompletionRecord, CostSource, Event, Record, SessionStart, ToolCall, ToolResult, TraceEnd,
    TraceStart,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// Tells Freeplay of runs: what was asked, what was answered, which tools were called, and what it took.
///
/// A session is that of the [trace](crate::TraceSession), or else the trace, or else the run. A trace of this program is a trace
/// there, a run is one below it, its tool calls are below the run, and so is its completion, which has tokens and
/// model; Freeplay has no field for a cost, so it is in the metadata. Whatever stands above is sent first. All ids
/// are made of the run's, so that what is sent twice is there once.
///
/// Freeplay is there to look at prompts and answers: they are sent, without the secrets that are taken out everywhere.
///
/// ```
/// use belaykit::{Claude, Client, Environment, Freeplay};
///
/// let environment = Environment::new([
///     ("FREEPLAY_API_KEY".into(), "…".into()),
///     ("FREEPLAY_PROJECT_ID".into(), "…".into()),
/// ]);
/// let client = Client::new(Claude::new()).observe(Freeplay::new(&environment)?);
/// # Ok::<(), belaykit::FreeplayNeeds>(())
/// ```
pub struct Freeplay {
    /// Up to the project.
    base: String,
    headers: Arc<[(String, String)]>,
    sender: Sender,
    sessions: HashMap<String, BTreeMap<String, Value>>,
    traces: HashMap<String, TraceStart>,
    runs: HashMap<String, Vec<Tool>>,
}

/// Why Freeplay cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreeplayNeeds {
    /// A variable is not there.
    #[error("Freeplay needs {0} in the environment")]
    Variable(&'static str),
    /// Nothing is sent there.
    #[error("FREEPLAY_API_URL cannot be used: {0}")]
    Address(String),
}

/// A call of a tool.
struct Tool {
    call: ToolCall,
    start: Timestamp,
    /// What came back, and when.
    result: Option<(ToolResult, Timestamp)>,
    seq: u64,
}

impl fmt::Debug for Freeplay {
    // Headers are logins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Freeplay").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Freeplay {
    /// The project that the environment names: `FREEPLAY_API_KEY`, `FREEPLAY_PROJECT_ID`, and `FREEPLAY_API_URL` or
    /// `FREEPLAY_SUBDOMAIN` if it is not at app.freeplay.ai.
    ///
    /// # Errors
    /// [`FreeplayNeeds`] with what is missing.
    pub fn new(environment: &Environment) -> Result<Self, FreeplayNeeds> {
        let get = |name: &str| environment.get(name)?.to_str().filter(|text| !text.is_empty());
        let need = |name: &'static str| get(name).ok_or(FreeplayNeeds::Variable(name));
        let (key, project) = (need("FREEPLAY_API_KEY")?, need("FREEPLAY_PROJECT_ID")?);
        let of_subdomain =
            || Some(format!("https://{}.freeplay.ai/api", get("FREEPLAY_SUBDOMAIN")?));
        let url = get("FREEPLAY_API_URL").map(str::to_owned).or_else(of_subdomain);
        let url = url.unwrap_or_else(|| "https://app.freeplay.ai/api".to_owned());
        let http = Http::new().network(Network::of(environment));
        http.check(&url).map_err(FreeplayNeeds::Address)?;
        let headers = [
            ("authorization", format!("Bearer {key}")),
            ("content-type", "application/json".to_owned()),
        ];
        let passes = |status| status == 429 || (500..600).contains(&status);
        let manners = Manners {
            timeout: SENDER_TIMEOUT,
            passes,
            refused: |_, _| None,
            error_words: |_| None,
        };
        Ok(Self {
            base: format!("{}/v2/projects/{project}", url.trim_end_matches('/')),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            sender: Sender::start("freeplay", http, manners),
            sessions: HashMap::new(),
            traces: HashMap::new(),
            runs: HashMap::new(),
        })
    }

    fn send(&self, path: &str, body: &Value, is_patch: bool, what: &'static str) {
        self.sender.send(Parcel {
            url: format!("{}{path}", self.base).into(),
            headers: Arc::clone(&self.headers),
            body: body.to_string().into_bytes(),
            is_patch,
            count: 1,
            what,
        });
    }

    fn send_tools(
        &self,
        completion: &CompletionRecord,
        session: &str,
        run: &str,
        tools: Vec<Tool>,
    ) {
        for tool in tools {
            let id = uuid("tool", &format!("{} {}", completion.run, tool.seq));
            let end = tool.result.as_ref().map_or(completion.end_time, |(_, at)| *at);
            let output = tool.result.as_ref().map(|(result, _)| cut(&result.output));
            let is_error = tool.result.as_ref().is_none_or(|(result, _)| result.tool_error);
            let args = tool.call.args.get();
            let input = if args.len() > FREEPLAY_TEXT_BYTES_MAX {
                Value::from(cut(args))
            } else {
                tool.call.args.to_value()
            };
            let body = json!({
                "kind": "tool",
                "name": tool.call.name,
                "agent_name": tool.call.name,
                "parent_id": run,
                "input": input,
                "output": output.unwrap_or("the tool has not returned"),
                "start_time": tool.start.to_string(),
                "end_time": end.to_string(),
                "custom_metadata": {"is_error": is_error},
            });
            self.send(&format!("/sessions/{session}/traces/id/{id}"), &body, false, "tool calls");
        }
    }
}

impl Observer for Freeplay {
    fn name(&self) -> &'static str {
        "freeplay"
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        match &record.event {
            Event::RunStarted(_) => drop(self.runs.insert(record.run.clone(), Vec::new())),
            Event::ToolCall(call) => {
                let Some(tools) = self.runs.get_mut(&record.run) else { return Ok(()) };
                if tools.len() < FREEPLAY_TOOLS_MAX {
                    let call = call.clone();
                    tools.push(Tool { call, start: record.ts, result: None, seq: record.seq });
                }
            }
            Event::ToolResult(result) => {
                let Some(tools) = self.runs.get_mut(&record.run) else { return Ok(()) };
                let open =
                    |tool: &&mut Tool| tool.result.is_none() && tool.call.tool_id == result.tool_id;
                if let Some(tool) = tools.iter_mut().rev().find(open) {
                    let output = cut(&result.output).to_owned();
                    tool.result = Some((ToolResult { output, ..result.clone() }, record.ts));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start_session(&mut self, start: &SessionStart) -> Result<(), ObserverError> {
        self.sessions.insert(start.session_id.clone(), start.metadata.clone());
        Ok(())
    }

    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        let name = &start.config.name;
        let body = json!({
            "kind": "agent",
            "name": start.config.display_name.as_ref().unwrap_or(name),
            "agent_name": name,
            "input": name,
            // It has none before it ends, and must have one.
            "output": "",
            "start_time": start.start_time.to_string(),
            "custom_metadata": flat(&start.config.metadata),
        });
        self.send(&trace_path(start), &body, false, "traces");
        self.traces.insert(start.trace_id.clone(), start.clone());
        Ok(())
    }

    fn end_trace(&mut self, end: &TraceEnd) -> Result<(), ObserverError> {
        let Some(start) = self.traces.remove(&end.trace_id) else { return Ok(()) };
        let output = end.error.as_deref().unwrap_or("ended");
        let is_error = end.error.is_some();
        let body = json!({
            "output": output,
            "metadata": {"end_time": end.end_time.to_string(), "is_error": is_error},
        });
        self.send(&trace_path(&start), &body, true, "ends of traces");
        Ok(())
    }

    fn record_completion(&mut self, completion: &CompletionRecord) -> Result<(), ObserverError> {
        let tools = self.runs.remove(&completion.run).unwrap_or_default();
        let of = completion.session_id.as_ref().unwrap_or(&completion.trace_id);
        let session = uuid("session", of);
        // Not the run's own id: a lone run is a session of that.
        let run = uuid("run", &format!("run {}", completion.run));
        let parent =
            self.traces.get(&completion.trace_id).map(|trace| uuid("trace", &trace.trace_id));
        let metadata = metadata(completion);
        let mut body = json!({
            "kind": "agent",
            "name": completion.phase.as_ref().unwrap_or(&completion.agent),
            "agent_name": completion.agent,
            "input": completion.prompt,
            "output": completion.response,
            "start_time": completion.start_time.to_string(),
            "end_time": completion.end_time.to_string(),
            "custom_metadata": metadata,
        });
        if let Some(parent) = parent {
            body["parent_id"] = json!(parent);
        }
        self.send(&format!("/sessions/{session}/traces/id/{run}"), &body, false, "runs");
        let session_metadata = completion.session_id.as_ref().and_then(|id| self.sessions.get(id));
        let body = json!({
            "completion_id": uuid("completion", &completion.run),
            "messages": [
                {"role": "user", "content": completion.prompt},
                {"role": "assistant", "content": completion.response},
            ],
            "inputs": {},
            "parent_id": run,
            "call_info": call_info(completion),
            "session_info": {"custom_metadata": session_metadata.map(flat).unwrap_or_default()},
            "custom_metadata": metadata,
        });
        self.send(&format!("/sessions/{session}/completions"), &body, false, "completions");
        // Last, one request each: if there is no time for all of them, prompt and answer are there.
        self.send_tools(completion, &session, &run, tools);
        Ok(())
    }

    fn flush(&mut self, deadline: Instant) -> Result<(), ObserverError> {
        Ok(self.sender.flush(deadline)?)
    }
}

fn trace_path(start: &TraceStart) -> String {
    let session = uuid("session", start.session_id.as_ref().unwrap_or(&start.trace_id));
    format!("/sessions/{session}/traces/id/{}", uuid("trace", &start.trace_id))
}

fn call_info(completion: &CompletionRecord) -> Value {
    let model = completion.model.as_deref();
    let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
    let mut info = json!({
        "provider": model.and_then(provider).or(completion.provider.as_deref()),
        "model": model,
        "start_time": seconds(completion.start_time),
        "end_time": seconds(completion.end_time),
    });
    // Those of the cache are tokens of the prompt.
    let parts = [
        completion.input_tokens,
        completion.cache_read_input_tokens,
        completion.cache_creation_input_tokens,
    ];
    let input = parts.into_iter().flatten().reduce(u64::saturating_add);
    if let (Some(input), Some(output)) = (input, completion.output_tokens) {
        info["usage"] = json!({"prompt_tokens": input, "completion_tokens": output});
    }
    info
}

/// What Freeplay has no fields for. What nobody knows is left out.
fn metadata(completion: &CompletionRecord) -> Value {
    let cost_source = (completion.cost_source != CostSource::Unknown)
        .then_some(completion.cost_source)
        .and_then(|source| serde_json::to_value(source).ok());
    let all = [
        ("run", json!(completion.run)),
        ("belay_trace", json!(completion.trace_id)),
        ("agent", json!(completion.agent)),
        ("phase", json!(completion.phase)),
        ("cost_usd", json!(completion.cost_usd)),
        ("cost_source", json!(cost_source)),
        ("cache_read_tokens", json!(completion.cache_read_input_tokens)),
        ("cache_write_tokens", json!(completion.cache_creation_input_tokens)),
        ("num_turns", json!(completion.num_turns)),
        ("duration_ms", json!(completion.duration_ms)),
        ("is_error", json!(completion.is_error)),
        ("failure", json!(completion.failure.map(|kind| kind.name()))),
    ];
    let known = all.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(known.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Texts, numbers and truth values stay; anything else is told as JSON.
fn flat(metadata: &BTreeMap<String, Value>) -> Map<String, Value> {
    let flat = metadata.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let value = match value {
            Value::Array(_) | Value::Object(_) => Value::from(value.to_string()),
            plain => plain.clone(),
        };
        (name.clone(), value)
    });
    flat.collect()
}

/// The id of something that has one of ours: the same, if that is a UUID.
fn uuid(what: &str, id: &str) -> String {
    let own = Uuid::try_parse(id).ok().filter(|_| what != "completion");
    let made = || {
        let digest = Sha256::digest(format!("{what} {id}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    };
    own.unwrap_or_else(made).to_string()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(FREEPLAY_TEXT_BYTES_MAX)]
}
