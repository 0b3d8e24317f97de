//! `belay runs`, `show` and `replay`: runs as things that can be looked at afterwards.

use crate::stored::{Bench, hanging, id, objects, stdout, wait_for, with_claude};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::recordings;
use insta::assert_snapshot;
use serde_json::Value;
use std::fs;

fn recorded(name: &str) -> Bench {
    with_claude(&Play::file(recordings::one("claude-code", name).stdout_path()))
}

/// A run that was killed with its belay, when its tool had begun.
fn crashed() -> Bench {
    let bench = hanging();
    let mut child = bench.start(&["run", "--permit", "edit", "--effort", "high", "sleep\nlong"]);
    wait_for("the tool", || stdout(&mut bench.belay(&["logs"])).contains("[tool_use]"));
    child.kill().unwrap();
    child.wait().unwrap();
    bench
}

/// A Claude whose turn has ended, and whose subagent works on for a minute.
fn waiting() -> Bench {
    let recorded = recordings::one("claude-code", "q-background-subagent").stdout;
    let recorded = String::from_utf8(recorded).unwrap();
    let lines: Vec<&str> = recorded.lines().collect();
    let end = lines.iter().position(|line| line.contains("\"type\":\"result\"")).unwrap();
    let play = Play::lines(lines[..=end].iter().copied());
    with_claude(&Play { wait_for_stdin: WaitForStdin::Line, linger_ms: 60_000, ..play })
}

#[test]
fn a_run_that_is_killed_while_it_waits_for_a_subagent_has_crashed_and_keeps_its_cost() {
    let bench = waiting();
    let mut child = bench.start(&["run", "go"]);
    let waits = "[background] the turn is over; waiting for subagent review\n";
    wait_for("the wait", || stdout(&mut bench.belay(&["logs"])).contains(waits));
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = &objects(&stdout(&mut bench.belay(&["runs", "--json"])))[0];
    assert_eq!(listed["state"], "crashed");
    assert_eq!(listed["usage"]["total_cost_usd"], 0.01524);
    let shown = stdout(&mut bench.belay(&["show"]));
    assert!(shown.contains("$0.0152"), "{shown}");
    assert!(shown.contains("I have started a reviewer; I will report back."), "{shown}");
}

#[test]
fn a_run_is_listed_and_shown_again_as_it_was() {
    let bench = recorded("b-shell");
    let shown = bench.shown(&["run", "look\naround"]);
    let runs = stdout(&mut bench.belay(&["runs"]));
    assert_eq!(runs.lines().count(), 1);
    let columns: Vec<&str> = runs.split_whitespace().collect();
    let (figures, words) = (&columns[1..5], &columns[columns.len() - 2..]);
    assert_eq!(figures, ["answered", "claude-code:sonnet-4-5", "$0.0130", "21.3K/85"]);
    assert_eq!(words, ["project", "look"], "the folder, and the prompt's first line");

    let again = stdout(&mut bench.belay(&["show"]));
    let log = again.split("\n\n").nth(1).unwrap();
    assert!(shown.contains(log.split("\nattempt").next().unwrap().trim()), "{again}\n{shown}");
    assert!(again.ends_with("\n\nThe command printed hello-from-shell.\n"), "{again}");
    let short = columns[0];
    assert!(again.contains(&format!("to go on: belay resume {short} \"…\"")), "{again}");

    let events = stdout(&mut bench.belay(&["show", short, "--format", "jsonl"]));
    assert_eq!(events, fs::read_to_string(bench.run_folder().join("events.jsonl")).unwrap());
    let listed = &objects(&stdout(&mut bench.belay(&["runs", "--json"])))[0];
    let names: Vec<&String> = listed.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "run",
            "short",
            "state",
            "host",
            "agent",
            "model",
            "started",
            "duration_ms",
            "session_id",
            "cwd",
            "prompt_start",
            "usage",
            "failure"
        ]
    );
    assert_eq!((&listed["short"], &listed["state"]), (&short.into(), &"answered".into()));
    assert_eq!(listed["prompt_start"], "look\naround");
}

#[test]
fn the_account_of_a_run_is_one_object() {
    let bench = recorded("b-shell");
    bench.belay(&["run", "--permit", "full", "look"]).output().unwrap();
    let account: Value =
        serde_json::from_str(&stdout(&mut bench.belay(&["show", "--format", "json"]))).unwrap();
    let attempt = &account["attempts"][0];
    assert_eq!((&attempt["exit_code"], &attempt["forced"]), (&0.into(), &false.into()));
    assert_eq!(account["attempts"].as_array().unwrap().len(), 1);
    assert_eq!((&account["permissions"], &account["prompt"]), (&"full".into(), &"look".into()));
    assert_eq!(account["result"], "The command printed hello-from-shell.");
    assert_eq!(account["usage"]["total_cost_usd"], 0.012975);
}

#[test]
fn a_run_whose_belay_was_killed_has_crashed_and_says_what_was_reached_and_how_to_go_on() {
    let bench = crashed();
    let runs = stdout(&mut bench.belay(&["runs"]));
    assert!(runs.contains("  crashed "), "{runs}");
    let short = id(&runs);
    let shown = stdout(&mut bench.belay(&["show"]));
    for words in [
        "agent      claude-code · model claude-sonnet-4-5-20250929 · edit permissions\n",
        "prompt     sleep\n           long\n",
        "[tool_use] Bash",
        ": its end was not seen\n",
        "\nreached so far:\nSleeping.\n",
        &format!("to go on: belay resume {short}\n"),
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let account = stdout(&mut bench.belay(&["show", "--format", "json"]));
    let account: Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["resume"], format!("belay resume {short}"));
    assert_eq!(
        (&account["attempts"][0]["ended"], &account["tool_calls"]),
        (&false.into(), &1.into())
    );
    bench.end_agent();
}

#[test]
fn runs_are_found_by_how_they_stand_and_by_their_agent() {
    let bench = crashed();
    bench.end_agent();
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(["garbage"]) };
    bench.agent("claude", &play);
    bench.belay(&["run", "one"]).output().unwrap();
    let states = |args: &[&str]| {
        let args: Vec<&str> = ["runs", "--json"].iter().chain(args).copied().collect();
        let listed = objects(&stdout(&mut bench.belay(&args)));
        listed.iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(&[]), ["protocol", "crashed"]);
    assert_eq!(states(&["-n", "1"]), ["protocol"]);
    assert_eq!(states(&["-n", "1", "--state", "crashed"]), ["crashed"]);
    assert_eq!(states(&["--state", "failed"]), ["protocol"]);
    assert_eq!(states(&["--state", "protocol", "--state", "crashed"]), ["protocol", "crashed"]);
    assert_eq!(states(&["--agent", "claude"]), ["protocol", "crashed"]);
    assert_eq!(states(&["--agent", "codex"]), [""; 0]);
    assert_snapshot!(bench.shown(&["runs", "--state", "done"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'done' for '--state <STATE>': use running, waiting, answered, failed, crashed, lost, damaged, or a kind of failure such as interrupted

    For more information, try '--help'.
    "#);
}

#[test]
fn damaged_journals_break_neither_the_list_nor_the_others() {
    let bench = recorded("b-shell");
    let mut damaged = Vec::new();
    let whole = || fs::read(bench.newest_run().join("events.jsonl")).unwrap();
    for damage in 0..4 {
        bench.belay(&["run", "look"]).output().unwrap();
        let folder = bench.newest_run();
        let (events, whole) = (folder.join("events.jsonl"), whole());
        match damage {
            0 => fs::write(events, [&[0; 300], &whole[300..]].concat()).unwrap(),
            1 => fs::write(events, [&whole[..], b"\xff\xfe no record\n"].concat()).unwrap(),
            2 => fs::write(folder.join("request.json"), "{").unwrap(),
            _ => fs::write(events, "").unwrap(),
        }
        damaged.push(folder);
    }
    let output = bench.belay(&["runs", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let listed = objects(&String::from_utf8(output.stdout).unwrap());
    let states: Vec<_> = listed.iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["crashed", "answered", "damaged", "damaged"]);
    for run in &listed {
        let output = bench.belay(&["show", run["short"].as_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{run}");
        let output = bench.belay(&["logs", run["short"].as_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{run}");
    }
    let shown = stdout(&mut bench.belay(&["show", listed[1]["short"].as_str().unwrap()]));
    assert!(shown.contains("(the request is lost)"), "{shown}");
}

#[test]
fn a_replay_gives_the_stored_lines_byte_for_byte_and_says_when_it_does_not() {
    for name in ["f-partial", "q-subagent", "b-shell"] {
        let bench = recorded(name);
        bench.belay(&["run", "look"]).output().unwrap();
        let events = fs::read_to_string(bench.run_folder().join("events.jsonl")).unwrap();
        let from_agent: Vec<&str> =
            events.lines().filter(|line| line.contains(r#""raw":"#)).collect();
        assert!(from_agent.len() > 5);
        let output = bench.belay(&["replay"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let replayed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(replayed.lines().collect::<Vec<_>>(), from_agent);

        // The same value in other bytes is another line.
        let line = from_agent[2];
        let respelled = line.replacen(r#""type":""#, r#""type": ""#, 1);
        fs::write(bench.run_folder().join("events.jsonl"), events.replace(line, &respelled))
            .unwrap();
        let output = bench.belay(&["replay", "--quiet"]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("attempt 1 reads differently now: event 2"), "{words}");

        // One that is missing is a difference too.
        let without = events.replacen(&format!("{line}\n"), "", 1);
        fs::write(bench.run_folder().join("events.jsonl"), without).unwrap();
        assert_eq!(bench.belay(&["replay"]).output().unwrap().status.code(), Some(1));
    }
}

#[test]
fn a_crashed_run_replays_with_what_was_no_longer_stored() {
    let bench = crashed();
    let whole = stdout(&mut bench.belay(&["replay"]));
    assert!(whole.lines().count() > 3);
    // The last event was cut off by the crash; its input was written before.
    let path = bench.run_folder().join("events.jsonl");
    let events = fs::read(&path).unwrap();
    fs::write(&path, &events[..events.len() - 20]).unwrap();
    let output = bench.belay(&["replay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let again = String::from_utf8(output.stdout).unwrap();
    assert_eq!(again.lines().count(), whole.lines().count());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("1 of these events are not in the journal"), "{words}");
    bench.end_agent();
}

#[test]
fn a_run_that_does_not_exist() {
    let bench = recorded("a-text");
    assert_snapshot!(bench.shown(&["runs"]), @r#"
    exit 0
    --- stdout
    --- stderr
    There are no runs yet: belay run "…"
    "#);
    assert_snapshot!(bench.shown(&["show", "01a1fd39"]), @r#"
    exit 4
    --- stdout
    --- stderr
    error: there is no run `01a1fd39`
    hint: there are no runs yet: belay run "…"
    "#);
    bench.belay(&["run", "hi"]).output().unwrap();
    assert!(bench.shown(&["show", "nobody"]).contains("`belay runs --all` lists them"));
    for verb in ["logs", "stop", "replay", "resume"] {
        assert_eq!(bench.belay(&[verb, "nobody"]).output().unwrap().status.code(), Some(4));
    }
    assert_eq!(bench.belay(&["steer", "nobody", "x"]).output().unwrap().status.code(), Some(4));
}
