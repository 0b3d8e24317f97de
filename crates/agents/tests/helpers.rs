//! Codex's helpers (`spawn_agent`): threads of their own, which a turn has started and may not wait for.
//!
//! The two streams are those of the real app-server (0.169.0, `features.multi_agent_v2`) and a scripted model whose
//! helper runs a command of three seconds. In one the model waits for it (`wait_agent`).

use belay_agents::{
    Action, Agent as _, AttemptEnd, Codex, Exit, Input, Out, Protocol, RunRequest, Transport,
};
use belay_trace::{BackgroundTasks, Event};
use serde_json::{Value, json};

const WAIT: &str = include_str!("helpers/wait.jsonl");
const NO_WAIT: &str = include_str!("helpers/nowait.jsonl");

struct Talk {
    protocol: Box<dyn Protocol>,
    out: Out,
}

impl Talk {
    fn new() -> Self {
        let protocol = Codex::new().protocol(&RunRequest::new("p"), Transport::Dialogue);
        let mut talk = Self { protocol, out: Out::default() };
        talk.step(Input::Start);
        talk
    }

    fn step(&mut self, input: Input<'_>) {
        self.protocol.step(input, &mut self.out);
    }

    fn hear<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        lines.into_iter().for_each(|line| self.step(Input::Stdout(line.as_bytes())));
    }

    fn ends(&self) -> Vec<&AttemptEnd> {
        let ends = self.out.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    /// All of them in one, as the attempt has it.
    fn whole_end(&self) -> AttemptEnd {
        let mut ends = self.ends().into_iter().cloned();
        let mut whole = ends.next().expect("an end");
        ends.for_each(|end| whole.followed_by(end));
        whole
    }

    fn has_closed(&self) -> bool {
        self.out.actions.contains(&Action::CloseStdin)
    }

    fn tasks(&self) -> Vec<&BackgroundTasks> {
        let told = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::BackgroundTasks(told) => Some(told),
                _ => None,
            },
            _ => None,
        });
        told.collect()
    }

    /// The names of the events below a call.
    fn below(&self, call: &str) -> Vec<&str> {
        let below = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => {
                let parent = emitted.parent_tool_id.as_ref()?;
                (parent.0 == call).then(|| emitted.event.type_name())
            }
            _ => None,
        });
        below.collect()
    }

    /// The last sum that was told.
    fn sum(&self) -> (Option<u64>, Option<u64>) {
        let sums = self.out.actions.iter().rev().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Usage(report) => {
                    Some((report.usage.input_tokens, report.usage.output_tokens))
                }
                _ => None,
            },
            _ => None,
        });
        sums.take(1).next().unwrap_or_default()
    }

    /// What was asked of Codex.
    fn asked(&self, method: &str) -> Vec<Value> {
        let lines = self.out.actions.iter().filter_map(|action| match action {
            Action::Stdin(line) => serde_json::from_slice::<Value>(line).ok(),
            _ => None,
        });
        lines
            .filter(|line| line["method"] == method)
            .map(|mut line| line["params"].take())
            .collect()
    }
}

/// The first line that the parent's turn ends with, and those behind it.
fn at_the_end(stream: &'static str) -> (Vec<&'static str>, Vec<&'static str>) {
    let lines: Vec<&str> = stream.lines().collect();
    let is_end = |line: &&str| line.contains("turn/completed") && line.contains("PARENT DONE");
    let end = lines.iter().position(is_end).expect("the parent's turn ends");
    let (before, after) = lines.split_at(end + 1);
    (before.to_vec(), after.to_vec())
}

/// What the model server has counted: input without what was cached, and output, of all five responses or four.
const ALL_OF_FIVE: (Option<u64>, Option<u64>) = (Some(4515), Some(65));
const ALL_OF_FOUR: (Option<u64>, Option<u64>) = (Some(3610), Some(50));

fn tokens(end: &AttemptEnd) -> (Option<u64>, Option<u64>) {
    (end.usage.input_tokens, end.usage.output_tokens)
}

#[test]
fn a_helper_that_is_waited_for_is_below_its_call_and_paid_for() {
    let mut talk = Talk::new();
    talk.hear(WAIT.lines());
    talk.step(Input::Exit(Exit::Code(0)));
    assert_eq!(talk.ends().len(), 1);
    let end = talk.whole_end();
    assert_eq!((end.answer.as_str(), &end.failure), ("PARENT DONE", &None));
    assert_eq!((tokens(&end), end.usage.num_turns), (ALL_OF_FIVE, Some(3)));
    assert!(!end.usage.partial);
    assert_eq!(talk.sum(), ALL_OF_FIVE);
    let below = talk.below("call_1");
    for name in ["turn_started", "text", "tool_call", "tool_result", "usage", "context"] {
        assert!(below.contains(&name), "{name}: {below:?}");
    }
    let tasks = talk.tasks();
    assert_eq!(tasks[0].tasks[0].tool_id.as_ref().unwrap().0, "call_1");
    assert_eq!(tasks[0].tasks[0].description, "/root/count");
    assert!(tasks.iter().all(|told| !told.waiting) && tasks.last().unwrap().tasks.is_empty());
}

#[test]
fn a_helper_that_is_not_waited_for_is_open_work() {
    let (before, after) = at_the_end(NO_WAIT);
    let mut talk = Talk::new();
    talk.hear(before);
    assert_eq!((talk.ends().len(), talk.has_closed()), (1, false));
    assert!(talk.tasks().last().unwrap().waiting);
    let end = talk.whole_end();
    assert_eq!((end.answer.as_str(), end.usage.partial), ("PARENT DONE", false));
    talk.hear(after);
    assert_eq!((talk.ends().len(), talk.has_closed()), (2, true));
    assert!(talk.tasks().last().unwrap().tasks.is_empty());
    talk.step(Input::Exit(Exit::Code(0)));
    let whole = talk.whole_end();
    assert_eq!((whole.answer.as_str(), &whole.failure), ("PARENT DONE", &None));
    assert_eq!((tokens(&whole), whole.usage.num_turns), (ALL_OF_FOUR, Some(2)));
    assert!(!whole.usage.partial);
}

#[test]
fn a_helper_that_is_cut_off_leaves_a_lower_bound() {
    let (before, after) = at_the_end(NO_WAIT);
    for heard in [0, after.len() / 2] {
        let mut talk = Talk::new();
        talk.hear(before.clone());
        talk.hear(after[..heard].iter().copied());
        talk.step(Input::Exit(Exit::Code(0)));
        let whole = talk.whole_end();
        assert!(whole.usage.partial && whole.failure.is_none(), "{heard}");
        assert_eq!(whole.answer, "PARENT DONE");
    }
    // The process is gone before the parent's turn could be followed by anything.
    let mut talk = Talk::new();
    talk.hear(before[..before.len() - 1].iter().copied());
    talk.step(Input::Exit(Exit::Signal(9)));
    assert!(talk.whole_end().failure.is_some() && talk.whole_end().usage.partial);
}

#[test]
fn a_stop_interrupts_the_turn_of_a_helper_that_is_waited_for() {
    let (before, after) = at_the_end(NO_WAIT);
    let mut talk = Talk::new();
    talk.hear(before);
    talk.step(Input::Steer("more"));
    assert!(talk.out.actions.contains(&Action::Cannot("steer")));
    talk.step(Input::Interrupt);
    let asked = talk.asked("turn/interrupt");
    assert_eq!(asked.len(), 1);
    assert!(
        talk.has_closed()
            && after.iter().any(|line| line.contains(asked[0]["threadId"].as_str().unwrap()))
    );
}

/// The thread, its parent and the turns of a helper that is told of by its thread alone.
fn told_by_thread() -> Vec<String> {
    let note =
        |method: &str, params: Value| json!({"method": method, "params": params}).to_string();
    let count = |n: u64| {
        let all = json!({"totalTokens": n + 1, "inputTokens": n, "outputTokens": 1});
        json!({"total": all, "last": all, "modelContextWindow": 1000})
    };
    vec![
        note("turn/started", json!({"threadId": "t", "turn": {"id": "u", "status": "inProgress"}})),
        note(
            "thread/started",
            json!({"thread": {"id": "c", "parentThreadId": "t", "model": "mini"}}),
        ),
        note("thread/started", json!({"thread": {"id": "x", "parentThreadId": "elsewhere"}})),
        note("turn/started", json!({"threadId": "c", "turn": {"id": "v", "status": "inProgress"}})),
        note(
            "thread/tokenUsage/updated",
            json!({"threadId": "c", "turnId": "v", "tokenUsage": count(500)}),
        ),
        // Of a thread that is none of this run's.
        note(
            "thread/tokenUsage/updated",
            json!({"threadId": "x", "turnId": "w", "tokenUsage": count(7)}),
        ),
        note(
            "turn/completed",
            json!({"threadId": "c", "turn": {"id": "v", "status": "completed"}}),
        ),
        note(
            "thread/tokenUsage/updated",
            json!({"threadId": "t", "turnId": "u", "tokenUsage": count(3000)}),
        ),
        note(
            "item/completed",
            json!({"threadId": "t", "turnId": "u", "item": {"id": "m", "type": "agentMessage", "text": "Done."}}),
        ),
        note(
            "turn/completed",
            json!({"threadId": "t", "turn": {"id": "u", "status": "completed"}}),
        ),
    ]
}

#[test]
fn a_helper_is_known_by_its_thread_and_strangers_are_not_paid_for() {
    let mut talk = Talk::new();
    let lines = told_by_thread();
    talk.hear(lines.iter().map(String::as_str));
    assert_eq!((talk.ends().len(), talk.has_closed()), (1, true));
    assert_eq!(tokens(&talk.whole_end()), (Some(3500), Some(2)));
    assert!(talk.below("c").contains(&"usage"));
}

#[test]
fn a_helper_that_has_answered_is_not_waited_for_without_end() {
    let mut talk = Talk::new();
    let lines = told_by_thread();
    let answer =
        json!({"id": "a", "type": "agentMessage", "text": "Seven.", "phase": "final_answer"});
    let params = json!({"threadId": "c", "turnId": "v", "item": answer});
    let answer = json!({"method": "item/completed", "params": params}).to_string();
    let is_end = |line: &&str| line.contains("turn/completed") && line.contains("\"c\"");
    let lines = lines.iter().map(String::as_str).filter(|line| !is_end(line));
    let mut lines: Vec<&str> = lines.collect();
    lines.insert(lines.len() - 1, &answer);
    talk.hear(lines);
    assert_eq!((talk.ends().len(), talk.has_closed()), (1, false));
    let mut timers = talk.out.actions.iter().rev().filter_map(|action| match action {
        Action::Timer(id, _) => Some(*id),
        _ => None,
    });
    let last = timers.next().expect("a wait with an end");
    talk.step(Input::Timer(last));
    let whole = talk.whole_end();
    assert_eq!((talk.ends().len(), talk.has_closed(), whole.usage.partial), (2, true, true));
    assert_eq!((whole.answer.as_str(), tokens(&whole)), ("Done.", (Some(3500), Some(2))));
    assert!(talk.tasks().last().unwrap().tasks.is_empty());
}
