//! Tools: programs that are asked something, answer and end, or are ended with all that they have started.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{supervisor, wait_until};
use belaykit_supervise::{Exit, Tool};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// More than any answer takes, and less than a test may.
const PATIENCE: Duration = Duration::from_secs(60);

fn shell(script: &str, time: Duration) -> Tool {
    let tool = Tool::new(Path::new("/bin/sh"), time).supervisor(Some(&supervisor()));
    tool.args(["-c", script]).env([("PATH", "/usr/bin:/bin")])
}

/// The process ids of all whose command line has `mark` in it.
fn marked(mark: &str) -> Vec<u32> {
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let has_mark = |pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(mark)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(has_mark).collect()
}

#[test]
fn a_tool_reads_its_input_and_its_answer_is_whole() {
    let input = "0123456789".repeat(100_000);
    let done = shell("cat; echo no >&2; exit 3", PATIENCE).stdin(input.as_str()).run().unwrap();
    assert_eq!(done.exit, Some(Exit::Code(3)));
    assert_eq!(String::from_utf8_lossy(&done.stdout), input);
    assert_eq!(done.stderr, b"no\n");
    assert!(!done.is_success() && !done.is_cut);
    // Who is asked nothing, and reads nothing of what it is told.
    let done = shell(":", PATIENCE).stdin(input).run().unwrap();
    assert!(done.is_success());
}

#[test]
fn a_tool_has_the_environment_and_the_folder_that_it_was_given() {
    let script = "pwd; env | grep -c -v -e ^BELAY_RUN_ID= -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL=";
    let done = shell(script, PATIENCE).cwd(Path::new("/usr")).run().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "/usr\n1\n");
}

#[test]
fn a_tool_whose_time_is_up_is_ended_with_all_that_it_has_started() {
    let mark = format!("tool-mark-{}", std::process::id());
    let script = format!(
        "env -i /usr/bin/setsid /bin/sh -c 'while :; do sleep 1; done; : {mark}' & \
         echo begun; while :; do sleep 1; done; : {mark}"
    );
    let began = Instant::now();
    let done = shell(&script, Duration::from_secs(2)).run().unwrap();
    assert_eq!((done.exit, done.stdout.as_slice()), (None, b"begun\n".as_slice()));
    assert!(began.elapsed() < PATIENCE);
    wait_until("all is gone", || marked(&mark).is_empty());
}

#[test]
fn what_a_tool_leaves_running_is_ended_and_keeps_nobody_waiting() {
    let mark = format!("left-mark-{}", std::process::id());
    let script = format!(
        "env -i /usr/bin/setsid /bin/sh -c 'while :; do sleep 1; done; : {mark}' & echo {mark}"
    );
    let done = shell(&script, PATIENCE).run().unwrap();
    assert!(done.is_success(), "{done:?}");
    wait_until("all is gone", || marked(&mark).is_empty());
}

#[test]
fn a_tool_that_prints_too_much_is_ended() {
    let done = shell("yes; :", PATIENCE).output_max(100_000).run().unwrap();
    assert_eq!((done.exit, done.is_cut, done.stdout.len()), (None, true, 100_000));
    let done = shell("yes >&2; :", PATIENCE).output_max(10).run().unwrap();
    assert_eq!((done.is_cut, done.stderr.len()), (true, 10));
}

#[test]
fn a_program_that_is_none_is_an_error() {
    let missing = Tool::new(Path::new("/nowhere/git"), PATIENCE).supervisor(Some(&supervisor()));
    assert_eq!(missing.run().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    // So it is where there is no supervisor.
    let none = Some(Path::new("/nowhere/belay-supervisor"));
    let missing = Tool::new(Path::new("/nowhere/git"), PATIENCE).supervisor(none);
    assert_eq!(missing.run().unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_tool_nobody_waits_for_any_more_is_ended() {
    let mark = format!("unwanted-mark-{}", std::process::id());
    let tool = shell(&format!("while :; do sleep 1; done; : {mark}"), PATIENCE);
    let asked = tokio::time::timeout(Duration::from_secs(1), tool.finished()).await;
    assert!(asked.is_err());
    wait_until("it is gone", || marked(&mark).is_empty());
}
