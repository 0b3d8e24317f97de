//! Words that are typed while the agent works.

use crate::bench::Bench;
use belay_testkit::fake_agent::{Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

/// A terminal: our end of it, and the program's.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    (File::from(ours), OpenOptions::new().read(true).write(true).open(name).unwrap())
}

/// Claude begins, and goes on when somebody says `look left`.
fn listening() -> Play {
    let stdout = recordings::one("claude-code", "a-text").stdout;
    let text = String::from_utf8(stdout).unwrap();
    let (init, rest) = text.split_once('\n').unwrap();
    let until = Until::StdinLine("look left".into());
    let then = rest.lines().map(str::to_owned).collect();
    let pause = Pause { after_line: 1, until, then, resume: true };
    Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..Play::lines([init]) }
}

#[test]
fn a_line_that_is_typed_while_the_agent_works_is_said_to_it() {
    let bench = Bench::new();
    let agent = bench.agent("claude", &listening());
    let (mut ours, theirs) = terminal();
    let mut command = bench.belay(&["run", "--format", "jsonl", "--interactive-steer", "Drive"]);
    let mut child = command.stdin(theirs).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.find(|line| line.as_ref().unwrap().contains("session_started"));
    begun.unwrap().unwrap();
    ours.write_all(b"look left\n").unwrap();
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains(r#""type":"result""#) && last.contains(r#""is_error":false"#), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = agent.log();
    let said = log.stdin();
    assert!(said.iter().any(|line| line.contains("look left")), "{said:?}");
}

#[test]
fn without_a_terminal_nobody_can_type() {
    let bench = Bench::new();
    bench.agent("claude", &listening());
    let mut said = String::new();
    let mut child = bench
        .belay(&["run", "--interactive-steer", "Drive"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    assert!(said.contains("--interactive-steer needs a terminal"), "{said}");
}
