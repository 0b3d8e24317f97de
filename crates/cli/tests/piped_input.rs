//! What is piped or redirected into the program beside a prompt.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::{FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

fn claude() -> (Bench, FakeAgent) {
    let bench = Bench::new();
    let recording = recordings::one("claude-code", "a-text");
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(recording.stdout_path()) };
    let agent = bench.agent("claude", &play);
    (bench, agent)
}

/// The prompt that the agent got last.
fn prompt_of(agent: &FakeAgent) -> String {
    let log = agent.log();
    let mut messages = log.stdin().into_iter().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["message"]["content"].as_str().map(str::to_owned)
    });
    messages.next_back().unwrap()
}

/// Runs the program with this for standard input.
fn fed(bench: &Bench, args: &[&str], stdin: Stdio) -> Output {
    bench.belay(args).stdin(stdin).output().unwrap()
}

/// Runs the program behind a pipe with these bytes in it.
fn piped(bench: &Bench, args: &[&str], bytes: &[u8]) -> Output {
    let mut command = bench.belay(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // Whoever refuses it does not read it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[track_caller]
fn joined(bench: &Bench, agent: &FakeAgent, output: &Output, want: &str) {
    let shown = show(output, bench);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert_eq!(prompt_of(agent), want, "{shown}");
}

#[test]
fn a_pipe_a_socket_and_a_file_join_the_prompt() {
    let (bench, agent) = claude();
    let want = "review\n\n<stdin>\n+ a line\n</stdin>\n";
    let output = piped(&bench, &["run", "review"], b"+ a line\n");
    joined(&bench, &agent, &output, want);
    assert!(show(&output, &bench).contains("\nread 9 bytes from standard input\n"));

    let file = bench.path("diff");
    fs::write(&file, "+ a line\n").unwrap();
    let output = fed(&bench, &["run", "review"], File::open(&file).unwrap().into());
    joined(&bench, &agent, &output, want);

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"+ a line\n").unwrap();
    drop(ours);
    let output = fed(&bench, &["run", "review"], OwnedFd::from(theirs).into());
    joined(&bench, &agent, &output, want);

    fs::write(bench.project().join("task.md"), "from a file\n").unwrap();
    let output = piped(&bench, &["run", "-f", "task.md"], b"+ a line\n");
    joined(&bench, &agent, &output, "from a file\n\n<stdin>\n+ a line\n</stdin>\n");
}

#[test]
fn what_is_not_piped_changes_nothing() {
    let (bench, agent) = claude();
    let read = bench.path("list");
    fs::write(&read, "one\ntwo\n").unwrap();
    let at = |offset| {
        let mut file = File::open(&read).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.into()
    };
    let empty = bench.path("empty");
    fs::write(&empty, "").unwrap();
    for (what, stdin) in [
        ("/dev/null", Stdio::null()),
        ("a file of which a line was read", at(4)),
        ("a file that was read", at(8)),
        ("an empty file", File::open(&empty).unwrap().into()),
        ("a folder", File::open(bench.path("home")).unwrap().into()),
    ] {
        let output = fed(&bench, &["run", "p"], stdin);
        joined(&bench, &agent, &output, "p");
        assert!(!show(&output, &bench).contains("standard input"), "{what}");
    }
    let output = piped(&bench, &["run", "p"], b"");
    joined(&bench, &agent, &output, "p");
    let output = piped(&bench, &["run", "p", "--no-stdin"], b"left out");
    joined(&bench, &agent, &output, "p");
    assert!(!show(&output, &bench).contains("standard input"));
}

#[test]
fn the_agent_is_started_while_the_input_is_waited_for() {
    let (bench, agent) = claude();
    let mut command = bench.belay(&["run", "review"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    while agent.log().starts() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(agent.log().stdin().is_empty());
    stdin.write_all(b"a\nb\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let want = "review\n\n<stdin>\na\nb\n</stdin>\n";
    joined(&bench, &agent, &output, want);
    // The journal has it too: a replay and a resumed run are told the same.
    let runs = bench.belay(&["runs", "--json"]).output().unwrap();
    let run: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(run["prompt_start"], want.trim());
}

#[test]
fn late_input_that_cannot_join_ends_the_run_and_a_signal_ends_the_wait() {
    let (bench, agent) = claude();
    let begin = || {
        let mut command = bench.belay(&["run", "review"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let starts = agent.log().starts();
        while agent.log().starts() == starts {
            std::thread::sleep(Duration::from_millis(10));
        }
        (child, stdin)
    };
    let (child, mut stdin) = begin();
    stdin.write_all(b"a\0b").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let shown = show(&output, &bench);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("standard input is no text: a NUL at byte 1"), "{shown}");

    let (child, mut stdin) = begin();
    stdin.write_all(b"a").unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", show(&output, &bench));
    drop(stdin);
    assert!(agent.log().stdin().is_empty());
}

#[test]
fn an_open_and_silent_pipe_is_left_out_with_a_warning() {
    let (bench, agent) = claude();
    let mut command = bench.belay(&["run", "p"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    joined(&bench, &agent, &output, "p");
    let shown = show(&output, &bench);
    assert!(
        shown.contains("warning: nothing came from standard input in 3 s; it is left out"),
        "{shown}"
    );
    drop(open);
}

/// A loop of a shell's, as people write it.
fn in_shell(bench: &Bench, shell: &str, script: &str) -> Vec<String> {
    let said = bench.path("said");
    let _ = fs::remove_file(&said);
    // Each prompt is a line.
    let stream = recordings::one("claude-code", "a-text");
    let agent = format!(
        "#!/bin/sh\nread -r prompt\nprintf '%s\\n' \"$prompt\" >> {}\n/bin/cat {}\n",
        said.display(),
        stream.stdout_path().display()
    );
    let program = bench.path("bin/claude");
    fs::write(&program, agent).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bench.path("list"), "one\ntwo\nthree\n").unwrap();
    let belay = bench.belay(&["x"]);
    let script = script
        .replace("belay", &belay.get_program().to_string_lossy())
        .replace("LIST", &bench.path("list").to_string_lossy());
    let mut command = std::process::Command::new(shell);
    command.args(["-c", &script]).env_clear().current_dir(bench.project());
    let path = format!("{}:/usr/bin:/bin", bench.path("bin").display());
    command.env("PATH", path).env("HOME", bench.path("home"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{shell}: {}", show(&output, bench));
    let lines = fs::read_to_string(&said).unwrap();
    let prompt = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        message["message"]["content"].as_str().unwrap().to_owned()
    };
    lines.lines().map(prompt).collect()
}

#[test]
fn loops_of_shells_give_each_run_its_line() {
    let shells = ["/bin/bash", "/bin/dash", "/bin/sh", "/usr/bin/zsh", "/bin/ksh"];
    let shells: Vec<_> = shells.into_iter().filter(|shell| Path::new(shell).exists()).collect();
    assert!(shells.len() > 1, "{shells:?}");
    for shell in shells {
        let bench = Bench::new();
        for script in [
            "while read -r x; do belay run \"$x\" || exit 1; done < LIST",
            "while read -r x; do belay run -- \"$x\" || exit 1; done < LIST",
            "exec 3< LIST; while read -r x <&3; do belay run \"$x\" < /dev/null || exit 1; done",
            "cat LIST | while read -r x; do belay run --no-stdin \"$x\" || exit 1; done",
            "cat LIST | while read -r x; do belay run \"$x\" < /dev/null || exit 1; done",
        ] {
            let prompts = in_shell(&bench, shell, script);
            assert_eq!(prompts, ["one", "two", "three"], "{shell}: {script}");
        }
        // As with the agents' own programs.
        let prompts = in_shell(
            &bench,
            shell,
            "cat LIST | while read -r x; do belay run \"$x\" || exit 1; done",
        );
        assert_eq!(prompts, ["one\n\n<stdin>\ntwo\nthree\n</stdin>\n"], "{shell}");
        let prompts = in_shell(&bench, shell, "belay run closed <&-");
        assert_eq!(prompts, ["closed"], "{shell}");
        let prompts = in_shell(&bench, shell, "belay run here << E\nx\nE\n");
        assert_eq!(prompts, ["here\n\n<stdin>\nx\n</stdin>\n"], "{shell}");
    }
}

#[test]
fn what_cannot_join_is_an_error_before_anything_starts() {
    let (bench, agent) = claude();
    let large = vec![b'x'; (10 << 20) + 1];
    for (bytes, want) in [
        (&large[..], "error: standard input has more than 10 MiB\nhint: put it into a file"),
        (
            b"latin \xe9",
            "error: standard input is no text: what is not UTF-8 at byte 6\nhint: convert it with iconv",
        ),
        (b"a\0b", "error: standard input is no text: a NUL at byte 1\n"),
    ] {
        let output = piped(&bench, &["run", "p"], bytes);
        let shown = show(&output, &bench);
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(shown.contains(want) && shown.contains("--no-stdin"), "{shown}");
    }
    assert!(agent.log().lines.is_empty());
    let file = bench.path("large");
    fs::write(&file, &large).unwrap();
    let output = fed(&bench, &["run", "p"], File::open(&file).unwrap().into());
    assert_eq!(output.status.code(), Some(2), "{}", show(&output, &bench));
    let output = piped(&bench, &["run", "-", "--no-stdin"], b"p");
    assert!(show(&output, &bench).starts_with("exit 2\n"));
    assert!(!bench.path("home/.local/state/belay/runs").exists(), "nothing was begun");
}

#[test]
fn a_resumed_run_is_told_what_is_piped_with_its_prompt() {
    let (bench, agent) = claude();
    joined(&bench, &agent, &fed(&bench, &["run", "p"], Stdio::null()), "p");
    let output = piped(&bench, &["resume", "latest", "more"], b"x\n");
    joined(&bench, &agent, &output, "more\n\n<stdin>\nx\n</stdin>\n");
    let output = piped(&bench, &["run", "--resume", "latest", "more"], b"y\n");
    joined(&bench, &agent, &output, "more\n\n<stdin>\ny\n</stdin>\n");
    let output = piped(&bench, &["resume", "latest", "more", "--no-stdin"], b"x\n");
    joined(&bench, &agent, &output, "more");
}

#[test]
fn a_slow_writer_is_waited_for_to_its_end() {
    let (bench, agent) = claude();
    let mut command = bench.belay(&["run", "p"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"one\n").unwrap();
    std::thread::sleep(Duration::from_secs(4));
    pipe.write_all(b"two\n").unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    joined(&bench, &agent, &output, "p\n\n<stdin>\none\ntwo\n</stdin>\n");
}
