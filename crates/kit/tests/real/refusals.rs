//! What providers say when they refuse, each in its own words, to real agents that have another one behind them: which
//! kind of failure belay makes of it. And answers that read like such words, which are answers.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Stage, Way, block_on, on};
use belay_testkit::fake_agent::{FakeAgent, Play};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::EvidenceSource;
use belaykit::{DockerAgent, Event, Failure, FailureKind, Permissions, Policy, RunRequest};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An agent that has not told its failure by then tries again in silence, which is another matter.
const TOLD_WITHIN: Duration = Duration::from_secs(25);

/// How many runs at a time: most of each is a pause of the agent's.
const AT_A_TIME: usize = 3;

const NEXT: &str = "The next one answers.";

/// A refusal as a provider sends it.
#[derive(Debug, Deserialize)]
struct Refusal {
    id: String,
    /// `anthropic`, `responses`, `chat`, `gemini`, or `openai` for both of its APIs.
    api: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON, or a text.
    #[serde(default)]
    body: Value,
    /// Events in the place of a body.
    stream: Option<String>,
    kind: FailureKind,
    /// Agents that hand on nothing of its words, so that no client can tell.
    #[serde(default)]
    hidden_by: Vec<String>,
    /// One of the few that each run of CI plays.
    #[serde(default)]
    first: u8,
}

impl Refusal {
    fn all(way: Way) -> Vec<Self> {
        let apis: &[&str] = match way {
            Way::Claude | Way::ClaudePrint => &["anthropic"],
            Way::Codex | Way::CodexExec => &["openai", "responses"],
            Way::Gemini => &["gemini"],
            Way::OpenCode
            | Way::OpenCodeRun
            | Way::Pi
            | Way::PiPrint
            | Way::Qwen
            | Way::Copilot => &["openai", "chat"],
        };
        let all = include_str!("../corpus/refusals.jsonl").lines();
        let all = all.map(|line| serde_json::from_str::<Self>(line).unwrap());
        all.filter(|refusal| apis.contains(&&*refusal.api)).collect()
    }

    fn reply(&self) -> Reply {
        let reply = match (&self.stream, &self.body) {
            (Some(events), _) => Reply::verbatim(self.status, "text/event-stream", events),
            (None, Value::String(text)) if text.starts_with('<') => {
                Reply::verbatim(self.status, "text/html", text)
            }
            (None, Value::String(text)) => Reply::verbatim(self.status, "text/plain", text),
            (None, body) => Reply::verbatim(self.status, "application/json", body.to_string()),
        };
        let headers = self.headers.iter();
        headers.fold(reply, |reply, (name, value)| reply.header(name, value))
    }

    /// Plays it to the first agent of a chain, in a home of its own.
    fn play(&self, way: Way) -> Told {
        let Some(stage) = Stage::enter(way, &self.id) else { return Told::Late };
        let server = ModelServer::start(Script::new().forever(self.reply())).unwrap();
        let lines = [
            r#"{"type":"stream_started","session_id":"s"}"#.to_owned(),
            format!(r#"{{"type":"agent_choice","content":"{NEXT}","session_id":"s"}}"#),
            r#"{"type":"stream_stopped","session_id":"s","reason":"normal"}"#.to_owned(),
        ];
        let next = FakeAgent::new(stage.sandbox.home(), "next", &Play::lines(lines)).unwrap();
        let client = stage
            .client(&server)
            .or(DockerAgent::new("agent.yaml"))
            .program_of("docker-agent", next.program())
            .policy(Policy::default().max_retries(0));
        let request = RunRequest::new("PROMPT")
            .cwd(stage.project())
            .permissions(Permissions::Full)
            .timeout(TOLD_WITHIN);
        let (failure, text) = block_on(async {
            let mut run = client.start(request);
            let mut failure = None;
            while let Some(record) = run.next().await {
                if let Event::AttemptEnded(ended) = record.event
                    && record.attempt == 1
                {
                    failure = ended.failure;
                }
            }
            (failure, run.outcome().await.map(|outcome| outcome.text))
        });
        let asked_next = text.as_ref().is_ok_and(|text| text == NEXT);
        match failure {
            Some(failure) if failure.kind == FailureKind::Deadline => Told::Late,
            Some(failure) => Told::Failed { failure, asked_next },
            None => Told::Answered(text.unwrap_or_default()),
        }
    }
}

/// What a run made of a refusal.
#[derive(Debug)]
enum Told {
    Failed {
        failure: Failure,
        asked_next: bool,
    },
    Answered(String),
    /// Nothing within [`TOLD_WITHIN`].
    Late,
}

/// Does all of it, a few at a time; the results are in the order of the items.
fn each<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = act(item);
                    done.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Plays them all, and prints a row for the table in docs/failover.md and what was misjudged.
fn judge(way: Way, refusals: &[Refusal]) {
    let told = each(refusals, |refusal| refusal.play(way));
    let (mut late, mut wrong, mut lines) = (0, 0, String::new());
    for (refusal, told) in refusals.iter().zip(&told) {
        let (id, want) = (&refusal.id, refusal.kind);
        let is_hidden = refusal.hidden_by.iter().any(|name| Way::named(name) == way);
        match told {
            _ if is_hidden => {
                late += 1;
                writeln!(lines, "  {id}: hidden ({want})").unwrap();
            }
            Told::Late => {
                late += 1;
                writeln!(lines, "  {id}: late ({want})").unwrap();
            }
            Told::Failed { failure, asked_next } => {
                if failure.kind != want {
                    wrong += 1;
                    let said = shown(failure);
                    writeln!(lines, "  {id}: {} ({want}) {said}", failure.kind).unwrap();
                }
                let is_passed_on = failure.kind == FailureKind::Refused && *asked_next;
                assert!(!is_passed_on, "{way:?} {id}: {failure:#?}");
            }
            Told::Answered(text) => {
                wrong += 1;
                writeln!(lines, "  {id}: answered {text:?} ({want})").unwrap();
            }
        }
    }
    let count = refusals.len() - late;
    let row = format!("{way:?}: {} of {count} right, {late} not told", count - wrong);
    println!("{row}\n{lines}");
    assert!((count - wrong) * 100 >= count * 95, "{row}\n{lines}");
}

fn shown(failure: &Failure) -> String {
    let said = failure.evidence.iter().map(|said| {
        let source = match said.source {
            EvidenceSource::Field => "field",
            EvidenceSource::Status => "status",
            EvidenceSource::Text => "text",
            EvidenceSource::Exit => "exit",
        };
        format!("{source} {}={:.200}", said.name, said.value)
    });
    said.collect::<Vec<_>>().join("; ")
}

fn what_a_provider_says_has_its_kind(stage: &Stage) {
    let mut refusals = Refusal::all(stage.way);
    refusals.retain(|refusal| refusal.first > 0);
    judge(stage.way, &refusals);
}
on!(what_a_provider_says_has_its_kind: claude, codex, codex_exec, opencode, pi, gemini, qwen, copilot; claude_print, opencode_run, pi_print);

/// Answers in the words of failures.
fn answers() -> Vec<String> {
    let all = include_str!("../corpus/answers.jsonl").lines();
    let text = |line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().into();
    all.map(text).collect()
}

fn are_answers(way: Way, texts: &[String]) {
    each(texts, |text| {
        let Some(stage) = Stage::enter(way, "answers") else { return };
        let played = stage.play(Script::new().reply(Reply::text(text)), "PROMPT");
        // How it is redacted is another matter.
        let said = played.outcome.as_ref().map(|outcome| outcome.text.get(..7));
        assert_eq!(said.ok(), Some(text.get(..7)), "{way:?}: {text}\n{played:#?}");
    });
}

fn an_answer_that_reads_like_a_failure_is_one(stage: &Stage) {
    let texts: Vec<_> = answers().into_iter().step_by(10).collect();
    are_answers(stage.way, &texts);
}
on!(an_answer_that_reads_like_a_failure_is_one: claude, codex, opencode, pi, gemini, qwen, copilot; codex_exec);

/// All of both lists: for `cargo xtask test --all`.
mod every_way {
    use super::*;

    fn whatever_a_provider_says_has_its_kind(stage: &Stage) {
        judge(stage.way, &Refusal::all(stage.way));
    }
    on!(whatever_a_provider_says_has_its_kind: claude, codex, codex_exec, opencode, pi, gemini, qwen, copilot);

    fn whatever_reads_like_a_failure_is_an_answer(stage: &Stage) {
        are_answers(stage.way, &answers());
    }
    on!(whatever_reads_like_a_failure_is_an_answer: claude, codex, codex_exec, opencode, pi, gemini, qwen, copilot);
}
