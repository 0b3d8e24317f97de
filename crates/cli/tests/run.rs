//! `belay run` with a fake agent: prompts, formats, exit codes, signals.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::{Exit, FakeAgent, LogLine, Pace, Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn recorded(name: &str) -> Play {
    let recording = recordings::one("claude-code", name);
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(recording.stdout_path()) }
}

/// A bench with a Claude that plays a recording and notes what it is told.
fn claude(name: &str) -> (Bench, FakeAgent) {
    let bench = Bench::new();
    let log = Some(bench.path("agent.log"));
    let agent = bench.agent("claude", &Play { log, ..recorded(name) });
    (bench, agent)
}

/// Standard error without what differs from run to run.
fn steady(shown: &str) -> String {
    let lines = shown.lines().filter(|line| !line.starts_with("trace: "));
    let lines = lines.map(|line| match line.strip_prefix("to go on: belay resume ") {
        Some(rest) => format!("to go on: belay resume RUN{}\n", &rest[8..]),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn the_answer_goes_to_standard_output_and_the_log_to_standard_error() {
    let (bench, _) = claude("b-shell");
    assert_snapshot!(steady(&bench.shown(&["run", "look around"])), @r#"
    exit 0
    --- stdout
    The command printed hello-from-shell.
    --- stderr
    [system] session f02836fc-b63c-427e-a1f7-63fa3474878b · claude-sonnet-4-5-20250929 · claude-code 2.1.329 · permissions bypassPermissions
      10.5K tokens in context
    [assistant:sonnet:claude-code]
      I will run a command.
      [tool_use] Bash {"command":"echo hello-from-shell; echo to-stderr >&2","description":"run a command"}
        [tool_result] hello-from-shell
          to-stderr
      10.8K tokens in context
    [assistant:sonnet:claude-code]
      The command printed hello-from-shell.
      █░░░░░░░░░░░░░░░░░░░ 5.4% of context, 10.8K of 200.0K
    [result] turns=2 time=208ms tokens=1.4K in + 85 out + 20.0K cached cost=$0.0130
    to go on: belay resume RUN "…"
    "#);
}

#[test]
fn quiet_prints_the_answer_alone() {
    let (bench, _) = claude("b-shell");
    assert_snapshot!(bench.shown(&["run", "--format", "quiet", "look"]), @r#"
    exit 0
    --- stdout
    The command printed hello-from-shell.
    --- stderr
    "#);
}

#[test]
fn json_is_one_object_and_jsonl_one_a_line() {
    let (bench, _) = claude("b-shell");
    let lines = |format| -> Vec<serde_json::Value> {
        let output = bench.belay(&["run", "--format", format, "look"]).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let json = lines("json");
    assert_eq!((json.len(), json[0]["type"].as_str()), (1, Some("result")));
    assert_eq!(json[0]["usage"]["total_cost_usd"], 0.012975);
    let jsonl = lines("jsonl");
    assert_eq!(jsonl.iter().filter(|event| event["type"] == "result").count(), 1);
    assert_eq!(jsonl.last().unwrap()["type"], "result");
    assert!(jsonl.iter().enumerate().all(|(n, event)| event["seq"] == n));
}

#[test]
fn a_failed_run_says_why_and_exits_with_its_kinds_code() {
    let bench = Bench::new();
    bench.agent("claude", &Play { exit: Exit::Code(1), ..recorded("h-401") });
    assert_snapshot!(bench.shown(&["run", "--format", "quiet", "hi"]), @r#"
    exit 78
    --- stdout
    --- stderr
    error: claude-code: Invalid API key · Fix external API key
    "#);
    bench.agent("claude", &Play { exit: Exit::Code(1), ..recorded("g-429-forever") });
    assert_snapshot!(bench.shown(&["run", "--format", "quiet", "hi"]), @r#"
    exit 75
    --- stdout
    --- stderr
    error: claude-code: API Error: Request rejected (429) · This request would exceed your organization's rate limit of 50,000 input tokens per minute. For details, refer to: https://docs.claude.com/en/api/rate-limits.
    "#);
    bench.agent("claude", &Play { exit: Exit::Code(1), ..recorded("m-maxturns") });
    assert_snapshot!(bench.shown(&["run", "--format", "quiet", "--max-turns", "1", "hi"]), @r#"
    exit 6
    --- stdout
    Step one.
    --- stderr
    error: claude-code: Reached maximum number of turns (1)
    "#);
}

/// The prompt as the agent got it.
fn prompt_of(agent: &FakeAgent) -> String {
    let log = agent.log();
    let message: serde_json::Value = serde_json::from_str(log.stdin()[0]).unwrap();
    message["message"]["content"].as_str().unwrap().to_owned()
}

fn piped_if(stdin: &str) -> Stdio {
    if stdin.is_empty() { Stdio::null() } else { Stdio::piped() }
}

#[test]
fn a_full_disk_behind_standard_error_costs_nothing_and_one_behind_the_answer_is_said() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for format in ["text", "json", "jsonl", "quiet"] {
        let (bench, _) = claude("b-shell");
        let args = ["run", "--permit", "full", "--format", format, "look"];
        let output = bench.belay(&args).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert!(!output.stdout.is_empty());
        let output = bench.belay(&args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("cannot write to standard output"), "{format}: {words}");
    }
    let demo = Bench::new().belay(&["demo"]).stdout(full()).stderr(full()).output().unwrap();
    assert_eq!(demo.status.code(), Some(1));
}

#[test]
fn a_prompt_reaches_the_agent_by_its_input_and_never_by_its_arguments() {
    for (args, stdin, want) in [
        (vec!["run", "plain"], "", "plain"),
        (vec!["run", "--", "-x --version"], "", "-x --version"),
        (vec!["run", "--", "--help"], "", "--help"),
        (vec!["run", "-f", "task.md"], "", "from\na file\n"),
        (vec!["run", "-"], "from a pipe", "from a pipe"),
        (vec!["run", "-f", "-"], "from a pipe", "from a pipe"),
        (vec!["run"], "from a pipe", "from a pipe"),
        (vec!["run", "naïve 日本 $(id) `id` 'q'"], "", "naïve 日本 $(id) `id` 'q'"),
    ] {
        let (bench, agent) = claude("a-text");
        fs::write(bench.project().join("task.md"), "from\na file\n").unwrap();
        let mut child =
            bench.belay(&args).stdin(piped_if(stdin)).stderr(Stdio::null()).spawn().unwrap();
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes()).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
        assert_eq!(prompt_of(&agent), want);
        assert!(!agent.log().argv().iter().any(|arg| arg.contains(want.trim())), "{args:?}");
    }
}

#[test]
fn a_folder_whose_name_is_no_text_is_a_folder_all_the_same() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    // Not the fake agent: it notes its folder as text.
    let bench = Bench::new();
    let (agent, stream) = (bench.path("bin/claude"), recordings::one("claude-code", "a-text"));
    let script = format!("#!/bin/sh\nread prompt\n/bin/cat {}\n", stream.stdout_path().display());
    fs::write(&agent, script).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = bench.path(std::ffi::OsStr::from_bytes(b"no\xfftext"));
    fs::create_dir(&folder).unwrap();
    let output =
        bench.belay(&["run", "--format", "quiet", "hi"]).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
}

#[test]
fn a_prompt_of_a_megabyte_arrives_whole() {
    let (bench, agent) = claude("a-text");
    let prompt = "long ".repeat(200_000);
    fs::write(bench.project().join("task.md"), &prompt).unwrap();
    let output = bench.belay(&["run", "-f", "task.md"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(prompt_of(&agent), prompt);
}

#[test]
fn what_stands_after_two_dashes_goes_to_the_agent() {
    let (bench, agent) = claude("a-text");
    bench.belay(&["run", "hi", "--", "--add-dir", "/x"]).output().unwrap();
    let argv = agent.log().argv().to_vec();
    assert_eq!(argv[argv.len() - 2..], ["--add-dir", "/x"]);
}

#[test]
fn a_dry_run_prints_both_commands_and_starts_nothing() {
    let bench = Bench::new();
    assert_snapshot!(bench.shown(&["run", "--dry-run", "--model", "opus", "--permit", "edit", "it's"]), @r#"
    exit 0
    --- stdout
    # dialogue transport; the prompt goes in by standard input
    DISABLE_AUTOUPDATER=1 claude --print --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=stdio --model=opus --permission-mode=acceptEdits
    # the same as one shot
    printf %s 'it'\''s' | claude --print --output-format=stream-json --verbose --include-partial-messages --model=opus --permission-mode=acceptEdits
    --- stderr
    "#);
    assert_snapshot!(bench.shown(&["run", "--dry-run", "-a", "codex:gpt-5.5", "--effort", "high", "it's"]), @r#"
    exit 0
    --- stdout
    # dialogue transport; the prompt goes in by standard input
    codex app-server
    # the same as one shot
    printf %s 'it'\''s' | codex exec --json --skip-git-repo-check --model=gpt-5.5 --config=model_reasoning_summary=auto --config=model_reasoning_effort=high -
    --- stderr
    "#);
}

#[test]
fn ctrl_c_asks_the_agent_first_and_keeps_what_was_reached() {
    let recording = recordings::one("claude-code", "int-int1");
    let text = String::from_utf8(recording.stdout).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (before, after) = lines.split_at(3);
    let until = Until::StdinLine("interrupt".into());
    let pauses = vec![Pause { after_line: 3, until, then: after.to_vec(), resume: false }];
    let bench = Bench::new();
    let play = Play { wait_for_stdin: WaitForStdin::Line, pauses, ..Play::lines(before.to_vec()) };
    bench.agent("claude", &play);

    let mut child = bench
        .belay(&["run", "--format", "jsonl", "sleep"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut types = Vec::new();
    let mut last = serde_json::Value::Null;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = serde_json::from_str(&line.unwrap()).unwrap();
        let kind = last["type"].as_str().unwrap().to_owned();
        if kind == "tool_call" {
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, Signal::INT).unwrap();
        }
        types.push(kind);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(types.iter().filter(|kind| *kind == "interrupted").count(), 1);
    assert_eq!(last["result"], "Sleeping.");
    assert_eq!(last["failure"]["kind"], "interrupted");
    assert_eq!(last["usage"]["total_cost_usd"], 0.0087);
}

#[test]
fn a_run_whose_time_is_up_says_so_and_exits_with_3() {
    let bench = Bench::new();
    let lines = recordings::one("claude-code", "int-int1").stdout;
    let lines: Vec<String> = String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect();
    let (before, after) = lines.split_at(3);
    let until = Until::StdinLine("interrupt".into());
    let pauses = vec![Pause { after_line: 3, until, then: after.to_vec(), resume: false }];
    let play = Play { wait_for_stdin: WaitForStdin::Line, pauses, ..Play::lines(before.to_vec()) };
    bench.agent("claude", &play);
    let shown = bench.shown(&["run", "--format", "quiet", "--timeout", "2s", "sleep"]);
    assert_snapshot!(shown, @r#"
    exit 3
    --- stdout
    Sleeping.
    --- stderr
    error: claude-code: stopped after 2s (timeout)
    "#);
}

#[test]
fn a_signal_that_was_switched_off_by_whoever_started_us_stays_off() {
    let bench = Bench::new();
    let lines = recordings::one("claude-code", "a-text").stdout;
    let lines: Vec<String> = String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect();
    let slow =
        Play { wait_for_stdin: WaitForStdin::Line, pace: Pace::FixedMs(100), ..Play::lines(lines) };
    bench.agent("claude", &slow);
    // What nohup does; and a shell does it with the SIGINT of what it starts in the background.
    let run = bench.belay(&["run", "--format", "jsonl", "p"]);
    let mut child = std::process::Command::new("/bin/sh");
    child
        .args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args());
    child.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = child.current_dir(bench.project()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = child.stderr(Stdio::null()).spawn().unwrap();
    let mut last = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        if last.contains("session_started") {
            let pid = Pid::from_child(&child);
            kill_process(pid, Signal::HUP).unwrap();
            kill_process(pid, Signal::INT).unwrap();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{last}");
}

#[test]
fn a_reader_who_stops_reading_slows_neither_the_agent_nor_a_ctrl_c() {
    let recording = recordings::one("claude-code", "b-shell");
    let text = String::from_utf8(recording.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // Far more than a pipe holds.
    let middle = (0..500).flat_map(|n| {
        let again = |line: &&str| line.replace("msg_01", &format!("msg_{n}_"));
        lines[1..lines.len() - 1].iter().map(again).collect::<Vec<_>>()
    });
    let ends = [lines[0], lines[lines.len() - 1]].map(str::to_owned);
    let [first, last] = ends;
    let bench = Bench::new();
    let log = Some(bench.path("agent.log"));
    let all = std::iter::once(first).chain(middle).chain([last]);
    let play = Play { wait_for_stdin: WaitForStdin::Line, log, ..Play::lines(all) };
    let agent = bench.agent("claude", &play);

    let mut command = bench.belay(&["run", "--format", "jsonl", "go"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let played = |line: &LogLine| matches!(line, LogLine::Played);
    while !bench.path("agent.log").exists() || !agent.log().lines.iter().any(played) {
        assert!(Instant::now() < deadline, "the agent waits for the reader");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "nobody listens to Ctrl-C");
        kill_process(pid, Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_run_leaves_a_journal_and_a_trace_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (bench, _) = claude("b-shell");
    let output =
        bench.belay(&["run", "--trace-id", "mine", "--phase", "one", "look"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
    let trace = bench.project().join(".belay/traces/mine.json");
    let tree = belay_trace::read_file(&trace).unwrap();
    let names: Vec<_> = tree.children.iter().map(|node| node.agent_name.as_str()).collect();
    assert_eq!(names, ["→ one", "one"]);
    assert_eq!((tree.children[1].cost_usd, tree.children[1].children.len()), (0.012975, 1));

    let runs = bench.path("home/.local/state/belay/runs");
    let run = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&trace), mode(&run), mode(&run.join("events.jsonl"))), (0o600, 0o700, 0o600));
}
