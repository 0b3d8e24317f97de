//! What is left of a run when belay is killed, when the disk is full, and when many run at once.

use crate::bench::Bench;
use belay_testkit::fake_agent::{Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use belay_trace::{NodeType, RunState, Store};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a Claude says that calls a tool so many times, and answers.
fn stream(calls: usize) -> Vec<String> {
    let recorded = recordings::one("claude-code", "b-shell").stdout;
    let recorded = String::from_utf8(recorded).unwrap();
    let lines: Vec<&str> = recorded.lines().collect();
    let (middle, end) = lines[1..].split_at(lines.len() - 2);
    let calls = (0..calls).flat_map(|n| {
        // The same result again and again would stop the run.
        let again = |line: &&str| {
            line.replace("msg_01", &format!("msg_{n}_"))
                .replace("hello-from-shell", &format!("hello-{n}"))
        };
        middle.iter().map(again).collect::<Vec<_>>()
    });
    let head = std::iter::once(lines[0].to_owned());
    head.chain(calls).chain(end.iter().map(|&line| line.to_owned())).collect()
}

fn busy_claude(calls: usize) -> Bench {
    let bench = Bench::new();
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(stream(calls)) };
    bench.agent("claude", &play);
    bench
}

/// A bench with a Claude that does the same, and never says how it ended.
fn endless_claude(calls: usize) -> Bench {
    let (bench, lines) = (Bench::new(), stream(calls));
    let never = Until::File(bench.path("never"));
    let pause = Pause { after_line: lines.len() - 1, until: never, then: Vec::new(), resume: true };
    let (wait_for_stdin, pauses) = (WaitForStdin::Line, vec![pause]);
    bench.agent("claude", &Play { wait_for_stdin, pauses, ..Play::lines(lines) });
    bench
}

fn store(bench: &Bench) -> Store {
    Store::new(bench.path("home/.local/state/belay"))
}

#[test]
fn what_was_shown_is_in_the_journal_when_belay_is_killed_at_any_moment() {
    let bench = endless_claude(500);
    // From the first event into the thick of it, in steps of no regularity.
    for n in 0..20_usize {
        let lines_before = (n * n * 17) % 700;
        let mut command = bench.belay(&["run", "--format", "jsonl", "--no-trace", "go"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut shown = Vec::new();
        for _ in 0..=lines_before {
            stdout.read_until(b'\n', &mut shown).unwrap();
        }
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        stdout.read_to_end(&mut shown).unwrap();
        child.wait().unwrap();

        let run = store(&bench).runs().unwrap().remove(0);
        let stored = fs::read(run.folder().join("events.jsonl")).unwrap();
        let whole = shown.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        assert!(stored.starts_with(&shown[..whole]), "killed after line {lines_before}");
        let summary = run.summary().unwrap();
        assert_eq!(summary.state, RunState::Crashed, "killed after line {lines_before}");
        assert_eq!((summary.integrity.missing, summary.integrity.unreadable), (0, 0));
        assert_eq!(run.records().unwrap().count() as u64, summary.integrity.records);
    }
}

#[test]
fn sixty_four_runs_at_once_share_their_folders_and_a_trace_and_lose_nothing() {
    let bench = busy_claude(3);
    let start = |n: usize| {
        let phase = format!("phase-{n}");
        let args = ["run", "--format", "quiet", "--trace-id", "hive", "--phase", &phase, "go"];
        bench.belay(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..64).map(start).collect();
    let mut late = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"The command printed hello-from-shell.\n");
        // They take turns at the common trace, and a run waits two seconds at most for those who watch it.
        // That they share a folder is said, and meant.
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines = stderr.lines().filter(|line| !line.contains("may edit the same files"));
        let stderr: String = lines.map(|line| format!("{line}\n")).collect();
        late += usize::from(stderr == "warning: trace: still busy after 2 s\n");
        assert!(stderr.is_empty() || stderr.contains("still busy"), "{stderr}");
    }
    let runs = store(&bench).runs().unwrap();
    assert_eq!(runs.len(), 64);
    for run in runs {
        let summary = run.summary().unwrap();
        assert!(summary.state == RunState::Answered && summary.integrity.is_whole());
        assert!(run.records().unwrap().all(|record| record.run == run.id()));
    }
    let tree = belay_trace::read_file(&bench.project().join(".belay/traces/hive.json")).unwrap();
    let phases = tree.children.iter().filter(|node| node.node_type == NodeType::Phase);
    let mut names: Vec<_> = phases.map(|node| node.agent_name.clone()).collect();
    names.sort();
    names.dedup();
    assert!(names.len() + late >= 64, "what the trace lacks was said: {} and {late}", names.len());
}

/// belay under a shell command that prepares its process.
fn after(bench: &Bench, prepare: &str, args: &[&str]) -> Command {
    let plain = bench.belay(args);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{prepare}; exec \"$0\" \"$@\"")]).arg(plain.get_program());
    command.args(plain.get_args()).current_dir(bench.project()).stdin(Stdio::null());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn a_limit_on_file_sizes_costs_the_journal_and_neither_the_answer_nor_the_exit_code() {
    for format in ["text", "jsonl", "json", "quiet"] {
        let bench = busy_claude(500);
        // Blocks of 512 bytes (of 1024 in some shells): a part of the inputs fits.
        let args = ["run", "--format", format, "--no-trace", "go"];
        let output = after(&bench, "ulimit -f 400", &args).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{format}: {stderr}");
        assert!(stdout.contains("The command printed hello-from-shell."), "{format}: {stdout}");
        let said = stderr.matches("the journal cannot be written any more").count();
        assert_eq!(said, 1, "{format}: {stderr}");
        if format == "jsonl" {
            assert_eq!(stdout.matches(r#""type":"log_degraded""#).count(), 1);
            assert!(stdout.lines().last().unwrap().contains(r#""type":"result""#));
        }
        let summary = store(&bench).find("latest").unwrap().summary().unwrap();
        assert!(summary.integrity.records > 10 && summary.integrity.missing > 0, "{format}");
        let found = (summary.state, summary.integrity.unreadable, summary.integrity.partial_bytes);
        assert_eq!(found, (RunState::Answered, 0, 0), "{format}: the end has found room");
    }
}

#[test]
fn a_journal_that_cannot_be_begun_costs_nothing_and_comes_with_a_hint() {
    let bench = busy_claude(0);
    for format in ["text", "json"] {
        let args = ["run", "--format", format, "--no-trace", "go"];
        let output = after(&bench, "ulimit -f 0", &args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(stderr.contains("cannot write the journal"), "{format}: {stderr}");
        let hint = "hint: make room there, choose another folder with --state-dir, or run with --no-journal";
        assert_eq!(stderr.matches(hint).count(), 1, "{format}: {stderr}");
    }
}

#[test]
fn a_run_with_texts_and_lines_of_every_size_is_shown_and_replayed_as_it_was() {
    let recorded = recordings::one("claude-code", "b-shell").stdout;
    let recorded = String::from_utf8(recorded).unwrap();
    let long = recorded.replace(r"hello-from-shell\nto-stderr", &"long \u{e9}\\n".repeat(200_000));
    let bench = Bench::new();
    let stream = bench.path("stream");
    fs::write(&stream, "x".repeat(65 << 20) + "\n\u{feff}" + &long).unwrap();
    bench.agent("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(stream) });
    let output = bench.belay(&["run", "--format", "jsonl", "go"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.len() > 1_400_000 && shown.contains(r#""type":"oversized_line""#));

    let again = bench.belay(&["show", "--format", "jsonl"]).output().unwrap();
    assert!(again.stdout == shown.as_bytes());
    let replayed = bench.belay(&["replay"]).output().unwrap();
    assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stderr));
    let is_of_driver = |line: &&str| line.contains(r#""raw":"#) && !line.contains("oversized_line");
    let of_driver: Vec<&str> = shown.lines().filter(is_of_driver).collect();
    assert!(String::from_utf8(replayed.stdout).unwrap().lines().eq(of_driver));
}

/// All that belay has written.
fn written(bench: &Bench) -> Vec<PathBuf> {
    fn walk(path: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, all);
            }
            all.push(path);
        }
    }
    let mut all = Vec::new();
    walk(&bench.path("home"), &mut all);
    walk(&bench.project(), &mut all);
    all
}

#[test]
fn folders_and_files_are_private_whatever_the_umask() {
    for umask in ["0", "022", "277"] {
        let bench = busy_claude(1);
        let output = after(&bench, &format!("umask {umask}"), &["run", "go"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let all = written(&bench);
        assert!(all.len() > 8, "{all:?}");
        for path in all {
            let (data, want) = (fs::metadata(&path).unwrap(), [0o600, 0o700]);
            let mode = data.permissions().mode() & 0o777;
            assert_eq!(mode, want[usize::from(data.is_dir())], "{} {umask}", path.display());
        }
    }
}

#[test]
fn a_state_folder_that_anyone_can_write_to_is_refused_with_a_way_out() {
    let bench = busy_claude(1);
    let state = bench.project().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let output = bench.belay(&["run", "--state-dir", "state", "go"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("anyone can write to state (mode 777): chmod o-w it"), "{stderr}");
    assert!(stderr.contains("hint: choose another folder with --state-dir"), "{stderr}");
}
