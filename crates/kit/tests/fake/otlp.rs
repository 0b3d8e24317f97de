//! Runs as OpenTelemetry's spans, as a backend gets them: decoded by the standard's own messages.
#![cfg(feature = "otlp")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{ANSWER, Seen, Stage, answer, patiently, run};
use crate::two::{Two, codex_answers, recorded};
use belay_testkit::otlp::{Span, metrics, partial_success, spans, trace_request, tree};
use belay_testkit::receiver::{Answer, Received, Receiver};
use belay_testkit::recordings;
use belaykit::trace::Store;
use belaykit::{Client, Environment, Otlp, OtlpExport, OtlpSettings, TraceContext, Usage};
use std::ffi::OsString;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn env(vars: &[(&str, &str)]) -> Environment {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Environment::new(vars)
}

fn settings(url: &str) -> OtlpSettings {
    OtlpSettings::new(Some(url), &env(&[])).unwrap().unwrap()
}

fn observed(client: Client, receiver: &Receiver) -> Client {
    client.observe(Otlp::new(settings(&receiver.url()))).trace_context(TraceContext::default())
}

fn fine() -> Receiver {
    Receiver::start(|_| Answer::status(200)).unwrap()
}

fn of<'a>(spans: &'a [Span], operation: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.get("gen_ai.operation.name") == operation).collect()
}

/// What a backend adds up is what the run has used, to the token.
#[track_caller]
fn check_totals(spans: &[Span], usage: &Usage) {
    let counted: Vec<_> = spans
        .iter()
        .filter(|span| span.attributes.contains_key("gen_ai.usage.input_tokens"))
        .collect();
    assert!(counted.iter().all(|span| span.get("gen_ai.operation.name") == "chat"), "{counted:?}");
    let sum = |name: &str| spans.iter().map(|span| span.number(name)).sum::<f64>();
    let count = |tokens: Option<u64>| tokens.unwrap_or(0) as f64;
    let cached = count(usage.cache_read_input_tokens) + count(usage.cache_creation_input_tokens);
    assert_eq!(sum("gen_ai.usage.input_tokens"), count(usage.input_tokens) + cached);
    assert_eq!(sum("gen_ai.usage.output_tokens"), count(usage.output_tokens));
    assert_eq!(sum("gen_ai.usage.cache_read.input_tokens"), count(usage.cache_read_input_tokens));
    let cost = usage.total_cost_usd.unwrap_or(0.0);
    assert!((sum("gen_ai.usage.cost") - cost).abs() < 1e-9, "{} {cost}", sum("gen_ai.usage.cost"));
}

#[tokio::test]
async fn two_phases_with_one_failover_are_one_tree_whose_tokens_and_cost_are_those_of_the_runs() {
    let receiver = fine();
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let client = observed(two.client(), &receiver);
    let trace = client.start_trace("hiveminer-run");
    let mut usage = Usage::default();
    for phase in ["discovery", "extraction"] {
        let request = trace.phase(phase).of(two.request());
        let seen: Seen = run(&client, request).await;
        assert_eq!(seen.answer(), ANSWER);
        let outcome = seen.outcome.unwrap();
        assert_eq!(outcome.observer_errors, [""; 0]);
        usage.add(&outcome.usage);
    }
    let id = trace.id().replace('-', "");
    patiently(trace.end()).await.unwrap();
    let requests = receiver.requests();
    let spans = spans(&requests);
    insta::assert_snapshot!(tree(&spans), @r"
    invoke_workflow hiveminer-run
      phase discovery
        invoke_agent claude-code !auth
        invoke_agent codex ~
          chat
      phase extraction
        invoke_agent codex
          chat
    ");
    assert!(spans.iter().all(|span| span.trace == id), "the trace's own UUID");
    assert!(spans.iter().all(|span| !span.get("belay.trace.id").is_empty()));
    check_totals(&spans, &usage);

    let attempts = of(&spans, "invoke_agent");
    let failed = attempts.iter().find(|span| span.error.is_some()).unwrap();
    let next = attempts.iter().find(|span| !span.links.is_empty()).unwrap();
    assert_eq!(next.links, std::slice::from_ref(&failed.id));
    assert_eq!(next.get("belay.failover.reason"), "auth");
    assert_eq!(failed.get("openinference.span.kind"), "AGENT");
    // The agent was told the very span of its attempt.
    let told = two.codex.log().env().get("TRACEPARENT").cloned();
    let wanted = attempts.iter().filter(|span| span.get("gen_ai.agent.name") == "codex");
    let wanted: Vec<_> = wanted.map(|span| format!("00-{}-{}-01", span.trace, span.id)).collect();
    assert_eq!(told, Some(wanted.last().unwrap().clone()));
    assert_eq!(two.codex.log().env().get("OTEL_TRACEPARENT").cloned(), told);

    let request = trace_request(requests.iter().find(|it| it.path == "/v1/traces").unwrap());
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let names: Vec<_> = resource.attributes.into_iter().map(|it| it.key).collect();
    assert_eq!(names, ["service.name", "service.version", "service.instance.id"]);
}

#[tokio::test]
async fn a_lone_run_is_its_agents_span_and_several_attempts_have_a_root() {
    let receiver = fine();
    let stage = Stage::new("claude", &answer());
    run(&observed(stage.claude(), &receiver), "p").await;
    insta::assert_snapshot!(tree(&spans(&receiver.requests())), @r"
    invoke_agent claude-code
      chat claude-sonnet-4-5-20250929
    ");

    let receiver = fine();
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    run(&observed(two.client(), &receiver), two.request()).await;
    insta::assert_snapshot!(tree(&spans(&receiver.requests())), @r"
    invoke_workflow run
      invoke_agent claude-code !auth
      invoke_agent codex ~
        chat
    ");
}

#[tokio::test]
async fn the_tokens_and_the_cost_of_every_recording_are_on_its_responses_and_nowhere_else() {
    let receiver = fine();
    let mut checked = 0;
    for (agent, program) in [("claude-code", "claude"), ("codex", "codex")] {
        for recording in recordings::all(agent) {
            let stage = Stage::new(program, &crate::fake_run::play(&recording));
            let client = if agent == "codex" { stage.codex_exec() } else { stage.claude() };
            let before = receiver.requests().len();
            let seen = run(&observed(client, &receiver), "p").await;
            let spans = spans(&receiver.requests()[before..]);
            println!("{agent} {}\n{}", recording.name, tree(&spans));
            check_totals(&spans, &seen.result().usage);
            // Nothing hangs in the air, and nothing is told twice.
            let tops = spans.iter().filter(|span| span.parent.is_empty()).count();
            assert_eq!(tops, 1, "{}", tree(&spans));
            let mut ids: Vec<_> = spans.iter().map(|span| &span.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), spans.len());
            assert!(spans.iter().all(|span| span.start <= span.end && span.start > 0));
            let known = |parent: &str| spans.iter().any(|span| span.id == parent);
            assert!(spans.iter().all(|span| span.parent.is_empty() || known(&span.parent)));
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[tokio::test]
async fn somebody_elses_span_is_the_parent_and_a_trace_that_nobody_wants_is_not_sent() {
    let stage = Stage::new("claude", &answer());
    let receiver = fine();
    let inbound =
        |parent: &str| TraceContext::of(&env(&[("TRACEPARENT", parent), ("BAGGAGE", "a=1")]));
    let client = observed(stage.claude(), &receiver);
    run(&client.clone().trace_context(inbound(PARENT)), "p").await;
    let all = spans(&receiver.requests());
    assert!(all.iter().all(|span| span.trace == "0af7651916cd43dd8448eb211c80319c"));
    let agent = of(&all, "invoke_agent")[0];
    assert_eq!(agent.parent, "b7ad6b7169203331");
    let told = stage.agent.log().env();
    assert_eq!(told["TRACEPARENT"], format!("00-{}-{}-01", agent.trace, agent.id));
    assert_eq!(told["BAGGAGE"], "a=1");

    let before = receiver.requests().len();
    run(&client.trace_context(inbound(&PARENT.replace("-01", "-00"))), "p").await;
    let after = receiver.requests();
    assert_eq!(spans(&after[before..]), []);
    assert!(stage.agent.log().env()["TRACEPARENT"].ends_with("-00"));
}

#[tokio::test]
async fn a_stored_run_gives_the_same_spans_as_it_gave_while_it_ran() {
    let receiver = fine();
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let client = observed(two.client(), &receiver)
        .trace_context(TraceContext::of(&env(&[("TRACEPARENT", PARENT)])));
    let trace = client.start_trace("hiveminer-run");
    let seen = run(&client, trace.phase("discovery").of(two.request())).await;
    let start = trace.id().to_owned();
    patiently(trace.end()).await.unwrap();
    let live = spans(&receiver.requests());

    let stored = Store::new(two.stage.path("state")).find(&seen.records[0].run).unwrap();
    let mut export = OtlpExport::new(settings(&receiver.url()));
    export.run(stored.records().unwrap(), None);
    let root = live.iter().find(|span| span.name.starts_with("invoke_workflow")).unwrap();
    let before = receiver.requests().len();
    let sent = export.send(Duration::from_secs(60)).unwrap();
    let mut again = spans(&receiver.requests()[before..]);
    assert_eq!(sent, again.len());
    // The root is that of the trace's file, which the program has its own test for.
    again.push(root.clone());
    let sorted = |mut spans: Vec<Span>| {
        spans.sort_by(|a, b| a.id.cmp(&b.id));
        spans
    };
    assert_eq!(sorted(again), sorted(live));
    assert!(!start.is_empty());
}

#[tokio::test]
async fn what_was_said_is_in_the_spans_only_if_it_is_wanted() {
    let recording = recordings::one("claude-code", "b-shell");
    for wanted in [false, true] {
        let stage = Stage::new("claude", &crate::fake_run::play(&recording));
        let receiver = fine();
        let settings = settings(&receiver.url()).content(wanted);
        let seen = run(&stage.claude().observe(Otlp::new(settings)), "a prompt of mine").await;
        let spans = spans(&receiver.requests());
        let text = format!("{spans:?}");
        assert_eq!(text.contains("a prompt of mine"), wanted);
        assert_eq!(text.contains(seen.answer()), wanted);
        assert_eq!(spans.iter().any(|it| !it.get("gen_ai.tool.call.arguments").is_empty()), wanted);
        assert_eq!(spans.iter().any(|it| !it.get("gen_ai.tool.call.result").is_empty()), wanted);
        let has = |it: &Span| it.get("gen_ai.output.messages").contains(r#""role":"assistant""#);
        assert_eq!(spans.iter().any(has), wanted);
    }
}

#[tokio::test]
async fn tokens_durations_and_cost_are_metrics_too() {
    let receiver = fine();
    let stage = Stage::new("claude", &answer());
    let seen = run(&observed(stage.claude(), &receiver), "p").await;
    let metrics = metrics(&receiver.requests());
    let names: Vec<_> = metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
    assert_eq!(
        names,
        [
            ("gen_ai.client.token.usage", "{token}"),
            ("gen_ai.client.operation.duration", "s"),
            ("belay.cost", "{USD}")
        ]
    );
    let cost = format!("AsDouble({})", seen.result().usage.total_cost_usd.unwrap());
    assert!(format!("{:?}", metrics[2]).contains(&cost), "{:?}", metrics[2]);
}

#[tokio::test]
async fn spans_that_a_backend_does_not_take_are_told_of() {
    let stage = Stage::new("claude", &answer());
    let receiver = Receiver::start(|request| match &*request.path {
        "/v1/traces" => Answer::status(200).body(partial_success(2, "too \u{1b}[31mlong")),
        _ => Answer::status(200),
    });
    let receiver = receiver.unwrap();
    let seen = run(&observed(stage.claude(), &receiver), "p").await;
    let errors = &seen.outcome.unwrap().observer_errors;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("did not take 2 of them: too"), "{errors:?}");

    let receiver = Receiver::start(|_| Answer::status(400).body("no such\u{1b} project")).unwrap();
    let seen = run(&observed(stage.claude(), &receiver), "p").await;
    let errors = seen.outcome.unwrap().observer_errors.join("; ");
    assert!(
        errors.contains("2 spans lost: 127.0.0.1 has answered 400: no such project"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_backend_that_is_busy_is_asked_again_when_it_says() {
    let stage = Stage::new("claude", &answer());
    let asked = AtomicU32::new(0);
    let receiver = Receiver::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::status(429).header("retry-after", "0.1"),
        1 => Answer::status(503),
        _ => Answer::status(200),
    });
    let receiver = receiver.unwrap();
    let client = observed(stage.claude(), &receiver);
    let seen = run(&client, "p").await;
    let is_spans = |request: &&Received| request.path == "/v1/traces";
    // A loaded machine may not make it by the end of the run; the observer goes on as long as its client is there.
    let requests = receiver.wait(|all| all.iter().filter(is_spans).count() == 3);
    let bodies: Vec<_> = requests.iter().filter(is_spans).map(|request| &request.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same spans");
    assert_eq!(seen.answer(), ANSWER);
}

/// T21: whatever becomes of the backend, the run is what it would be without, and two seconds later at most.
#[tokio::test]
async fn a_backend_that_fails_costs_a_run_two_seconds_at_most_and_what_is_lost_is_told() {
    let stage = Stage::new("claude", &answer());
    let alone = run(&stage.claude(), "p").await;
    // It takes connections and reads nothing; and nobody is there.
    let black_hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let receivers = [
        ("silent", Answer::never()),
        ("slow", Answer::status(200).pace(Duration::from_secs(1))),
        ("429", Answer::status(429).header("retry-after", "60")),
        ("500", Answer::status(500)),
        ("503", Answer::status(503)),
    ];
    let receivers =
        receivers.map(|(name, answer)| (name, Receiver::start(move |_| answer.clone()).unwrap()));
    let mut backends = vec![
        ("black hole", format!("http://{}", black_hole.local_addr().unwrap())),
        ("refused", format!("http://{refused}")),
    ];
    backends.extend(receivers.iter().map(|(name, receiver)| (*name, receiver.url())));
    for (name, url) in backends {
        let seen = run(&stage.claude().observe(Otlp::new(settings(&url))), "p").await;
        assert_eq!(seen.names(), alone.names(), "{name}: no event is lost");
        assert_eq!(seen.count("observer_dropped"), 0);
        let errors = seen.outcome.as_ref().unwrap().observer_errors.join("; ");
        assert!(errors.contains("2 spans"), "{name}: {errors}");
        println!("T21 otlp {name}: {:?} instead of {:?}; {errors}", seen.took, alone.took);
        // What the machine needs for the run itself varies; a retry or a request would take five seconds and more.
        assert!(seen.took < alone.took + Duration::from_secs(4), "{name}: {:?}", seen.took);
    }
}

/// Of a status that is final nobody would know more.
#[tokio::test]
async fn a_backend_that_refuses_is_quoted_in_whatever_form_it_says_why() {
    let stage = Stage::new("claude", &answer());
    let why = "span too old";
    // google.rpc.Status, which the standard asks for: a code and a message.
    let status = [&[0x08, 3, 0x12, u8::try_from(why.len()).unwrap()], why.as_bytes()].concat();
    let json = format!(r#"{{"code": 3, "message": "{why}"}}"#).into_bytes();
    let nested = format!("{{\n  \"error\": {{\"message\": \"{why}\"}}\n}}").into_bytes();
    for body in [status, json, nested, format!("{why}\r\n").into_bytes()] {
        let receiver = Receiver::start(move |_| Answer::status(400).body(body.clone())).unwrap();
        let seen = run(&observed(stage.claude(), &receiver), "p").await;
        let errors = seen.outcome.unwrap().observer_errors.join("; ");
        assert!(errors.contains("has answered 400: span too old"), "{errors}");
        let request = &receiver.requests()[0];
        assert_eq!(request.header("content-encoding"), None, "nothing has asked for gzip");
    }
}
