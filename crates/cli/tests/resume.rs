//! `belay resume`: going on in the session of a run, with what it was run with.

use crate::stored::{Bench, claude, hanging, id, stdout, with_claude};
use belay_testkit::fake_agent::{FakeAgent, Play};
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::process::Stdio;

const SESSION: &str = "c9d9b6d7-3b6d-4d63-9f70-41bfd8b74e0d";

/// A run that was stopped, and a Claude that answers now.
fn stopped(args: &[&str]) -> (Bench, FakeAgent) {
    let bench = hanging();
    let mut run = bench.start_run(args);
    stdout(&mut bench.belay(&["stop", "latest"]));
    run.wait().unwrap();
    fs::remove_file(bench.path("agent.log")).unwrap();
    let agent = answering(&bench);
    (bench, agent)
}

fn answering(bench: &Bench) -> FakeAgent {
    claude(bench, &Play::file(recordings::one("claude-code", "a-text").stdout_path()))
}

fn prompt(agent: &FakeAgent) -> String {
    let log = agent.log();
    let message: Value = serde_json::from_str(log.stdin()[0]).unwrap();
    message["message"]["content"].as_str().unwrap().to_owned()
}

fn request(bench: &Bench) -> Value {
    serde_json::from_slice(&fs::read(bench.newest_run().join("request.json")).unwrap()).unwrap()
}

#[test]
fn a_stopped_run_goes_on_in_its_session_with_its_own_options() {
    let args = [
        "--permit",
        "edit",
        "--model",
        "opus",
        "--max-turns",
        "7",
        "--allowed-tools",
        "Read",
        "--add-dir",
        ".",
        "task",
    ];
    let (bench, agent) = stopped(&args);
    let first: Value = request(&bench);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    // From elsewhere: the folder is the run's.
    let output = bench.belay(&["resume", &short]).current_dir(bench.path("home")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = agent.log();
    let added = format!("--add-dir={}", bench.project().display());
    for arg in [
        &*added,
        "--model=opus",
        "--permission-mode=acceptEdits",
        "--max-turns=7",
        &format!("--resume={SESSION}"),
    ] {
        assert!(log.argv().iter().any(|had| had == arg), "{arg}: {:?}", log.argv());
    }
    assert!(prompt(&agent).starts_with("Your last turn was stopped before it was done."));
    let second = request(&bench);
    for name in ["cwd", "model", "permissions", "max_turns", "allowed_tools"] {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(second["session"], serde_json::json!({"resume": SESSION}));
    // Both stand in one trace, where the first was written.
    assert_eq!(second["trace_id"].as_str(), bench.runs()[0].file_name().unwrap().to_str());
    let trace = bench
        .project()
        .join(format!(".belay/traces/{}.json", second["trace_id"].as_str().unwrap()));
    let tree = belay_trace::read_file(&trace).unwrap();
    let phases = tree.children.iter().filter(|node| node.node_type == belay_trace::NodeType::Phase);
    assert_eq!(phases.count(), 2);
    assert!(!bench.path("home/.belay").exists());
}

#[test]
fn every_option_can_be_given_anew() {
    let (bench, agent) =
        stopped(&["--permit", "edit", "--model", "opus", "--max-turns", "7", "task"]);
    let args = [
        "resume",
        "latest",
        "-a",
        "claude:haiku",
        "--permit",
        "read-only",
        "--max-turns",
        "9",
        "Go on.",
    ];
    let output = bench.belay(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = agent.log();
    for arg in ["--model=haiku", "--permission-mode=plan", "--max-turns=9"] {
        assert!(log.argv().iter().any(|had| had == arg), "{arg}: {:?}", log.argv());
    }
    assert_eq!(prompt(&agent), "Go on.");
}

#[test]
fn the_surroundings_of_a_run_are_found_again() {
    let bench = Bench::new();
    let elsewhere = Play { log: Some(bench.path("agent.log")), ..crate::stored::hangs() };
    let agent = claude(&bench, &elsewhere);
    fs::create_dir(bench.path("elsewhere")).unwrap();
    let there = bench.path("elsewhere/my-claude");
    fs::rename(agent.program(), &there).unwrap();
    fs::rename(bench.path("bin/claude.play.json"), bench.path("elsewhere/my-claude.play.json"))
        .unwrap();
    let there = there.to_str().unwrap();
    let args = ["run", "--program", there, "--pass-env", "MY_KEY", "--no-trace", "task"];
    let mut run = bench.start(&args);
    crate::stored::wait_for("the tool", || {
        stdout(&mut bench.belay(&["logs"])).contains("[tool_use]")
    });
    run.kill().unwrap();
    run.wait().unwrap();
    bench.end_agent();
    assert!(!bench.project().join(".belay").exists());
    let mut again = bench.start(&["resume", "latest"]);
    crate::stored::wait_for("the tool", || {
        bench.runs().len() == 2 && stdout(&mut bench.belay(&["logs"])).contains("[tool_use]")
    });
    // It is noted when the first event is shown, which may be later than another process sees one.
    let path = bench.newest_run().join("call.json");
    let noted = || fs::read_to_string(&path).unwrap_or_default();
    crate::stored::wait_for("the call", || noted().contains("MY_KEY"));
    let call = noted();
    assert!(call.contains(there) && call.contains("MY_KEY"), "{call}");
    stdout(&mut bench.belay(&["stop", "latest"]));
    assert_eq!(again.wait().unwrap().code(), Some(130));
    assert!(!bench.project().join(".belay").exists(), "a run without a trace goes on without");
}

#[test]
fn the_end_of_a_run_shows_the_line_that_goes_on_with_it() {
    let bench = hanging();
    let mut command = bench.belay(&["run", "sleep"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    crate::stored::wait_for("the tool", || {
        stdout(&mut bench.belay(&["logs"])).contains("[tool_use]")
    });
    stdout(&mut bench.belay(&["stop", "latest"]));
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    run.wait().unwrap();
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    assert!(said.contains(&format!("\nto go on: belay resume {short}\n")), "{said}");

    // Without a journal there is no run to name; its session is there all the same.
    answering(&bench);
    let shown = bench.shown(&["run", "--no-journal", "hi"]);
    assert!(shown.contains("\nto go on: belay run -a claude-code --resume "), "{shown}");
    let state = bench.path("other state");
    let shown = bench.shown(&["run", "--state-dir", state.to_str().unwrap(), "hi"]);
    assert!(shown.contains("\nto go on: belay resume --state-dir 'BENCH/other state' "), "{shown}");
}

#[test]
fn what_cannot_be_resumed_says_why_and_what_to_do() {
    let (bench, _) = stopped(&["task"]);
    let short = |bench: &Bench| id(&stdout(&mut bench.belay(&["runs"])));
    let check_code = |code: u8, bench: &Bench, args: &[&str], error: &str, hint: &str| {
        let want = format!("exit {code}\n--- stdout\n--- stderr\nerror: {error}\nhint: {hint}\n");
        assert_eq!(bench.shown(&[&["resume", "latest"], args].concat()), want);
    };
    let check = |bench: &Bench, args: &[&str], error: &str, hint: &str| {
        check_code(2, bench, args, error, hint);
    };
    let id = short(&bench);
    check(
        &bench,
        &["-a", "codex"],
        &format!("the session of run {id} is claude-code's; codex cannot go on in it"),
        "leave -a out, or begin anew: belay run -a codex \"…\"",
    );
    fs::rename(bench.project(), bench.path("moved")).unwrap();
    let moved =
        bench.belay(&["resume", "latest"]).current_dir(bench.path("home")).output().unwrap();
    let words = String::from_utf8(moved.stderr).unwrap();
    assert!(
        words.contains("project does not exist\nhint: make it, or choose another with -C"),
        "{words}"
    );
    fs::rename(bench.path("moved"), bench.project()).unwrap();

    bench.belay(&["run", "hi"]).output().unwrap();
    let id = short(&bench);
    let (error, hint) = (
        format!("run {id} has answered: what comes next?"),
        format!("belay resume {id} \"PROMPT\""),
    );
    check(&bench, &[], &error, &hint);

    let busy = hanging();
    let mut run = busy.start_run(&["task"]);
    let id = short(&busy);
    let hint = format!(
        "follow it: belay logs {id} -f; speak to it: belay steer {id} \"…\"; stop it: belay stop {id}; \
         wait for it: --queue; resume a copy: --fork"
    );
    check_code(75, &busy, &[], &format!("run {id} is still at work"), &hint);
    stdout(&mut busy.belay(&["stop", "--all"]));
    run.wait().unwrap();
}

#[test]
fn a_run_whose_agent_has_said_nothing_is_begun_anew() {
    let short = |bench: &Bench| id(&stdout(&mut bench.belay(&["runs"])));
    let silent = with_claude(&Play::lines([""; 0]));
    let first =
        silent.belay(&["run", "--max-retries", "0", "--max-turns", "7", "hi"]).output().unwrap();
    let id = short(&silent);
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(said.contains(&format!("to begin anew: belay resume {id}\n")), "{said}");
    let again = silent.belay(&["resume", &id]).output().unwrap();
    assert_eq!(again.status.code(), first.status.code());
    assert_ne!(short(&silent), id);
    let request = request(&silent);
    assert_eq!((&request["prompt"], &request["max_turns"]), (&"hi".into(), &7.into()));
    assert!(request["session"].get("resume").is_none(), "{request}");
    // There is nothing to copy.
    let id = short(&silent);
    let copy = silent.belay(&["resume", "--fork", &id, "more"]).output().unwrap();
    assert_eq!(copy.status.code(), Some(2));
}

#[test]
fn run_goes_on_in_the_session_of_a_run_or_in_a_copy_of_it() {
    let (bench, agent) = stopped(&["--permit", "edit", "task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    let first = request(&bench);
    let output = bench.belay(&["run", "--resume", &short, "--max-turns", "9", "Go on."]);
    let output = { output }.current_dir(bench.path("home")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(agent.log().argv().contains(&format!("--resume={SESSION}")));
    assert_eq!(prompt(&agent), "Go on.");
    let second = request(&bench);
    assert_eq!((&first["cwd"], &first["permissions"]), (&second["cwd"], &second["permissions"]));

    for args in
        [vec!["run", "--fork", "latest", "Try it."], vec!["resume", "--fork", "latest", "Try it."]]
    {
        fs::remove_file(bench.path("agent.log")).unwrap();
        assert_eq!(bench.belay(&args).output().unwrap().status.code(), Some(0));
        assert!(agent.log().argv().contains(&"--fork-session".to_owned()), "{args:?}");
    }
    // What names no run is the agent's own.
    fs::remove_file(bench.path("agent.log")).unwrap();
    bench.belay(&["run", "--resume", "my-session", "Go on."]).output().unwrap();
    assert!(agent.log().argv().contains(&"--resume=my-session".to_owned()));
    let shown = bench.shown(&["run", "--resume", &short, "-a", "codex", "Go on."]);
    assert!(shown.contains("is claude-code's; codex cannot go on in it"), "{shown}");
}
