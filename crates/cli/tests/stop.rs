//! `belay stop` and `belay steer`: speaking to a run from another terminal.

use crate::stored::{Bench, claude, hanging, hangs, id, objects, stdout, wait_for, with_claude};
use belay_testkit::fake_agent::{Pause, Play, Signal, Until};
use belay_testkit::recordings;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{PipeWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;

/// The events of the newest run.
fn events(bench: &Bench) -> Vec<Value> {
    // The folder is there a moment before the file.
    objects(&fs::read_to_string(bench.newest_run().join("events.jsonl")).unwrap_or_default())
}

fn count(bench: &Bench, kind: &str) -> usize {
    events(bench).iter().filter(|event| event["type"] == kind).count()
}

#[test]
fn a_run_is_stopped_like_by_a_ctrl_c_and_keeps_its_bill() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    assert_eq!(
        stdout(&mut bench.belay(&["stop", &short])),
        format!("run {short} has ended: interrupted, $0.0087\n")
    );
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(count(&bench, "interrupted"), 1);
    let last = events(&bench).pop().unwrap();
    assert_eq!(
        (&last["result"], &last["failure"]["kind"]),
        (&"Sleeping.".into(), &"interrupted".into())
    );
    // It is over; that is what was wanted.
    let again = bench.belay(&["stop", "latest"]).output().unwrap();
    assert_eq!(again.status.code(), Some(0));
    let words = String::from_utf8(again.stdout).unwrap();
    assert_eq!(words, format!("run {short} has ended already: interrupted\n"));
    let steered = bench.shown(&["steer", "latest", "hello"]);
    assert!(steered.starts_with("exit 4\n") && steered.contains("is not running any more"));
}

/// A Claude that neither listens nor goes by itself.
fn stubborn() -> Bench {
    let ignore = vec![Signal::Int, Signal::Term, Signal::Hup];
    let pauses = Vec::new();
    with_claude(&Play { ignore, pauses, linger_ms: 60_000, ..hangs() })
}

#[test]
fn an_agent_that_does_not_listen_is_killed_when_that_is_wanted() {
    let bench = stubborn();
    let mut run = bench.start_run(&["sleep"]);
    let told = stdout(&mut bench.belay(&["stop", "latest", "--no-wait"]));
    assert!(told.ends_with(" was told to stop\n"), "{told}");
    wait_for("it is heard", || count(&bench, "interrupted") == 1);
    let killed = stdout(&mut bench.belay(&["stop", "latest", "--now"]));
    assert!(killed.contains(" has ended: interrupted"), "{killed}");
    run.wait().unwrap();
    let ended = events(&bench).into_iter().find(|event| event["type"] == "attempt_ended").unwrap();
    assert_eq!(ended["forced"], true);
}

#[test]
fn all_runs_are_stopped_at_once() {
    let bench = hanging();
    assert_eq!(
        bench.shown(&["stop", "--all"]),
        "exit 0\n--- stdout\n--- stderr\nNo run is at work.\n"
    );
    let mut runs = [bench.start_run(&["one"]), bench.start_run(&["two"])];
    let ended = stdout(&mut bench.belay(&["stop", "--all"]));
    assert_eq!(ended.matches(" has ended: interrupted").count(), 2, "{ended}");
    runs.iter_mut().for_each(|run| assert_eq!(run.wait().unwrap().code(), Some(130)));
}

#[test]
fn a_run_that_has_crashed_cannot_be_stopped_and_says_what_to_do() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    run.kill().unwrap();
    run.wait().unwrap();
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    assert_eq!(
        bench.shown(&["stop", "latest"]),
        format!(
            "exit 1\n--- stdout\n--- stderr\n\
             error: run {short} has crashed: the belay that ran it is gone, and nobody can stop it\n\
             hint: `belay show {short}` says what was reached and how to go on\n"
        )
    );
    bench.end_agent();
}

#[test]
fn a_run_without_a_pipe_says_how_it_is_stopped() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    fs::remove_file(bench.newest_run().join("control")).unwrap();
    let shown = bench.shown(&["stop", "latest"]);
    assert!(shown.starts_with("exit 1\n") && shown.contains("it has no pipe"), "{shown}");
    assert!(shown.contains("hint: press Ctrl-C where it was started"), "{shown}");
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

#[test]
fn words_reach_the_agent_while_it_works() {
    let bench = Bench::new();
    let recording = recordings::one("claude-code", "a-text");
    let text = String::from_utf8(recording.stdout).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let until = Until::StdinLine("use \\\"spaces\\\"".into());
    let pause = Pause { after_line: 1, until, then: lines[1..].to_vec(), resume: false };
    let agent = claude(&bench, &Play { pauses: vec![pause], ..Play::lines(lines[..1].to_vec()) });
    let mut run = bench.start(&["run", "sleep"]);
    wait_for("the run", || !bench.runs().is_empty() && count(&bench, "session_started") == 1);
    let told = stdout(&mut bench.belay(&["steer", "latest", "use \"spaces\""]));
    assert!(told.ends_with(" was told\n"), "{told}");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(agent.log().stdin().iter().any(|line| line.contains("spaces")));
    assert!(!bench.newest_run().join("control").exists());
    assert!(bench.shown(&["steer", "latest", " "]).starts_with("exit 2\n"));
}

/// Writes until the pipe can hold no more.
fn fill(mut pipe: &PipeWriter) {
    let flags = fcntl_getfl(pipe).unwrap();
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(pipe, flags).unwrap();
}

#[test]
fn whoever_goes_on_asking_does_not_put_the_end_off() {
    // Standard error that nobody reads keeps the run from its end.
    let bench = hanging();
    let (output, full) = std::io::pipe().unwrap();
    fill(&full);
    let mut run = bench.belay(&["run", "sleep"]).stderr(full).spawn().unwrap();
    wait_for("the run", || !bench.runs().is_empty() && count(&bench, "tool_call") == 1);
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    let mut asked = 0;
    while run.try_wait().unwrap().is_none() {
        assert!(asked < 40, "it does not end");
        kill_process(pid, rustix::process::Signal::INT).unwrap();
        asked += 1;
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert_eq!(run.wait().unwrap().code(), Some(130));
    drop(output);
}

#[test]
fn an_agent_that_closes_its_output_in_mid_turn_is_ended_soon() {
    let bench = Bench::new();
    let script = "#!/bin/sh\n\
        echo '{\"type\":\"thread.started\",\"thread_id\":\"t1\"}'\n\
        echo '{\"type\":\"turn.started\"}'\n\
        exec 1>&-\nexec /bin/sleep 300\n";
    let agent = bench.path("bin/codex");
    fs::write(&agent, script).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let began = std::time::Instant::now();
    let shown = bench.shown(&["run", "-a", "codex", "--transport", "print", "hi"]);
    assert!(shown.contains("has closed its standard output and does not end"), "{shown}");
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{shown}");
}
