//! `belay trace`: traces as trees, lists and other programs' files, and what removing one leaves alone.

use crate::bench::Bench;
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use belay_trace::view::sample_tree;
use belay_trace::{Node, NodeType};
use insta::assert_snapshot;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

/// A bench with traces, each written a day before the one behind it; the last one is as old as it may seem.
fn with_traces(traces: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    let dir = dir(&bench);
    fs::create_dir_all(&dir).unwrap();
    for (n, (name, text)) in traces.iter().rev().enumerate() {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        let age = Duration::from_secs(86_400 * n as u64);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
    }
    bench
}

fn dir(bench: &Bench) -> PathBuf {
    bench.project().join(".belay/traces")
}

fn sample() -> String {
    serde_json::to_string(&sample_tree()).unwrap()
}

/// A file in the form of the Go program, see the README beside it.
const GO: &str = include_str!("../../trace/tests/go-trace/trace.json");

fn stdout(bench: &Bench, args: &[&str]) -> String {
    let output = bench.belay(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const LONG_ID: &str = "01a1fded-c7f0-76d1-9a5c-f99e62216721";

#[test]
fn a_trace_is_shown_by_its_id_by_a_part_of_it_by_its_file_and_as_the_latest() {
    let long = format!("{LONG_ID}.json");
    let bench = with_traces(&[(&long, GO), ("hive.json", &sample())]);
    let sample = stdout(&bench, &["trace", "show"]);
    assert!(sample.starts_with("hiveminer-run  1/3 ⚠") && !sample.contains('\x1b'), "{sample}");
    for same in ["latest", "hive", "hi", ".belay/traces/hive.json"] {
        assert_eq!(stdout(&bench, &["trace", "show", same]), sample, "{same}");
    }
    let go = stdout(&bench, &["trace", "show", "62216721"]);
    assert_eq!(stdout(&bench, &["trace", "show", "01a1"]), go);
    assert!(go.contains("subreddit-discovery") && go != sample);
    let narrow = stdout(&bench, &["trace", "show", "--width", "60"]);
    assert!(narrow.lines().next().unwrap().chars().count() <= 60);
    let told = bench.belay(&["trace", "show"]).env("COLUMNS", "60").output().unwrap();
    assert_eq!(String::from_utf8(told.stdout).unwrap(), narrow);
    let painted = stdout(&bench, &["trace", "show", "--color", "always"]);
    assert!(painted.contains("\x1b[1mhiveminer-run"), "{painted}");
    let json = stdout(&bench, &["trace", "show", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Node>(&json).unwrap(), sample_tree());
}

#[test]
fn a_trace_that_is_not_there_or_is_none_is_told_with_a_way_out() {
    let bench = with_traces(&[("run-1.json", &sample()), ("run-2.json", "{\n  \"id\": 5}")]);
    assert_snapshot!(bench.shown(&["trace", "show", "x"]), @r"
    exit 4
    --- stdout
    --- stderr
    error: there is no trace `x` in .belay/traces
    hint: `belay trace ls --all` lists them; `latest` is the newest; a file is named with its path
    ");
    assert_snapshot!(bench.shown(&["trace", "show", "run-"]), @r"
    exit 4
    --- stdout
    --- stderr
    error: 2 traces in .belay/traces begin or end with `run-`
    hint: give more of the id; `belay trace ls --all` lists them
    ");
    assert_snapshot!(bench.shown(&["trace", "show", "run-2"]), @r"
    exit 1
    --- stdout
    --- stderr
    error: .belay/traces/run-2.json is not a trace tree: invalid type: integer `5`, expected a string at line 2 column 10
    hint: belay reads the traces that it and the Go program write
    ");
    assert_snapshot!(bench.shown(&["trace", "show", "./none.json"]), @r"
    exit 4
    --- stdout
    --- stderr
    error: cannot read ./none.json: No such file or directory (os error 2)
    hint: name a file that is there, or the id of a trace (`belay trace ls`)
    ");
    assert_snapshot!(Bench::new().shown(&["trace", "show"]), @r#"
    exit 4
    --- stdout
    --- stderr
    error: there is no trace `latest` in .belay/traces
    hint: there are no traces here yet: belay run "…"; others are named with --trace-dir
    "#);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let bench = with_traces(&[("a.json", &sample())]);
    symlink(dir(&bench).join("a.json"), bench.project().join("link.json")).unwrap();
    let fifo = bench.project().join("pipe.json");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (name, what) in
        [("link.json", "is a link"), ("pipe.json", "is no regular file"), ("./", "is a directory")]
    {
        let shown = bench.shown(&["trace", "show", &format!("./{name}")]);
        assert!(shown.starts_with("exit 1\n") && shown.contains(what), "{shown}");
    }
}

#[test]
fn traces_are_listed_the_newest_first_and_broken_ones_with_the_reason() {
    let long = format!("{LONG_ID}.json");
    let bench =
        with_traces(&[("broken.json", "{"), (&long, GO), ("hive.json", &sample()), ("x.txt", "")]);
    let listed = stdout(&bench, &["trace", "ls"]);
    let cells = |line: &str| {
        let mut cells: Vec<_> = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect();
        // The sample says when it began, which is longer ago every day.
        cells.remove(5);
        cells.join(" | ")
    };
    let listed: Vec<String> = listed.lines().map(cells).collect();
    assert_snapshot!(listed.join("\n"), @r"
    hive | failed | ≥$0.4975 | 328.8K/11.5K | 3.2m | 1/3 ⚠ | hiveminer-run: discovery, review, writing
    62216721 | ended | $0.0441 | 225.5K/1.5K | 15.4s | 1/2 ⚠ | hiveminer-run: subreddit-discovery, thread-extraction
    broken | broken | - | - | - | - | .belay/traces/broken.json is not a trace tree: EOF while parsing an object at line 1 column 1
    ");
    let json: Vec<Value> = stdout(&bench, &["trace", "ls", "--format", "jsonl"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = json.iter().map(|row| row["trace"].as_str().unwrap()).collect();
    assert_eq!(names, ["hive", LONG_ID, "broken"]);
    assert_eq!(json[0]["phases"], serde_json::json!(["discovery", "review", "writing"]));
    assert!((json[0]["cost_usd"].as_f64().unwrap() - 0.4975).abs() < 1e-9);
    assert_eq!(json[0]["cost_is_partial"], true);
    assert!(json[2]["error"].as_str().unwrap().contains("line 1 column 1"), "{}", json[2]);
    let array: Value =
        serde_json::from_str(&stdout(&bench, &["trace", "ls", "--format", "json", "-n", "1"]))
            .unwrap();
    assert_eq!(array, serde_json::json!([json[0]]));
    let none = Bench::new().shown(&["trace", "ls"]);
    assert_eq!(none, "exit 0\n--- stdout\n--- stderr\nThere are no traces in .belay/traces yet.\n");
}

#[test]
fn a_trace_is_exported_to_a_file_that_nobody_else_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = with_traces(&[("hive.json", &sample())]);
    let export = |format: &str| stdout(&bench, &["trace", "export", "hive", "--format", format]);
    let chrome: Value = serde_json::from_str(&export("chrome")).unwrap();
    assert!(chrome["traceEvents"].as_array().unwrap().len() > 22);
    assert!(export("csv").starts_with("id,parent_id,depth,node_type,name,model,state,start_time,"));
    assert_eq!(serde_json::from_str::<Node>(&export("json")).unwrap(), sample_tree());
    for format in ["chrome", "csv", "json"] {
        let file = bench.project().join(format);
        let args = ["trace", "export", "hive", "--format", format, "-o", file.to_str().unwrap()];
        assert_eq!(stdout(&bench, &args), "");
        assert_eq!(fs::read_to_string(&file).unwrap(), export(format));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let shown = bench.shown(&["trace", "export", "hive", "--format", "csv", "-o", "no/where"]);
    assert!(shown.starts_with("exit 1\n") && shown.contains("cannot write no/where"), "{shown}");
}

#[test]
fn a_trace_is_removed_and_nothing_besides() {
    let bench = with_traces(&[
        ("run-1.json", GO),
        ("run-2.json", GO),
        ("run-3.json", GO),
        ("notes.txt", "mine"),
    ]);
    let dir = dir(&bench);
    fs::write(bench.project().join("outside.json"), GO).unwrap();
    symlink(bench.project().join("outside.json"), dir.join("link.json")).unwrap();
    fs::create_dir(dir.join("folder.json")).unwrap();
    let names = || {
        let entries = fs::read_dir(&dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    let all = names();
    for refused in [
        "run-",
        "link",
        "folder",
        "../../outside",
        "../../outside.json",
        "/etc/passwd",
        "..",
        "notes.txt",
        "",
    ] {
        let shown = bench.shown(&["trace", "rm", "run-1", refused]);
        assert!(shown.starts_with("exit 4\n"), "{refused}: {shown}");
        assert_eq!(names(), all, "{refused}: not even the first one");
    }
    assert!(bench.shown(&["trace", "rm"]).starts_with("exit 2\n"));
    let said = stdout(&bench, &["trace", "rm", "run-3", "3", "--dry-run"]);
    assert!(said.starts_with("run-3  ") && said.contains("would remove 1 trace, "), "{said}");
    assert!(stdout(&bench, &["trace", "rm", "run-3"]).starts_with("removed 1 trace, "));
    assert_eq!(names(), "folder.json link.json notes.txt run-1.json run-2.json");
    assert!(stdout(&bench, &["trace", "rm", "--older-than", "60h"]).starts_with("removed 1 trace"));
    assert_eq!(names(), "folder.json link.json notes.txt run-2.json");
    let none = stdout(&bench, &["trace", "rm", "--older-than", "60h"]);
    assert_eq!(none, "there is nothing to remove\n");
    assert_eq!(fs::read_to_string(bench.project().join("outside.json")).unwrap(), GO);
}

#[test]
fn a_run_draws_its_trace_at_its_end() {
    let bench = Bench::new();
    bench.agent("claude", &Play::file(recordings::one("claude-code", "b-shell").stdout_path()));
    for format in ["text", "jsonl"] {
        let args = ["run", "--tree", "--format", format, "--trace-id", format, "hi"];
        let output = bench.belay(&args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let tree = stdout(&bench, &["trace", "show", format]);
        assert!(stderr.ends_with(&tree) && tree.contains("Bash"), "{stderr}\n---\n{tree}");
    }
    let shown = bench.shown(&["run", "--tree", "--no-trace", "hi"]);
    assert!(shown.starts_with("exit 2\n"), "{shown}");
}

/// A tree of phases with 99 calls each.
fn large(nodes: usize) -> Node {
    let call = |n: usize| Node {
        id: format!("{n:08x}"),
        node_type: NodeType::ToolCall,
        agent_name: "Bash".into(),
        duration_ms: 10,
        ..Node::default()
    };
    let phase = |n: usize| Node {
        id: format!("p{n:07x}"),
        node_type: NodeType::Phase,
        agent_name: format!("phase {n}"),
        model: "claude-opus-4-6".into(),
        cost_usd: 0.01,
        input_tokens: 100,
        context_window: 200_000,
        context_used: 100_000,
        children: (0..99).map(|call_n| call(n * 100 + call_n)).collect(),
        ..Node::default()
    };
    Node { id: "large".into(), children: (0..nodes / 100).map(phase).collect(), ..Node::default() }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let text = serde_json::to_string(&large(20_000)).unwrap();
    let bench = with_traces(&[("large.json", &text)]);
    for args in [
        &["show"][..],
        &["export", "large", "--format", "chrome"],
        &["export", "large", "--format", "csv"],
    ] {
        let mut command = bench.belay(&[&["trace"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{args:?}");
    }
}

#[test]
#[ignore = "measures; cargo test --release -p belay-cli trace_view -- --ignored --nocapture"]
fn a_hundred_thousand_nodes_are_printed_in_a_second() {
    let text = serde_json::to_string_pretty(&large(100_000)).unwrap();
    let bench = with_traces(&[("large.json", &text)]);
    // Only a release build is measured.
    let times = if cfg!(debug_assertions) { 1 } else { 5 };
    let took = (0..times).map(|_| {
        let began = Instant::now();
        let shown = stdout(&bench, &["trace", "show"]);
        assert_eq!(shown.lines().count(), 100_001);
        began.elapsed()
    });
    let took = took.min().unwrap();
    let _ = writeln!(std::io::stdout(), "{} MB, 100,001 nodes: {took:.2?}", text.len() / 1_000_000);
    assert!(cfg!(debug_assertions) || took < Duration::from_secs(1), "{took:?}");
}
