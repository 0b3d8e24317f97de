//! What is on disk when a run is over, and what happens when the disk does not want it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{ANSWER, Seen, Stage, answer, finish, lines, play, run};
use belay_testkit::fake_agent::{Exit, Garbage, Play, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::journal::{Frames, InputKind};
use belaykit::trace::{Node, NodeType, Store, read_file};
use belaykit::{
    Client, Codex, Durability, Event, FailureKind, Record, RunRequest, TraceDir, limits,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The one run's folder below a state folder.
fn folder(state: &Path, seen: &Seen) -> PathBuf {
    state.join("runs").join(&seen.records[0].run)
}

fn records(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_journal_holds_the_records_and_every_input_in_private_files() {
    let stage = Stage::new("claude", &Play { stderr_flood: 160, ..answer() });
    let state = stage.path("a/state");
    let seen = run(&stage.claude().state_dir(&state), "p").await;
    let folder = folder(&state, &seen);
    assert_eq!(records(&folder.join("events.jsonl")), seen.records);
    for dir in [&state, &state.join("runs"), &folder] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600);
            path.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["events.jsonl", "input.1.log", "request.json"]);

    let log = std::fs::read(folder.join("input.1.log")).unwrap();
    let mut frames = Frames::new(&log);
    let all: Vec<_> = frames.by_ref().collect();
    assert_eq!(frames.rest(), b"");
    let of = |kind| all.iter().filter(move |frame| frame.kind == kind).map(|frame| frame.bytes);
    let stdout: Vec<_> = of(InputKind::Stdout).map(String::from_utf8_lossy).collect();
    assert_eq!(stdout, lines("claude-code", "a-text"));
    assert_eq!(of(InputKind::Stderr).collect::<Vec<_>>(), [[b'!'; 79], [b'!'; 79]]);
    assert_eq!((all[0].kind, all.last().unwrap().kind), (InputKind::Start, InputKind::Exit));
    assert_eq!(all.last().unwrap().bytes, b"code 0");
    assert!(all.iter().map(|frame| frame.at_us).is_sorted());

    // Each event points at the line that it came from.
    for record in &seen.records {
        if let (Event::Text(text), Some(raw)) = (&record.event, record.raw) {
            let (from, len) = (raw.offset as usize, raw.len as usize);
            let line = std::str::from_utf8(&log[from..from + len]).unwrap();
            assert!(line.starts_with('{') && line.ends_with('}') && line.contains(&text.text));
        }
    }
}

#[tokio::test]
async fn a_record_is_on_disk_before_anybody_sees_it() {
    let stage = Stage::new("claude", &play(&recordings::one("claude-code", "f-partial")));
    let state = stage.path("state");
    let events = state.join("runs");
    let missing = Arc::new(Mutex::new(0));
    let theirs = Arc::clone(&missing);
    let client = stage.claude().state_dir(&state).on_event(move |record: &Record| {
        let on_disk = records(&events.join(&record.run).join("events.jsonl"));
        *theirs.lock().unwrap() += usize::from(on_disk.get(record.seq as usize) != Some(record));
    });
    run(&client, "p").await.answer();
    assert_eq!(*missing.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_run_is_the_same_however_durable_it_is() {
    for durability in [Durability::Relaxed, Durability::Normal, Durability::Strict] {
        let stage = Stage::new("claude", &answer());
        let state = stage.path("state");
        let seen = run(&stage.claude().state_dir(&state).durability(durability), "p").await;
        assert_eq!(seen.answer(), ANSWER);
        assert_eq!(records(&folder(&state, &seen).join("events.jsonl")), seen.records);
    }
}

/// Claude prints what a tool returned, of this length, and answers.
fn long_output(len: usize) -> Play {
    let lines = lines("claude-code", "b-shell");
    let text = |line: String| line.replace(r"hello-from-shell\nto-stderr", &"x".repeat(len));
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(lines.into_iter().map(text)) }
}

#[tokio::test]
async fn a_long_text_stands_beside_the_events_and_everybody_gets_it_whole() {
    let stage = Stage::new("claude", &long_output(1 << 20));
    let state = stage.path("state");
    let seen = run(&stage.claude().state_dir(&state), "p").await;
    let output = |records: &[Record]| {
        let outputs = records.iter().filter_map(|record| match &record.event {
            Event::ToolResult(result) => Some(result.output.len()),
            _ => None,
        });
        outputs.collect::<Vec<_>>()
    };
    assert_eq!(output(&seen.records), [1 << 20]);
    let folder = folder(&state, &seen);
    let events = std::fs::read(folder.join("events.jsonl")).unwrap();
    assert!(events.len() < 100_000, "{}", events.len());
    let blobs: Vec<_> = std::fs::read_dir(folder.join("blobs")).unwrap().collect();
    assert_eq!(blobs.len(), 1);
    let blob = blobs[0].as_ref().unwrap().path();
    assert_eq!((mode(&folder.join("blobs")), mode(&blob)), (0o700, 0o600));

    let stored = Store::new(&state).find("latest").unwrap();
    assert_eq!(stored.records().unwrap().collect::<Vec<_>>(), seen.records);
    std::fs::remove_file(blob).unwrap();
    let damaged: Vec<_> = stored.records().unwrap().collect();
    assert_eq!(output(&damaged), [4096]);
    assert_eq!(damaged.iter().map(|record| record.blobs.len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_line_that_is_no_utf_8_is_kept_as_it_was_and_marked() {
    let garbage = vec![Garbage { after_line: 1, bytes: b"caf\xe9\n".to_vec() }];
    let stage = Stage::new("claude", &Play { garbage, ..answer() });
    let state = stage.path("state");
    let seen = run(&stage.claude().state_dir(&state), "p").await;
    let lossy: Vec<_> =
        seen.records.iter().filter(|r| r.raw.is_some_and(|raw| raw.lossy)).collect();
    assert_eq!(lossy.len(), 1);
    assert!(matches!(&lossy[0].event, Event::Notice(notice) if notice.text == "caf\u{fffd}"));
    let (log, raw) =
        (std::fs::read(folder(&state, &seen).join("input.1.log")).unwrap(), lossy[0].raw);
    let from = usize::try_from(raw.unwrap().offset).unwrap();
    assert_eq!(&log[from..from + 4], b"caf\xe9");
}

#[tokio::test]
async fn the_beginning_of_a_line_that_is_too_long_is_kept_from_both_pipes() {
    let script = "long() { head -c 68000000 /dev/zero | tr '\\0' \"$1\"; echo; }; long o; long e >&2; exec \"$0.agent\"";
    let stage = Stage::script(&answer(), "claude", script);
    let state = stage.path("state");
    let seen = run(&stage.claude().state_dir(&state), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    let oversized: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::OversizedLine(line) => Some((line.bytes, record.raw.unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(oversized.len(), 2, "one of each pipe");
    let log = std::fs::read(folder(&state, &seen).join("input.1.log")).unwrap();
    let mut firsts = Vec::new();
    for (bytes, raw) in oversized {
        assert_eq!((bytes, raw.len), (68_000_000, limits::LINE_BYTES_MAX as u64));
        let from = usize::try_from(raw.offset).unwrap();
        let kept = &log[from..from + limits::LINE_BYTES_MAX];
        assert!(kept.iter().all(|byte| *byte == kept[0]));
        firsts.push(kept[0]);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, *b"eo");
    assert_eq!(Frames::new(&log).filter(|f| f.kind == InputKind::Oversized).count(), 2);
}

#[tokio::test]
async fn a_folder_that_is_deleted_in_mid_run_costs_the_journal_and_not_the_answer() {
    let delete = "rm -r \"${0%/*}\"/state/runs; exec \"$0.agent\"";
    let stage = Stage::script(&answer(), "claude", delete);
    let seen = run(&stage.claude().state_dir(stage.path("state")), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.count("log_degraded"), 1);
}

#[tokio::test]
async fn an_input_log_that_cannot_be_made_in_mid_run_costs_the_journal_and_not_the_answer() {
    // The first transport is none that this Codex speaks; root, too, cannot make a file where a folder is.
    let script = "case \"$*\" in *app-server*)
        for run in \"${0%/*}\"/state/runs/*; do mkdir \"$run/input.2.log\"; done; exit 2;;
        esac; exec \"$0.agent\"";
    let play =
        Play { wait_for_stdin: WaitForStdin::Eof, ..play(&recordings::one("codex", "a-text")) };
    let stage = Stage::script(&play, "codex", script);
    let seen = run(&stage.codex().state_dir(stage.path("state")), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!((seen.count("attempt_started"), seen.count("log_degraded")), (2, 1));
}

#[tokio::test]
async fn a_state_folder_that_others_can_write_to_is_refused_before_the_agent_starts() {
    let stage = Stage::new("claude", &answer());
    let state = stage.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let seen = run(&stage.claude().state_dir(&state), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::LocalIo);
    assert!(seen.failure().message.contains("anyone can write to"), "{}", seen.failure().message);
    assert_eq!(stage.agent.log().starts(), 0);
    assert!(TraceDir::new(&state).is_err());
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_an_error_before_the_agent_starts() {
    let stage = Stage::new("claude", &answer());
    // Below a file nobody can make a folder, root included.
    let seen = run(&stage.claude().state_dir(stage.agent.program().join("state")), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::LocalIo);
    assert!(seen.failure().message.contains("state"));
    assert_eq!(seen.names(), ["run_started", "result"]);
}

/// The folder of an agent that a child of this test runs, under a limit of the size of its files.
const UNDER_LIMIT: &str = "BELAY_TEST_UNDER_LIMIT";

/// Runs this test once more, in a process that can write no file larger than 32 KiB.
fn again_under_limit(test: &str, stage: &Stage) {
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("journal::{test}"), "--nocapture"])
        .env(UNDER_LIMIT, stage.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && said.contains("1 passed"), "{status:?}");
}

/// A Codex that answers with a text of this length, in one line.
fn long_answer(len: usize) -> Play {
    let text = |line: String| line.replace(ANSWER, &"x".repeat(len));
    let lines = lines("codex", "a-text").into_iter().map(text);
    Play { wait_for_stdin: WaitForStdin::Eof, ..Play::lines(lines) }
}

fn run_under_limit(dir: &Path) -> (Seen, PathBuf) {
    let client = Client::new(Codex::new()).program(dir.join("codex")).state_dir(dir.join("state"));
    let client = client.transport(belaykit::Transport::Print);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(run(&client, "p"));
    let folder = folder(&dir.join("state"), &seen);
    (seen, folder)
}

#[test]
fn a_disk_that_is_full_in_mid_run_costs_the_journal_and_not_the_answer() {
    let Some(dir) = std::env::var_os(UNDER_LIMIT) else {
        let stage = Stage::new("codex", &long_answer(100_000));
        let name = "a_disk_that_is_full_in_mid_run_costs_the_journal_and_not_the_answer";
        return again_under_limit(name, &stage);
    };
    let (seen, folder) = run_under_limit(Path::new(&dir));
    assert_eq!(seen.answer().len(), 100_000);
    assert_eq!(seen.count("log_degraded"), 1);
    let kept = std::fs::read(folder.join("events.jsonl")).unwrap();
    assert!(kept.starts_with(b"{\"v\":1,\"seq\":0,"));
}

#[test]
fn a_disk_that_is_full_at_the_end_leaves_the_result_the_last_event() {
    let Some(dir) = std::env::var_os(UNDER_LIMIT) else {
        // The text fits into the journal twice, as an event and as what the attempt came to, and not again as
        // the result.
        let stage = Stage::new("codex", &long_answer(14_000));
        let name = "a_disk_that_is_full_at_the_end_leaves_the_result_the_last_event";
        return again_under_limit(name, &stage);
    };
    let (seen, folder) = run_under_limit(Path::new(&dir));
    assert_eq!(seen.answer().len(), 14_000);
    let names = seen.names();
    assert_eq!(names[names.len() - 3..], ["attempt_ended", "log_degraded", "result"]);
    let kept = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    assert!(kept.contains(r#""type":"text""#));
}

/// The names of a trace's phases.
fn phases(tree: &Node) -> Vec<&str> {
    let phases = tree.children.iter().filter(|node| node.node_type == NodeType::Phase);
    phases.map(|node| node.agent_name.as_str()).collect()
}

#[tokio::test]
async fn runs_of_one_trace_stand_in_one_private_file_that_git_does_not_see() {
    let stage = Stage::new("claude", &answer());
    let dir = stage.path(".belay/traces");
    let client = stage.claude().observe(TraceDir::new(&dir).unwrap());
    for phase in ["discovery", "writing"] {
        let request = RunRequest::new("p").trace_id("hive").phase(phase);
        assert_eq!(run(&client, request).await.outcome.unwrap().observer_errors, [""; 0]);
    }
    assert_eq!(phases(&read_file(&dir.join("hive.json")).unwrap()), ["discovery", "writing"]);
    assert_eq!((mode(&dir), mode(&dir.join("hive.json"))), (0o700, 0o600));
    assert_eq!(
        std::fs::read_to_string(stage.path(".belay/.gitignore")).unwrap(),
        "*\n!/config.toml\n"
    );
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["hive.json"]);

    let seen = run(&client, "p").await;
    let own = read_file(&dir.join(format!("{}.json", seen.records[0].run))).unwrap();
    assert_eq!(phases(&own), ["claude-code"]);
}

#[tokio::test]
async fn a_failed_run_has_a_trace_too() {
    let stage = Stage::new("claude", &Play::default().exit(Exit::Code(3)));
    let dir = stage.path("traces");
    let client = stage.claude().observe(TraceDir::new(&dir).unwrap());
    run(&client, RunRequest::new("p").trace_id("failed")).await;
    let tree = read_file(&dir.join("failed.json")).unwrap();
    assert!(serde_json::to_string(&tree).unwrap().contains("exited with code 3"), "{tree:?}");
}

#[tokio::test]
async fn a_file_that_is_no_trace_is_left_alone_and_reported_with_the_reason() {
    let stage = Stage::new("claude", &answer());
    let dir = stage.path("traces");
    let client = stage.claude().observe(TraceDir::new(&dir).unwrap());
    std::fs::write(dir.join("notes.json"), "my notes").unwrap();
    std::fs::create_dir(dir.join("folder.json")).unwrap();
    for (id, cause) in [("notes", "expected"), ("folder", "directory")] {
        let seen = run(&client, RunRequest::new("p").trace_id(id)).await;
        let errors = seen.outcome.unwrap().observer_errors;
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("trace: ") && errors[0].contains(cause), "{errors:?}");
    }
    assert_eq!(std::fs::read_to_string(dir.join("notes.json")).unwrap(), "my notes");
}

#[test]
fn a_trace_folder_that_cannot_be_written_is_an_error_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(TraceDir::new(file.path().join("traces")).is_err());
    assert!(TraceDir::new(file.path()).is_err());
}

#[test]
fn a_trace_folder_can_be_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".belay/traces");
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| (0..20).try_for_each(|_| TraceDir::new(&path).map(drop))))
            .collect();
        opened.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_write_each_its_trace_and_all_add_to_a_common_one() {
    let stage = Stage::new("claude", &answer());
    let dir = stage.path("traces");
    // Two observers of one folder, as two processes would have them.
    let clients: Vec<_> =
        (0..2).map(|_| stage.claude().observe(TraceDir::new(&dir).unwrap())).collect();
    let runs: Vec<_> = (0..12)
        .map(|n| {
            let id = if n < 4 { format!("own-{n}") } else { "common".to_owned() };
            let request = RunRequest::new("p").trace_id(id).phase(format!("phase-{n}"));
            tokio::spawn(finish(clients[n % 2].start(request)))
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().outcome.unwrap().observer_errors, [""; 0]);
    }
    for n in 0..4 {
        let own = read_file(&dir.join(format!("own-{n}.json"))).unwrap();
        assert_eq!(phases(&own), [format!("phase-{n}")]);
    }
    let common = read_file(&dir.join("common.json")).unwrap();
    let mut together = phases(&common);
    together.sort_unstable();
    let mut want: Vec<_> = (4..12).map(|n| format!("phase-{n}")).collect();
    want.sort();
    assert_eq!(together, want);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 5);
}
