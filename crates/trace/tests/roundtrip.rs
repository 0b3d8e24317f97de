//! The wire shape of every event: a golden file, and what is written is read back.

use belay_trace::{
    AttemptEnded, AttemptResult, AttemptStarted, AttemptSummary, BackgroundTask, BackgroundTasks,
    Compaction, CompactionStatus, Containment, Context, ContextSource, CostSource, Decision,
    DecisionSource, Denial, Effects, Event, EvidenceSource, Failover, Failure, FailureKind,
    Interrupted, Json, LeftProcess, Level, LogDegraded, ModelUsage, Notice, ObserverDropped,
    OversizedLine, PermissionDecision, PermissionDenied, PermissionRequest, Phase, Plan, PlanItem,
    PlanStatus, RateLimit, RateLimitWindow, RawRef, Reasoning, Record, Retry, RunProcess,
    RunResult, RunStarted, SessionStarted, Start, Steered, StopReason, TaskKind, Text,
    TextRetracted, ToolCall, ToolCallDelta, ToolCallStart, ToolId, ToolKind, ToolProgress,
    ToolResult, TurnStarted, Unknown, Usage, UsageReport, Waiting, Warning,
};
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("records.golden.jsonl");

#[test]
fn every_event_has_the_golden_shape() {
    let lines: Vec<String> =
        records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let golden: Vec<&str> = GOLDEN.lines().collect();
    // A change here is a change of the format: old traces must still be read.
    assert_eq!(lines, golden, "\n{}\n", lines.join("\n"));
}

#[test]
fn every_golden_line_is_read_back_as_what_was_written() {
    for (line, record) in GOLDEN.lines().zip(records()) {
        assert_eq!(serde_json::from_str::<Record>(line).unwrap(), record);
    }
}

#[test]
fn an_unknown_event_is_read_back() {
    let mut record = Record::new("01a1fd39", Event::Unknown(Unknown { line: "{}".into() }));
    record.raw = Some(RawRef { offset: 7, len: 2, lossy: false });
    let line = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
}

#[test]
fn arguments_that_no_reader_could_decode_are_kept_as_text() {
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let long = "9".repeat(400);
    for args in [deep.as_str(), long.as_str(), "[1e400]", "{\"a\":-1E+999}"] {
        let args = Json::parse(args).unwrap();
        let call = ToolCall { name: "t".into(), args, ..ToolCall::default() };
        let record = Record::new("01a1fd39", Event::ToolCall(call));
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}

/// Found by fuzzing: the line could not be read back, or gave another value than the agent's.
#[test]
fn arguments_with_a_key_of_the_json_library_itself_are_kept_as_text() {
    let key = "$serde_json::private::RawValue";
    let escaped = key.replace('$', r"\u0024").replace('_', r"\u005F");
    for key in [key, &escaped, "$serde_json::private::Number"] {
        for value in ["[", "[1]", "1"] {
            let args = Json::parse(format!(r#"{{"a":{{"{key}":"{value}"}}}}"#)).unwrap();
            let call = ToolCall { name: "t".into(), args, ..ToolCall::default() };
            let record = Record::new("01a1fd39", Event::ToolCall(call));
            let line = serde_json::to_string(&record).unwrap();
            let read: Record = serde_json::from_str(&line).unwrap();
            assert_eq!(read, record);
            assert_eq!(serde_json::to_string(&read).unwrap(), line);
        }
    }
}

/// Found by fuzzing: this cost of a recorded run came back as 0.010140000000000001.
#[test]
fn a_cost_is_read_back_to_its_last_digit() {
    let usage = Usage { total_cost_usd: Some(0.01014), ..Usage::default() };
    let line = serde_json::to_string(&usage).unwrap();
    assert_eq!(serde_json::from_str::<Usage>(&line).unwrap(), usage);
}

#[test]
fn no_event_is_missing_from_the_golden_file() {
    // `Event` is open to additions, so that only its own source knows all names.
    let source = include_str!("../src/event.rs");
    let (_, names) = source.split_once("pub fn type_name(").unwrap();
    let names: BTreeSet<&str> =
        names.lines().filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\",")).collect();
    let written: BTreeSet<&str> = events().iter().map(Event::type_name).collect();
    assert_eq!(written, names);
}

#[test]
fn a_reader_ignores_fields_that_it_does_not_know() {
    for (line, record) in GOLDEN.lines().zip(records()) {
        let line = format!(r#"{{"future":{{"a":[1]}},{}"#, line.strip_prefix('{').unwrap());
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}

fn records() -> Vec<Record> {
    let record = |(seq, event)| {
        let mut record = Record::new("01a1fd39", event);
        record.seq = seq;
        record.ts = "2026-11-21T08:29:36.029Z".parse().unwrap();
        (record.attempt, record.agent) = (1, "claude-code".into());
        if seq == 9 {
            record.parent_tool_id = Some("toolu_0".into());
            record.raw = Some(RawRef { offset: 7, len: 99, lossy: false });
        }
        record
    };
    (0..).zip(events()).map(record).collect()
}

/// One of each, with every field set.
fn events() -> Vec<Event> {
    let tool_id = || Some(ToolId::from("toolu_1"));
    let id = || Some("msg_1".to_owned());
    let s = |text: &str| Some(text.to_owned());
    let args = || Json::parse(r#"{"command":"ls","n":1.0}"#).unwrap();
    vec![
        Event::RunStarted(RunStarted {
            belay_version: "0.1.0".into(),
            agents: vec!["claude-code".into(), "codex".into()],
            cwd: s("/p"),
            trace_id: s("t1"),
            traceparent: s("t1"),
            process: Some(RunProcess {
                host: "lab".into(),
                boot_id: "7d1c".into(),
                pid: 42,
                start: 99,
                locked: true,
            }),
            containment: Some(Containment::ProcessGroup),
        }),
        Event::AttemptStarted(AttemptStarted {
            transport: "dialogue".into(),
            command: vec!["claude".into(), "--print".into()],
            model: s("opus"),
            pid: Some(42),
            containment: Some(Containment::Subreaper),
        }),
        Event::SessionStarted(SessionStarted {
            session_id: "s1".into(),
            model: s("opus"),
            agent_version: s("2.1.329"),
            permission_mode: s("plan"),
            cwd: s("/p"),
            tools: vec!["Bash".into()],
        }),
        Event::TurnStarted(TurnStarted { message_id: id(), model: s("opus") }),
        Event::Phase(Phase { phase_name: "subreddit-discovery".into() }),
        Event::Text(Text { text: "a\u{2028}\u{1b}[1m\"".into(), message_id: id() }),
        Event::Reasoning(Reasoning { reasoning: "hm".into(), message_id: id() }),
        Event::TextRetracted(TextRetracted { message_id: id(), text: "a".into() }),
        Event::ToolCallStart(ToolCallStart { tool_id: tool_id(), name: "Bash".into() }),
        Event::ToolCallDelta(ToolCallDelta {
            tool_id: tool_id(),
            name: "Bash".into(),
            args: "{\"com".into(),
        }),
        Event::ToolCall(ToolCall {
            tool_id: tool_id(),
            name: "Bash".into(),
            args: args(),
            kind: ToolKind::Execute,
        }),
        Event::ToolProgress(ToolProgress {
            tool_id: tool_id(),
            name: s("Bash"),
            elapsed_ms: Some(30_000),
            heartbeat: true,
        }),
        Event::ToolResult(ToolResult {
            tool_id: tool_id(),
            name: s("Bash"),
            output: "no".into(),
            tool_error: true,
            exit_code: Some(4),
        }),
        Event::Plan(Plan {
            items: vec![PlanItem { text: "one".into(), status: PlanStatus::InProgress }],
        }),
        Event::BackgroundTasks(BackgroundTasks {
            tasks: vec![BackgroundTask {
                task_id: "b1".into(),
                task_kind: TaskKind::Command,
                description: "build".into(),
                tool_id: tool_id(),
                parent_task_id: s("a1"),
            }],
            more: 2,
            waiting: true,
        }),
        Event::Usage(UsageReport { usage: usage() }),
        Event::Context(Context {
            used_tokens: 10,
            window_tokens: Some(200_000),
            source: ContextSource::Agent,
        }),
        Event::Compaction(Compaction { status: CompactionStatus::Failed, message: s("full") }),
        Event::RateLimit(RateLimit {
            rejected: true,
            windows: vec![RateLimitWindow {
                name: "five_hour".into(),
                used_percent: Some(93.5),
                resets_at: "2026-11-21T10:53:25Z".parse().ok(),
                status: s("rejected"),
            }],
        }),
        Event::Retry(Retry {
            retry: Some(1),
            retries_max: Some(10),
            delay_ms: Some(1098),
            until: "2026-11-24T10:53:25Z".parse().ok(),
            status: Some(429),
            kind: Some(FailureKind::RateLimited),
            reason: "rate_limit".into(),
            failure: Some(failure()),
        }),
        Event::Waiting(Waiting {
            until: "2026-11-21T10:53:25Z".parse().unwrap(),
            reason: "usage_limit".into(),
            candidate: s("claude-code:opus"),
            failure: Some(failure()),
        }),
        Event::PermissionRequest(PermissionRequest {
            permission_id: "r1".into(),
            tool_id: tool_id(),
            name: "Bash".into(),
            args: args(),
            kind: ToolKind::Execute,
            reason: s("writes"),
        }),
        Event::PermissionDecision(PermissionDecision {
            permission_id: "r1".into(),
            decision: Decision::Deny,
            by: DecisionSource::Policy,
        }),
        Event::PermissionDenied(PermissionDenied {
            tool_id: tool_id(),
            name: "Bash".into(),
            reason: s("rule"),
        }),
        Event::Steered(Steered {
            text: "look left".into(),
            delivered: false,
            reason: s("the run is stopping"),
        }),
        Event::Interrupted(Interrupted { reason: StopReason::Stalled, message: s("silent") }),
        Event::AttemptResult(AttemptResult {
            result: "Done.".into(),
            usage: usage(),
            failure: Some(failure()),
            session_id: s("s1"),
            model: s("opus"),
            provisional: true,
        }),
        Event::AttemptEnded(AttemptEnded {
            usage: usage(),
            failure: Some(failure()),
            session_id: s("s1"),
            exit_code: Some(1),
            signal: Some(15),
            forced: true,
            pipes_held_open: true,
            left: vec![LeftProcess {
                pid: 43,
                command: "sleep 60".into(),
                killed: true,
                helper: false,
            }],
            effects: Effects::Possible,
        }),
        Event::Failover(Failover {
            from: "claude-code:opus".into(),
            to: "codex".into(),
            failure: failure(),
            effects: Effects::Observed,
            start: Start::Handover,
        }),
        Event::Notice(Notice { level: Level::Warn, code: s("stderr"), text: "hm".into() }),
        Event::LogDegraded(LogDegraded { message: "disk full".into() }),
        Event::OversizedLine(OversizedLine { bytes: 99 }),
        Event::ObserverDropped(ObserverDropped { observer: "slack".into(), dropped: 3 }),
        Event::Unknown(Unknown { line: "{\"type\":\"news\"}".into() }),
        Event::Result(RunResult {
            result: "done".into(),
            is_error: true,
            usage: usage(),
            failure: Some(failure()),
            session_id: s("s1"),
            model: s("opus"),
            structured: Some(args()),
            warnings: vec![Warning { code: "maybe_failed".into(), text: "its last words".into() }],
            denials: vec![Denial { tool_id: tool_id(), name: "Bash".into() }],
            retry_at: "2026-11-21T10:53:25Z".parse().ok(),
            attempts: vec![AttemptSummary {
                attempt: 1,
                agent: "claude-code".into(),
                model: s("opus"),
                kind: Some(FailureKind::UsageLimit),
                total_cost_usd: Some(0.5),
                cost_source: CostSource::Reported,
                duration_ms: Some(7),
                session_id: s("s1"),
                effects: Effects::ReadOnly,
                start: Start::Resume,
            }],
        }),
        // The smallest: what is unknown is null in `usage` and absent elsewhere.
        Event::Result(RunResult::default()),
    ]
}

fn usage() -> Usage {
    let model = ModelUsage {
        input_tokens: 1,
        output_tokens: 2,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 4,
        cost_usd: Some(0.5),
        cost_source: Some(CostSource::Priced),
        context_window: Some(200_000),
    };
    Usage {
        input_tokens: Some(1),
        output_tokens: Some(2),
        cache_read_input_tokens: Some(3),
        cache_creation_input_tokens: Some(4),
        total_cost_usd: Some(0.5),
        num_turns: Some(6),
        duration_ms: Some(7),
        reasoning_output_tokens: Some(1),
        cost_source: CostSource::Reported,
        partial: true,
        models: [("claude-opus".to_owned(), model)].into(),
    }
}

fn failure() -> Failure {
    let failure = Failure::new(FailureKind::UsageLimit, "limit reached").with(
        EvidenceSource::Status,
        "api_error_status",
        429,
    );
    Failure {
        resets_at: "2026-11-21T10:53:25Z".parse().ok(),
        reset_hint: Some("10:53am (UTC)".into()),
        ..failure
    }
}
