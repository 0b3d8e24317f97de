//! An agent over ACP that nobody has measured, as a user of the program meets it.

use crate::bench::Bench;
use crate::stored::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

/// An agent that has said all this before it is asked, and goes when its input ends: the driver takes each answer as it
/// asks for it.
fn agent(bench: &Bench, messages: &[&str]) -> String {
    let path = bench.path("bin/fake-acp");
    let lines =
        messages.iter().map(|message| format!("echo '{{\"jsonrpc\":\"2.0\",{message}}}'\n"));
    let script = format!("#!/bin/sh\n{}/bin/cat >/dev/null\n", lines.collect::<String>());
    fs::write(path.with_extension("text"), script).unwrap();
    // Not written under its own name: another thread may be starting a process.
    fs::copy(path.with_extension("text"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("acp:{}", path.display())
}

const HELLO: &str = r#""id":1,"result":{"protocolVersion":1}"#;
const SESSION: &str = r#""id":2,"result":{"sessionId":"s1"}"#;
const END: &str = r#""id":3,"result":{"stopReason":"end_turn"}"#;

fn says(words: &str) -> String {
    let content = format!(r#"{{"type":"text","text":"{words}"}}"#);
    let update = format!(r#"{{"sessionUpdate":"agent_message_chunk","content":{content}}}"#);
    format!(r#""method":"session/update","params":{{"sessionId":"s1","update":{update}}}"#)
}

#[test]
fn an_answer_in_doubt_says_so_in_the_result_and_on_standard_error() {
    let bench = Bench::new();
    let words = says("Error: no such file");
    let refused =
        r#""id":"t1","method":"terminal/create","params":{"sessionId":"s1","command":"make"}"#;
    let agent = agent(&bench, &[HELLO, SESSION, refused, &words, END]);
    let output = bench.belay(&["run", "-a", &agent, "--format", "json", "hi"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes = result["warnings"].as_array().unwrap();
    let codes: Vec<_> = codes.iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["refused_request", "maybe_failed"]);
    assert!(
        stderr.contains("may be a failure") && stderr.contains("`terminal/create`"),
        "{stderr}"
    );
}

#[test]
fn a_failure_that_is_told_as_an_answer_has_its_kind_and_its_exit_code() {
    let bench = Bench::new();
    let words = says("HTTP 401: Incorrect API key provided");
    let first = agent(&bench, &[HELLO, SESSION, &words, END]);
    let output = bench.belay(&["run", "-a", &first, "--format", "json", "hi"]).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["failure"]["kind"], "auth", "{result:#}");
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn another_version_of_the_protocol_is_told_before_anything_is_asked() {
    let bench = Bench::new();
    let agent = agent(&bench, &[r#""id":1,"result":{"protocolVersion":2}"#]);
    let output = bench.belay(&["run", "-a", &agent, "--format", "json", "hi"]).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["failure"]["kind"], "version_unsupported", "{result:#}");
}

#[test]
fn doctor_asks_an_agent_behind_a_command_what_it_is() {
    let bench = Bench::new();
    let hello =
        r#""id":1,"result":{"protocolVersion":1,"agentInfo":{"name":"fake","version":"7"}}"#;
    let modes = r#"{"currentModeId":"ask","availableModes":[{"id":"ask","name":"A"}]}"#;
    let session = format!(r#""id":2,"result":{{"sessionId":"s1","modes":{modes}}}"#);
    let agent = agent(&bench, &[hello, &session]);
    let output = bench.belay(&["doctor", &agent]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in ["fake 7, version 1 of the protocol", "it opens a session", "chain = [\"acp:"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let missing = bench.belay(&["doctor", "acp:no-such-agent --acp"]).output().unwrap();
    let shown = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(shown.contains("no-such-agent") && !shown.contains("interactive"), "{shown}");
    assert_eq!(missing.status.code(), Some(69));
}

#[test]
fn an_agent_of_ones_own_has_a_name_modes_and_figures() {
    let bench = Bench::new();
    let modes = r#"{"currentModeId":"ask","availableModes":[{"id":"ask","name":"A"},{"id":"x7","name":"B"}]}"#;
    let session = format!(r#""id":2,"result":{{"sessionId":"session-1234","modes":{modes}}}"#);
    let set = r#""id":3,"result":{}"#;
    let end = r#""id":4,"result":{"stopReason":"end_turn"}"#;
    let words = says("Done.").replace("s1", "session-1234");
    let agent = agent(&bench, &[HELLO, &session, set, &words, end]);
    let command = agent.strip_prefix("acp:").unwrap();
    let folder = bench.path("home/.config/belay");
    fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "[agents.mine]\nacp = '{command}'\n[agents.mine.speaks]\nmodes = {{ edit = 'x7' }}\n\
         session_log = {{ path = '~/.mine/log/*/{{session}}.jsonl', input = '/in', output = '/out', model = '/m' }}\n"
    );
    fs::write(folder.join("config.toml"), config).unwrap();
    let log = bench.path("home/.mine/log/today");
    fs::create_dir_all(&log).unwrap();
    let lines = "{\"in\": 100, \"out\": 7, \"m\": \"gpt-5.5\"}\n{\"in\": 20, \"out\": 3, \"m\": \"gpt-5.5\"}\n";
    fs::write(log.join("session-1234.jsonl"), lines).unwrap();
    let run = |permit: &str| {
        bench
            .belay(&["run", "-a", "mine", "--permit", permit, "--format", "json", "hi"])
            .output()
            .unwrap()
    };
    let output = run("edit");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["result"], "Done.", "{result:#}");
    assert_eq!(
        (&result["usage"]["input_tokens"], &result["usage"]["output_tokens"]),
        (&120.into(), &10.into()),
        "{result:#}"
    );
    let output = run("read-only");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = bench.belay(&["runs", "--json", "--agent", "mine"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&runs.stdout).lines().count(), 1);
}

/// An agent that has a command started by belay, which leaves something in a session of its own, and waits for it.
fn agent_with_a_terminal(bench: &Bench) -> String {
    let command =
        "/usr/bin/setsid /bin/sleep 600 & echo $! > pids; echo $$ >> pids; exec /bin/sleep 601";
    let create = format!(
        r#""id":"t1","method":"terminal/create","params":{{"sessionId":"s1","command":"{command}"}}"#
    );
    agent(bench, &[HELLO, SESSION, &create])
}

#[test]
fn what_runs_in_a_terminal_ends_with_belay_however_that_ends() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let bench = Bench::new();
        let agent = agent_with_a_terminal(&bench);
        let mut belay = bench.belay(&["run", "-a", &agent, "--permit", "full", "hi"]);
        let mut belay = belay.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pids = || fs::read_to_string(bench.project().join("pids")).unwrap_or_default();
        wait_for("the command runs", || pids().lines().count() == 2);
        let pids: Vec<String> = pids().lines().map(str::to_owned).collect();
        kill_process(Pid::from_child(&belay), signal).unwrap();
        belay.wait().unwrap();
        wait_for("all of it is gone", || pids.iter().all(|pid| !is_running(pid)));
    }
}

/// True while a process runs; one that nobody has reaped yet does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
