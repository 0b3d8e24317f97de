//! From records to a tree: a pure function of the journal, so that a lost tree can always be made again.

use crate::{
    Context, Event, FailureKind, Node, NodeStatus, NodeType, Record, Retry, RunResult, Steered,
    ToolCall, ToolId, ToolResult, Usage,
};
use jiff::Timestamp;
use std::collections::HashMap;

/// Builds the trace tree of one run, record by record.
///
/// The tree is the seed's: a trace holds, for each phase, a marker and the phase; a phase holds its tool
/// calls; a subagent's calls stand under the call that started it. Work before the first [`Event::Phase`]
/// belongs to a phase named after the agent. Money and tokens stand on the phase in which the run ended,
/// because that is the level at which agents report them. What has not ended yet says so in its `status`, so that
/// the tree is one at any moment.
#[derive(Clone, Debug)]
pub struct Fold {
    root: Node,
    /// Where each tool call stands: indices from the root down.
    tools: HashMap<ToolId, Vec<usize>>,
    /// Where those calls stand that have not returned.
    open: Vec<Vec<usize>>,
    started: Option<Timestamp>,
    /// Figures of ended attempts, until the result gives the total.
    attempts: Usage,
    /// Those of the attempt that runs, as far as they are told.
    attempt: Usage,
    context: Option<Context>,
    model: String,
}

impl Fold {
    /// An empty tree.
    pub fn new(trace_id: &str) -> Self {
        let root =
            Node { id: trace_id.to_owned(), agent_name: trace_id.to_owned(), ..Node::default() };
        Self {
            root,
            tools: HashMap::new(),
            open: Vec::new(),
            started: None,
            attempts: Usage::default(),
            attempt: Usage::default(),
            context: None,
            model: String::new(),
        }
    }

    /// Takes the next record of the run.
    pub fn push(&mut self, record: &Record) {
        let started = *self.started.get_or_insert(record.ts);
        self.root.start_time = Some(started);
        self.root.duration_ms = millis(started, record.ts);
        if self.root.run.is_empty() {
            self.root.run.clone_from(&record.run);
            self.root.status = Some(NodeStatus::Running);
        }
        if self.is_running() {
            self.measure_phase(record);
        }
        match &record.event {
            Event::Phase(phase) => self.open_phase(record, &phase.phase_name),
            Event::SessionStarted(session) => {
                if let Some(model) = &session.model {
                    self.model.clone_from(model);
                }
            }
            Event::Context(context) if record.parent_tool_id.is_none() => {
                self.context = Some(context.clone());
            }
            Event::ToolCall(call) => self.open_tool(record, call),
            Event::ToolResult(result) => self.close_tool(record, result),
            // So that a run that is killed has told what it had used by then.
            Event::Usage(report) => {
                self.attempt.update(report.usage.clone());
                self.fill_so_far(record);
            }
            Event::AttemptResult(result) => {
                self.attempt = result.usage.clone();
                self.fill_so_far(record);
            }
            Event::AttemptStarted(_) => {
                self.attempt = Usage::default();
                self.phase(record);
                self.forget_error();
            }
            Event::AttemptEnded(attempt) => {
                self.attempts.add(&attempt.usage);
                self.attempt = Usage::default();
                let error = attempt.failure.as_ref().map(ToString::to_string).unwrap_or_default();
                let usage = self.attempts.clone();
                self.fill_phase(record, &usage).error = error;
                self.abandon_tools(record);
            }
            Event::Failover(failover) => {
                let words = format!("⇢ {}", failover.to);
                self.mark(record, words, failover.failure.to_string());
            }
            Event::Retry(Retry { failure: Some(failure), .. }) => {
                self.mark(record, "⟲ again".to_owned(), failure.to_string());
            }
            Event::Waiting(waiting) => {
                let whom = waiting.candidate.as_deref().unwrap_or("the agent");
                self.mark(record, format!("⧖ {whom}"), waiting.reason.clone());
            }
            Event::Steered(steered) => {
                self.mark(record, "✎ steered".to_owned(), words_of(steered));
            }
            Event::Result(result) => self.finish(record, result),
            _ => {}
        }
    }

    /// The tree so far; whole after the run's result.
    pub fn tree(&self) -> &Node {
        &self.root
    }

    /// The tree itself, which may be large.
    pub fn into_tree(self) -> Node {
        self.root
    }

    fn is_running(&self) -> bool {
        self.root.status == Some(NodeStatus::Running)
    }

    fn open_phase(&mut self, record: &Record, name: &str) {
        self.close_phase(record, None);
        let start = if self.root.children.is_empty() { self.started } else { Some(record.ts) };
        let node = |part: u64, node_type, agent_name| Node {
            id: node_id(&record.run, record.seq.wrapping_mul(4).wrapping_add(part)),
            node_type,
            agent_name,
            start_time: start,
            run: record.run.clone(),
            ..Node::default()
        };
        // The first phase of a run is as old as the run: starting the agent is part of it.
        self.root.children.push(node(0, NodeType::Marker, format!("→ {name}")));
        let phase = node(1, NodeType::Phase, name.to_owned());
        self.root.children.push(Node { status: Some(NodeStatus::Running), ..phase });
    }

    /// The index of the phase that the record belongs to; opens the default one if there is none.
    fn phase(&mut self, record: &Record) -> usize {
        if self.root.children.is_empty() {
            let name = if record.agent.is_empty() { "run" } else { &record.agent };
            self.open_phase(record, name);
        }
        self.root.children.len() - 1
    }

    fn measure_phase(&mut self, record: &Record) {
        if let Some(phase) = self.root.children.last_mut()
            && let Some(start) = phase.start_time
        {
            phase.duration_ms = millis(start, record.ts);
        }
    }

    fn close_phase(&mut self, record: &Record, status: Option<NodeStatus>) {
        self.measure_phase(record);
        if let Some(phase) = self.root.children.last_mut() {
            phase.status = status;
        }
    }

    /// The failure of an attempt before is the phase's no more when there is another one.
    fn forget_error(&mut self) {
        if let Some(phase) = self.root.children.last_mut() {
            phase.error.clear();
        }
    }

    fn open_tool(&mut self, record: &Record, call: &ToolCall) {
        let phase = self.phase(record);
        let parent = record.parent_tool_id.as_ref().and_then(|id| self.tools.get(id));
        let mut path = parent.cloned().unwrap_or_else(|| vec![phase]);
        // What would stand too deep stands beside its parent.
        path.truncate(DEPTH_MAX);
        let node = Node {
            id: node_id(&record.run, record.seq.wrapping_mul(4).wrapping_add(2)),
            node_type: NodeType::ToolCall,
            agent_name: call.name.clone(),
            start_time: Some(record.ts),
            tool_call_id: call.tool_id.clone().map(|id| id.0).unwrap_or_default(),
            error: UNFINISHED.to_owned(),
            status: Some(NodeStatus::Running),
            ..Node::default()
        };
        let siblings = &mut descend(&mut self.root, &path).children;
        siblings.push(node);
        path.push(siblings.len() - 1);
        self.open.push(path.clone());
        if let Some(id) = &call.tool_id {
            self.tools.insert(id.clone(), path);
        }
    }

    /// A boundary within a phase: one attempt has failed, and this comes next.
    fn mark(&mut self, record: &Record, agent_name: String, error: String) {
        let phase = self.phase(record);
        self.root.children[phase].children.push(Node {
            id: node_id(&record.run, record.seq.wrapping_mul(4).wrapping_add(3)),
            node_type: NodeType::Marker,
            agent_name,
            start_time: Some(record.ts),
            error,
            ..Node::default()
        });
    }

    fn close_tool(&mut self, record: &Record, result: &ToolResult) {
        let Some(path) = result.tool_id.as_ref().and_then(|id| self.tools.get(id)) else { return };
        let node = descend(&mut self.root, path);
        node.duration_ms = node.start_time.map_or(0, |start| millis(start, record.ts));
        node.error = match (result.tool_error, result.exit_code) {
            (false, _) => String::new(),
            (true, Some(code)) => format!("exit code {code}"),
            (true, None) => "failed".to_owned(),
        };
        node.status = result.tool_error.then_some(NodeStatus::Failed);
        self.open.retain(|open| open != path);
    }

    /// The agent is gone: what has not returned does not return any more.
    fn abandon_tools(&mut self, record: &Record) {
        for path in self.open.drain(..) {
            let node = descend(&mut self.root, &path);
            node.duration_ms = node.start_time.map_or(0, |start| millis(start, record.ts));
            node.status = Some(NodeStatus::Interrupted);
        }
    }

    fn fill_so_far(&mut self, record: &Record) {
        let mut usage = self.attempts.clone();
        usage.add(&self.attempt);
        self.fill_phase(record, &usage);
    }

    fn fill_phase(&mut self, record: &Record, usage: &Usage) -> &mut Node {
        let (context, model) = (self.context.clone(), self.model.clone());
        let index = self.phase(record);
        let phase = &mut self.root.children[index];
        phase.model = model;
        phase.cost_usd = usage.total_cost_usd.unwrap_or(0.0);
        phase.cost_source = Some(usage.cost_source);
        phase.input_tokens = count(usage.input_tokens);
        phase.output_tokens = count(usage.output_tokens);
        phase.cache_read_tokens = count(usage.cache_read_input_tokens);
        phase.cache_write_tokens = count(usage.cache_creation_input_tokens);
        phase.context_used = count(context.as_ref().map(|c| c.used_tokens));
        phase.context_window = count(context.as_ref().and_then(|c| c.window_tokens));
        phase
    }

    fn finish(&mut self, record: &Record, result: &RunResult) {
        let error = result.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        // Some agents do not name it when the session begins.
        if let (true, Some(model)) = (self.model.is_empty(), &result.model) {
            self.model.clone_from(model);
        }
        self.fill_phase(record, &result.usage).error = error;
        if result.attempts.len() > 1 {
            let index = self.phase(record);
            self.root.children[index].attempts.clone_from(&result.attempts);
        }
        self.abandon_tools(record);
        let status = result.failure.as_ref().map(|failure| match failure.kind {
            FailureKind::Interrupted => NodeStatus::Interrupted,
            _ => NodeStatus::Failed,
        });
        self.close_phase(record, status.clone());
        self.root.status = status;
    }
}

/// The deepest path from the root. Agents nest subagents once or twice; a tree of any depth would exhaust the
/// stack of whoever walks it, and no JSON reader takes more than some 60 levels of nodes.
const DEPTH_MAX: usize = 32;

/// What a tool call says until its result is there.
const UNFINISHED: &str = "unfinished";

/// How much of a message a tree shows, in characters; the journal has all of it.
const MESSAGE_CHARS_MAX: usize = 200;

/// A message of the caller's, and what became of it if it did not reach the agent.
fn words_of(steered: &Steered) -> String {
    let mut words: String = steered.text.chars().take(MESSAGE_CHARS_MAX).collect();
    if words.len() < steered.text.len() {
        words.push('…');
    }
    match (&steered.reason, steered.delivered) {
        (_, true) => words,
        (None, false) => format!("not delivered: {words}"),
        (Some(reason), false) => format!("not delivered ({reason}): {words}"),
    }
}

/// The node at the end of `path`, which was recorded when the node was pushed.
fn descend<'a>(root: &'a mut Node, path: &[usize]) -> &'a mut Node {
    path.iter().fold(root, |node, index| &mut node.children[*index])
}

pub(crate) fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()).max(0)
}

fn count(tokens: Option<u64>) -> i64 {
    i64::try_from(tokens.unwrap_or(0)).unwrap_or(i64::MAX)
}

/// Eight hexadecimal digits that are the same whenever the tree is made again (FNV-1a).
fn node_id(run: &str, number: u64) -> String {
    let bytes = run.bytes().chain(number.to_le_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AttemptSummary, CostSource, Effects, Failover, Failure, FailureKind, Json, Phase, Start,
    };

    fn record(seq: u64, parent: Option<&str>, event: Event) -> Record {
        let mut record = Record::new("run", event);
        (record.seq, record.agent) = (seq, "codex".into());
        record.ts = Timestamp::from_millisecond(1000 + 10 * i64::try_from(seq).unwrap()).unwrap();
        record.parent_tool_id = parent.map(ToolId::from);
        record
    }

    fn call(id: &str) -> Event {
        let (tool_id, args) = (Some(id.into()), Json::default());
        Event::ToolCall(ToolCall { tool_id, name: "Bash".into(), args, ..ToolCall::default() })
    }

    fn answer(id: &str) -> Event {
        Event::ToolResult(ToolResult { tool_id: Some(id.into()), ..ToolResult::default() })
    }

    fn phase(name: &str) -> Event {
        Event::Phase(Phase { phase_name: name.into() })
    }

    fn fold(events: Vec<(Option<&str>, Event)>) -> Node {
        let mut fold = Fold::new("t");
        for (seq, (parent, event)) in events.into_iter().enumerate() {
            fold.push(&record(seq as u64, parent, event));
        }
        fold.root
    }

    /// The tree as nested names.
    fn shape(node: &Node) -> String {
        let children: Vec<_> = node.children.iter().map(shape).collect();
        let inner =
            if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
        format!("{}{inner}", node.agent_name)
    }

    #[test]
    fn phases_hold_the_calls_that_follow_them() {
        let tree = fold(vec![
            (None, phase("one")),
            (None, call("a")),
            (None, answer("a")),
            (None, phase("two")),
            (None, call("b")),
        ]);
        assert_eq!(shape(&tree), "t(→ one one(Bash) → two two(Bash))");
        let (done, open) = (&tree.children[1].children[0], &tree.children[3].children[0]);
        assert_eq!((done.duration_ms, done.error.as_str()), (10, ""));
        assert_eq!(open.error, UNFINISHED);
    }

    #[test]
    fn calls_before_any_phase_stand_in_one_named_after_the_agent() {
        assert_eq!(shape(&fold(vec![(None, call("a"))])), "t(→ codex codex(Bash))");
    }

    #[test]
    fn a_subagents_calls_stand_under_the_call_that_started_it() {
        let tree =
            fold(vec![(None, call("task")), (Some("task"), call("inner")), (None, call("next"))]);
        assert_eq!(shape(&tree), "t(→ codex codex(Bash(Bash) Bash))");
    }

    #[test]
    fn subagents_without_end_make_a_tree_that_can_be_read() {
        let id = |n: usize| n.to_string();
        let mut events = vec![(None, call("0"))];
        let names: Vec<String> = (0..10_000).map(id).collect();
        events.extend(names.windows(2).map(|pair| (Some(pair[0].as_str()), call(&pair[1]))));
        let tree = fold(events);
        let json = serde_json::to_string(&tree).unwrap();
        assert_eq!(json.matches("tool_call_id").count(), names.len());
        assert_eq!(serde_json::from_str::<Node>(&json).unwrap(), tree);
    }

    #[test]
    fn a_phase_says_who_says_what_it_cost_and_the_model_that_was_named_last() {
        let usage = Usage {
            total_cost_usd: Some(0.5),
            cost_source: CostSource::Priced,
            ..Usage::default()
        };
        let model = Some("gpt-5.5".to_owned());
        let result = RunResult { usage, model, ..RunResult::default() };
        let tree = fold(vec![(None, Event::Result(result))]);
        let phase = &tree.children[1];
        assert_eq!((phase.cost_usd, phase.cost_source), (0.5, Some(CostSource::Priced)));
        assert_eq!(phase.model, "gpt-5.5");
    }

    #[test]
    fn what_came_between_two_attempts_stands_between_their_calls() {
        let failure = Failure::new(FailureKind::UsageLimit, "limit reached");
        let failover = Failover {
            from: "claude-code".into(),
            to: "codex".into(),
            failure,
            effects: Effects::None,
            start: Start::Fresh,
        };
        let attempt =
            |agent: &str| AttemptSummary { agent: agent.into(), ..AttemptSummary::default() };
        let attempts = vec![attempt("claude-code"), attempt("codex")];
        let result = RunResult { attempts: attempts.clone(), ..RunResult::default() };
        let tree = fold(vec![
            (None, call("a")),
            (None, Event::Failover(failover)),
            (None, call("b")),
            (None, Event::Result(result)),
        ]);
        assert_eq!(shape(&tree), "t(→ codex codex(Bash ⇢ codex Bash))");
        let phase = &tree.children[1];
        assert_eq!(phase.children[1].error, "usage_limit: limit reached");
        assert_eq!(phase.attempts, attempts);
    }

    #[test]
    fn a_message_stands_between_the_calls_that_it_came_between() {
        let late = Event::not_steered("x".repeat(300), "the run is stopping");
        let tree = fold(vec![
            (None, call("a")),
            (None, Event::steered("look left")),
            (None, call("b")),
            (None, late),
        ]);
        assert_eq!(shape(&tree), "t(→ codex codex(Bash ✎ steered Bash ✎ steered))");
        let phase = &tree.children[1];
        assert_eq!(phase.children[1].error, "look left");
        let lost = format!("not delivered (the run is stopping): {}…", "x".repeat(200));
        assert_eq!(phase.children[3].error, lost);
    }

    #[test]
    fn ids_are_the_same_whenever_the_tree_is_made() {
        let make = || fold(vec![(None, call("a"))]);
        assert_eq!(make(), make());
        assert_eq!(make().children[0].id.len(), 8);
    }

    #[test]
    fn at_any_moment_the_tree_says_what_has_not_ended() {
        let events = [
            phase("one"),
            call("a"),
            answer("a"),
            call("b"),
            phase("two"),
            Event::Result(RunResult::default()),
        ];
        let shown = (1..=events.len()).map(|n| {
            let tree = fold(events[..n].iter().map(|event| (None, event.clone())).collect());
            let of = |node: &Node| match &node.status {
                Some(status) => format!("{}:{status:?}", node.agent_name).to_lowercase(),
                None => node.agent_name.clone(),
            };
            let phases = tree.children.iter().filter(|node| node.node_type == NodeType::Phase);
            let all = phases.flat_map(|phase| std::iter::once(phase).chain(&phase.children));
            std::iter::once(&tree).chain(all).map(of).collect::<Vec<_>>().join(" ")
        });
        let want = [
            "t:running one:running",
            "t:running one:running bash:running",
            "t:running one:running Bash",
            "t:running one:running Bash bash:running",
            "t:running one Bash bash:running two:running",
            "t one Bash bash:interrupted two",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_run_that_fails_or_is_stopped_says_so_and_not_what_an_earlier_attempt_said() {
        let ended = |kind| {
            let failure = Some(Failure::new(kind, "x"));
            fold(vec![(None, Event::Result(RunResult { failure, ..RunResult::default() }))])
        };
        let stopped = ended(FailureKind::Interrupted);
        assert_eq!(stopped.children[1].status, Some(NodeStatus::Interrupted));
        let failed = ended(FailureKind::Auth);
        assert_eq!((&failed.status, failed.run.as_str()), (&Some(NodeStatus::Failed), "run"));
        let failure = Some(Failure::new(FailureKind::Overloaded, "busy"));
        let attempt = crate::AttemptEnded { failure, ..Default::default() };
        let mut events = vec![(None, call("a")), (None, Event::AttemptEnded(attempt))];
        let between = fold(events.clone());
        assert_eq!(between.children[1].error, "overloaded: busy");
        assert_eq!(between.children[1].children[0].status, Some(NodeStatus::Interrupted));
        events.push((None, Event::AttemptStarted(Default::default())));
        assert_eq!(fold(events).children[1].error, "");
    }
}
