//! The fake agent, started as a runner starts the real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use belay_testkit::fake_agent::{
    Exit, FakeAgent, Garbage, Grandchild, LogLine, Pace, Pause, Play, Signal, Until, WaitForStdin,
};
use belay_testkit::recordings::{self, Direction};
use rustix::process::{Pid, Signal as Native, getsid, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Placed {
    agent: FakeAgent,
    dir: TempDir,
}

fn place(play: &Play) -> Placed {
    let dir = TempDir::new().unwrap();
    Placed { agent: FakeAgent::new(dir.path(), "claude", play).unwrap(), dir }
}

impl Placed {
    fn spawn(&self) -> Child {
        let mut command = Command::new(self.agent.program());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs it to its end with an empty stdin.
    fn run(&self) -> Output {
        Command::new(self.agent.program()).stdin(Stdio::null()).output().unwrap()
    }
}

fn signal(child: &Child, signal: Native) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn every_recording_plays_byte_for_byte() {
    for recording in ["claude-code", "codex"].into_iter().flat_map(recordings::all) {
        let output = place(&Play::file(recording.stdout_path())).run();
        assert_eq!(output.stdout, recording.stdout, "{}", recording.dir.display());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_stream_is_cut_at_the_byte_and_the_exit_code_is_a_lie() {
    let recording = recordings::one("codex", "b-shell");
    let play = Play::file(recording.stdout_path()).exit(Exit::Code(7));
    let output = place(&Play { cut_at: Some(150), ..play }).run();
    assert_eq!(output.stdout, recording.stdout[..150]);
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn it_dies_of_a_signal() {
    for (signal, number) in [(Signal::Kill, 9), (Signal::Segv, 11), (Signal::Term, 15)] {
        // Even of one that it ignores.
        let play = Play { ignore: vec![Signal::Term], ..Play::default() };
        let output = place(&play.exit(Exit::Signal(signal))).run();
        assert_eq!(output.status.signal(), Some(number));
    }
}

#[test]
fn garbage_stands_between_the_lines() {
    let garbage = vec![
        Garbage { after_line: 0, bytes: b"warning\n".to_vec() },
        Garbage { after_line: 1, bytes: vec![0xff, b'\n'] },
        Garbage { after_line: 2, bytes: b"bye".to_vec() },
    ];
    let output = place(&Play { garbage, ..Play::lines(["a", "b"]) }).run();
    assert_eq!(output.stdout, b"warning\na\n\xff\nb\nbye");
}

#[test]
fn stderr_is_flooded_before_the_stream() {
    let output = place(&Play { stderr_flood: 200_001, ..Play::lines(["a"]) }).run();
    assert_eq!(output.stderr.len(), 200_001);
    assert_eq!(output.stdout, b"a\n");
}

#[test]
fn a_flood_blocks_it_until_somebody_reads_stderr() {
    let placed = place(&Play { stderr_flood: 200_000, ..Play::lines(["a"]) });
    let mut child = placed.spawn();
    let mut stderr = child.stderr.take().unwrap();
    let mut first = [0];
    stderr.read_exact(&mut first).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"a\n");
}

#[test]
fn lines_come_at_their_pace() {
    let fixed = Play { pace: Pace::FixedMs(60), ..Play::lines(["a", "b", "c"]) };
    let recorded =
        Play { pace: Pace::RecordedMs(vec![500.0, 560.5, 620.0]), ..Play::lines(["a", "b", "c"]) };
    for play in [fixed, recorded] {
        let before = Instant::now();
        let output = place(&play).run();
        assert_eq!(output.stdout, b"a\nb\nc\n");
        assert!(before.elapsed() >= Duration::from_millis(120));
    }
}

#[test]
fn it_logs_what_it_was_given() {
    let placed = place(&Play { wait_for_stdin: WaitForStdin::Eof, ..Play::lines(["a"]) });
    let mut child = Command::new(placed.agent.program())
        .args(["-p", "go on"])
        .env_clear()
        .env("HOME", "/nowhere")
        .current_dir(placed.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"first\nsecond").unwrap();
    child.wait_with_output().unwrap();

    let log = placed.agent.log();
    assert_eq!(log.argv(), ["-p", "go on"]);
    assert_eq!(log.env().into_iter().collect::<Vec<_>>(), [("HOME".into(), "/nowhere".into())]);
    assert_eq!(log.cwd().unwrap(), placed.dir.path().canonicalize().unwrap());
    assert_eq!(log.stdin(), ["first", "second"]);
    assert!(log.stdin_ended());
    assert_eq!(log.lines.last(), Some(&LogLine::Played));
    assert_eq!(log.starts(), 1);
}

#[test]
fn it_waits_for_a_line_before_it_plays() {
    let placed = place(&Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(["a"]) });
    let mut child = placed.spawn();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    // Stdin stays open: the line is enough.
    assert_eq!(child.wait_with_output().unwrap().stdout, b"a\n");
    drop(stdin);
}

#[test]
fn a_pause_ends_with_a_signal_and_has_its_own_last_words() {
    let pause = Pause {
        after_line: 1,
        until: Until::Signal(Signal::Int),
        then: vec!["interrupted".into()],
        resume: false,
    };
    let placed = place(&Play { pauses: vec![pause], ..Play::lines(["a", "b"]) });
    let mut child = placed.spawn();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.next().unwrap().unwrap(), "a");
    signal(&child, Native::INT);
    assert_eq!(stdout.next().unwrap().unwrap(), "interrupted");
    assert!(stdout.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_pause_ends_with_a_line_on_stdin_and_the_rest_follows() {
    let pause = Pause {
        after_line: 1,
        until: Until::StdinLine("interrupt".into()),
        then: vec!["heard".into()],
        resume: true,
    };
    let placed = place(&Play { pauses: vec![pause], ..Play::lines(["a", "b"]) });
    let mut child = placed.spawn();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"something else\n{\"subtype\":\"interrupt\"}\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"a\nheard\nb\n");
}

#[test]
fn a_recorded_turn_waits_for_each_line_of_its_client() {
    let pause = |after_line, marker: &str| Pause {
        after_line,
        until: Until::StdinLine(marker.into()),
        then: Vec::new(),
        resume: true,
    };
    let pauses = vec![pause(0, "user"), pause(1, "control_response")];
    let placed = place(&Play { pauses, ..Play::lines(["may I?", "done"]) });
    let mut child = placed.spawn();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    writeln!(stdin, r#"{{"type":"user"}}"#).unwrap();
    assert_eq!(stdout.next().unwrap().unwrap(), "may I?");
    writeln!(stdin, r#"{{"type":"control_response"}}"#).unwrap();
    assert_eq!(stdout.next().unwrap().unwrap(), "done");
    assert!(stdout.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn ignored_signals_do_not_end_it_and_others_do() {
    // Not SIGHUP as the one that ends it: whoever runs the tests under nohup has switched that off for us.
    let ignore = vec![Signal::Int, Signal::Hup];
    let placed = place(&Play { ignore, linger_ms: 60_000, ..Play::lines(["a"]) });
    let mut child = placed.spawn();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    signal(&child, Native::INT);
    signal(&child, Native::HUP);
    // Signals that wait together are delivered in any order: they get time to do nothing.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(child.try_wait().unwrap(), None);
    signal(&child, Native::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_grandchild_outlives_it_in_a_session_of_its_own_and_holds_stdout() {
    let grandchild = Grandchild { setsid: true, holds_stdout: true, seconds: 60 };
    let placed = place(&Play { grandchild: Some(grandchild), ..Play::lines(["a"]) });
    let mut child = placed.spawn();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let raw = placed.agent.log().grandchild().unwrap();
    let pid = Pid::from_raw(raw.try_into().unwrap()).unwrap();
    assert_eq!(getsid(Some(pid)).unwrap(), pid);

    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "a\n");
    kill_process(pid, Native::KILL).unwrap();
    // Only now does stdout end.
    assert_eq!(stdout.read_line(&mut line).unwrap(), 0);
}

#[test]
fn a_grandchild_that_holds_nothing_lets_stdout_end() {
    let grandchild = Grandchild { setsid: false, holds_stdout: false, seconds: 60 };
    let placed = place(&Play { grandchild: Some(grandchild), ..Play::lines(["a"]) });
    assert_eq!(placed.run().stdout, b"a\n");
    let raw = placed.agent.log().grandchild().unwrap();
    let pid = Pid::from_raw(raw.try_into().unwrap()).unwrap();
    test_kill_process(pid).unwrap();
    kill_process(pid, Native::KILL).unwrap();
}

#[test]
fn a_dialogue_waits_for_each_request_and_answers_with_its_id() {
    let recording = recordings::one("codex", "t-appserver");
    let mut child = place_dialogue(&recording.dialogue_path());
    let mut stdin = child.1.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.1.stdout.take().unwrap()).lines();
    for line in recording.dialogue.unwrap() {
        match line.dir {
            Direction::ToAgent => writeln!(stdin, "{}", shifted(line.msg, "method")).unwrap(),
            Direction::FromAgent => {
                let said: Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
                let is_response = line.msg.get("method").is_none();
                let want = if is_response { shifted(line.msg, "result") } else { line.msg };
                assert_eq!(said, want);
            }
        }
    }
    assert!(stdout.next().is_none());
    assert_eq!(child.1.wait().unwrap().code(), Some(0));
}

/// Our client counts its requests with strings from 100 on; whatever has this key gets such an id.
fn shifted(mut message: Value, key: &str) -> Value {
    let recorded = message.get("id").and_then(Value::as_u64);
    if let Some(id) = recorded.filter(|_| message.get(key).is_some()) {
        message["id"] = json!(format!("req-{}", id + 100));
    }
    message
}

fn place_dialogue(path: &Path) -> (Placed, Child) {
    let placed = place(&Play::dialogue(path));
    let child = placed.spawn();
    (placed, child)
}

#[test]
fn a_dialogue_ends_when_the_client_leaves_it() {
    let path = recordings::one("codex", "t-appserver").dialogue_path();
    let (_placed, mut child) = place_dialogue(&path);
    let mut stdin = child.stdin.take().unwrap();
    // A notification nobody waits for is passed over.
    stdin.write_all(b"{\"method\":\"hello\"}\n{\"id\":1,\"method\":\"turn/start\"}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(97));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "fake-agent: expected initialize, got turn/start\n"
    );
}

#[test]
fn a_dialogue_ends_quietly_when_stdin_ends() {
    let path = recordings::one("codex", "t-appserver").dialogue_path();
    let output = place(&Play::dialogue(path)).run();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[test]
fn a_missing_play_is_said_on_stderr() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("codex");
    std::fs::hard_link(belay_testkit::fake_agent::fake_agent_binary().unwrap(), &program)
        .or_else(|_| {
            std::os::unix::fs::symlink(
                belay_testkit::fake_agent::fake_agent_binary().unwrap(),
                &program,
            )
        })
        .unwrap();
    let output = Command::new(&program).output().unwrap();
    assert_eq!(output.status.code(), Some(98));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("fake-agent: cannot read play "), "{stderr}");
}

#[test]
fn it_is_found_through_path() {
    let placed = place(&Play::lines(["found"]));
    let output = Command::new("claude")
        .env("PATH", placed.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"found\n");
}
