//! `belay run --otel` and `--freeplay`, `belay trace end --otel` and `belay trace export --otlp`: what a backend gets of them.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::freeplay::FakeFreeplay;
use belay_testkit::otlp::{Span, spans, tree};
use belay_testkit::receiver::{Answer, Receiver};
use belay_testkit::recordings;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn bench() -> Bench {
    let bench = Bench::new();
    let recording = recordings::one("claude-code", "b-shell");
    let play = Play::file(recording.stdout_path());
    bench.agent("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..play });
    bench
}

fn receiver() -> Receiver {
    Receiver::start(|_| Answer::status(200)).unwrap()
}

/// Runs it with these variables; gives standard output and standard error.
fn belay(bench: &Bench, args: &[&str], vars: &[(&str, &str)], code: i32) -> (String, String) {
    let output = bench.belay(args).envs(vars.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", show(&output, bench));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| a.id.cmp(&b.id));
    spans
}

#[test]
fn a_trace_of_several_processes_is_one_tree_and_its_export_is_the_same_spans() {
    let (bench, receiver) = (bench(), receiver());
    let to = format!("--otel={}", receiver.url());
    let id = belay(&bench, &["trace", "start", "--name", "hiveminer-run"], &[], 0).0;
    let id = id.trim();
    for phase in ["discovery", "extraction"] {
        let args = ["run", "--format", "quiet", &to, "--trace", id, "--phase", phase, "go"];
        assert_eq!(belay(&bench, &args, &[], 0).1, "");
    }
    belay(&bench, &["trace", "end", id, &to], &[], 0);
    let live = spans(&receiver.requests());
    insta::assert_snapshot!(tree(&live), @r"
    invoke_workflow hiveminer-run
      phase discovery
        invoke_agent claude-code
          chat claude-sonnet-4-5-20250929
          chat claude-sonnet-4-5-20250929
          execute_tool Bash
      phase extraction
        invoke_agent claude-code
          chat claude-sonnet-4-5-20250929
          chat claude-sonnet-4-5-20250929
          execute_tool Bash
    ");

    let before = receiver.requests().len();
    let args = ["trace", "export", id, &format!("--otlp={}", receiver.url())];
    let (_, said) = belay(&bench, &args, &[], 0);
    assert_eq!(said, format!("{} spans of 2 runs\n", live.len()));
    let exported = spans(&receiver.requests()[before..]);
    assert_eq!(sorted(exported), sorted(live));
}

#[test]
fn the_standard_variables_and_an_inbound_parent_hold_and_the_agent_is_told_its_span() {
    let (bench, receiver) = (bench(), receiver());
    let recording = recordings::one("claude-code", "b-shell");
    let play = Play::file(recording.stdout_path());
    let agent = bench.agent("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..play });
    let url = receiver.url();
    let vars = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-login=secret%20one"),
        ("OTEL_SERVICE_NAME", "hive"),
        ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    belay(&bench, &["run", "--format", "quiet", "--otel", "--otel-content", "go"], &vars, 0);
    let requests = receiver.requests();
    assert_eq!(requests[0].header("x-login"), Some("secret one"));
    let spans = spans(&requests);
    let run = spans.iter().find(|span| span.name == "invoke_agent claude-code").unwrap();
    assert_eq!(
        (&*run.trace, &*run.parent),
        ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    );
    assert_eq!(run.get("input.value"), "go");
    assert_eq!(agent.log().env()["TRACEPARENT"], format!("00-{}-{}-01", run.trace, run.id));

    let before = receiver.requests().len();
    belay(&bench, &["run", "--format", "quiet", "go"], &vars, 0);
    assert_eq!(receiver.requests().len(), before, "nobody has asked for it");
    assert_eq!(agent.log().env()["TRACEPARENT"], vars[3].1, "as the user has it");
}

#[test]
fn the_users_file_says_where_to_and_its_headers_are_for_that_place_and_private() {
    let (bench, receiver, other) = (bench(), receiver(), receiver());
    let headers = bench.path("headers");
    fs::write(&headers, "# a login\nx-login: secret\n").unwrap();
    let config = bench.path("config/belay/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let text =
        format!("[otel]\nto = \"{}\"\nheaders_file = \"{}\"\n", receiver.url(), headers.display());
    fs::write(&config, text).unwrap();
    let at = bench.path("config");
    let vars = [("XDG_CONFIG_HOME", at.to_str().unwrap())];
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, said) = belay(&bench, &["run", "--format", "quiet", "go"], &vars, 2);
    assert!(said.contains("others can read the headers"), "{said}");
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600)).unwrap();
    belay(&bench, &["run", "--format", "quiet", "go"], &vars, 0);
    assert_eq!(receiver.requests()[0].header("x-login"), Some("secret"));

    let before = receiver.requests().len();
    let to = format!("--otel={}", other.url());
    belay(&bench, &["run", "--format", "quiet", &to, "go"], &vars, 0);
    belay(&bench, &["run", "--format", "quiet", "--otel=off", "go"], &vars, 0);
    assert_eq!(receiver.requests().len(), before);
    assert_eq!(other.requests()[0].header("x-login"), None);

    // Who clones a project has not read its file.
    let project = bench.project().join(".belay");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("config.toml"), "[otel]\nto = \"https://example.com\"\n").unwrap();
    let args = ["run", "--format", "quiet", "-C", bench.project().to_str().unwrap(), "go"]
        .map(str::to_owned);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let output = bench.belay(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("it would decide who is told of your work"), "{said}");
}

#[test]
fn a_backend_that_cannot_be_is_a_mistake_before_anything_is_paid() {
    let bench = bench();
    for (args, words) in [
        (
            vec!["run", "--otel=langfuse", "go"],
            "langfuse needs LANGFUSE_PUBLIC_KEY in the environment",
        ),
        (vec!["run", "--otel", "go"], "no endpoint: name one, or a preset (phoenix, langfuse"),
        (
            vec!["run", "--otel=http://user:secret@example.com", "go"],
            "example.com is not on this machine: use https",
        ),
    ] {
        let (_, said) = belay(&bench, &args, &[], 2);
        assert!(said.contains(words), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
    assert!(!bench.path("home/.local/state/belay/runs").exists());
}

#[test]
fn a_run_that_goes_on_is_sent_to_where_it_was_sent() {
    let (bench, receiver) = (bench(), receiver());
    let freeplay = FakeFreeplay::start("key", "p1", false).unwrap();
    let url = freeplay.url();
    let vars =
        [("FREEPLAY_API_KEY", "key"), ("FREEPLAY_PROJECT_ID", "p1"), ("FREEPLAY_API_URL", &*url)];
    let to = format!("--otel={}", receiver.url());
    let first = ["run", "--format", "quiet", &to, "--otel-content", "--freeplay", "go"];
    belay(&bench, &first, &vars, 0);
    let runs = || {
        let spans = spans(&receiver.requests());
        let runs = spans.iter().filter(|span| span.name.starts_with("invoke_agent"));
        runs.map(|span| span.get("input.value").to_owned()).collect::<Vec<_>>()
    };
    let completions =
        || freeplay.state().order.iter().filter(|what| **what == "completion").count();
    assert_eq!((runs(), completions()), (vec!["go".to_owned()], 1));
    let again = ["resume", "latest", "--format", "quiet", "more"];
    belay(&bench, &again, &vars, 0);
    assert_eq!((runs(), completions()), (vec!["go".to_owned(), "more".to_owned()], 2));
    let off = ["resume", "latest", "--format", "quiet", "--otel=off", "--freeplay=false", "more"];
    belay(&bench, &off, &vars, 0);
    assert_eq!((runs().len(), completions()), (2, 2));
}

#[test]
fn freeplay_is_told_of_a_run_when_it_is_wanted() {
    let (bench, freeplay) = (bench(), FakeFreeplay::start("key", "p1", false).unwrap());
    let url = freeplay.url();
    let vars =
        [("FREEPLAY_API_KEY", "key"), ("FREEPLAY_PROJECT_ID", "p1"), ("FREEPLAY_API_URL", &*url)];
    belay(&bench, &["run", "--format", "quiet", "go"], &vars, 0);
    assert_eq!(freeplay.state().order, [""; 0]);
    belay(&bench, &["run", "--format", "quiet", "--freeplay", "go"], &vars, 0);
    let state = freeplay.state();
    assert_eq!(state.refused, [""; 0]);
    assert_eq!(state.order, ["trace", "completion", "tool"]);
    let (_, said) = belay(&bench, &["run", "--freeplay", "go"], &[], 2);
    assert!(said.contains("Freeplay needs FREEPLAY_API_KEY in the environment"), "{said}");
}
