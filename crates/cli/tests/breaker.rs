//! `belay breaker`: what is known to be down, and forgetting it.

use crate::bench::Bench;
use belay_testkit::fake_agent::{Exit, FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;

/// Claude and Codex, neither of whom has a login.
fn without_login() -> (Bench, [FakeAgent; 2]) {
    let bench = Bench::new();
    let agents = [("claude", "claude-code"), ("codex", "codex")].map(|(program, agent)| {
        let path = recordings::one(agent, "h-401").stdout_path();
        let play = Play::file(path).exit(Exit::Code(1));
        bench.agent(program, &Play { wait_for_stdin: WaitForStdin::Line, ..play })
    });
    for args in [["-a", "claude:opus"], ["-a", "codex"]] {
        let shown = bench.shown(&[&["run", "--transport", "print"], &args[..], &["p"]].concat());
        assert!(shown.starts_with("exit 78\n"), "{shown}");
    }
    (bench, agents)
}

/// What is listed: who, why, until when, and by which run.
fn listed(bench: &Bench) -> Vec<[String; 3]> {
    let shown = bench.shown(&["breaker", "ls"]);
    let lines = shown.lines().skip(2).take_while(|line| *line != "--- stderr");
    let lines = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(line.contains(" more, until 20") && line.ends_with(" ago"), "{line}");
        [words[0], words[1], words[words.len() - 4]].map(str::to_owned)
    });
    lines.collect()
}

#[test]
fn what_is_known_to_be_down_is_listed_with_its_reason_its_end_and_the_run_that_found_out() {
    let (bench, _) = without_login();
    let rows = listed(&bench);
    let who: Vec<_> = rows.iter().map(|[who, why, by]| [&**who, &**why, &**by]).collect();
    // A login is the account's, whatever the model.
    assert_eq!(who, [["codex", "auth", "run"], ["claude-code", "auth", "run"]]);
    let json = bench.shown(&["breaker", "ls", "--json"]);
    let rows: Vec<Value> =
        json.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let row = &rows[1];
    assert_eq!((&row["agent"], &row["kind"]), (&"claude-code".into(), &"auth".into()));
    assert_eq!((&row["scope"], &row["model"]), (&"account".into(), &Value::Null));
    assert_eq!((&row["is_due"], &row["ejections"]), (&false.into(), &1.into()));
    assert!(row["pid"].is_u64() && row["until"].is_string() && row["since"].is_string(), "{row}");
    let run = row["run"].as_str().unwrap();
    assert!(bench.shown(&["show", run]).starts_with("exit 0\n"));
}

#[test]
fn a_run_that_is_kept_from_beginning_says_how_to_try_all_the_same() {
    let bench = Bench::new();
    let text = fs::read_to_string(recordings::one("codex", "k-usage-limit").stdout_path()).unwrap();
    let play = Play::lines(text.lines()).exit(Exit::Code(1));
    let agent = bench.agent("codex", &Play { wait_for_stdin: WaitForStdin::Line, ..play });
    let run = || bench.shown(&["run", "--no-trace", "--transport", "print", "-a", "codex", "p"]);
    assert!(run().starts_with("exit 75\n"));
    let shown = run();
    assert!(
        shown.starts_with("exit 75\n") && shown.contains("hint: `belay breaker reset`"),
        "{shown}"
    );
    assert_eq!(agent.log().starts(), 1);
    bench.shown(&["breaker", "reset"]);
    assert!(!run().contains("hint"));
    assert_eq!(agent.log().starts(), 2);
}

#[test]
fn a_reset_forgets_one_agent_or_all() {
    let (bench, agents) = without_login();
    let reset = |what: &[&str]| bench.shown(&[&["breaker", "reset"], what].concat());
    let model = reset(&["claude:haiku"]);
    assert_eq!(model, "exit 0\n--- stdout\nthere is nothing to forget\n--- stderr\n");
    assert_eq!(reset(&["claude"]), "exit 0\n--- stdout\n1 breaker is closed again\n--- stderr\n");
    assert_eq!(listed(&bench).len(), 1);
    let shown = bench.shown(&["run", "--transport", "print", "-a", "codex", "-a", "claude", "p"]);
    assert!(shown.contains("codex is known to be down (auth)"), "{shown}");
    assert_eq!(agents.each_ref().map(|agent| agent.log().starts()), [2, 1]);
    assert_eq!(reset(&[]), "exit 0\n--- stdout\n2 breakers are closed again\n--- stderr\n");
    assert_eq!(
        bench.shown(&["breaker", "ls"]),
        "exit 0\n--- stdout\n--- stderr\nNothing is known to be down.\n"
    );
    assert!(reset(&["clod"]).starts_with("exit 2\n"));
}
