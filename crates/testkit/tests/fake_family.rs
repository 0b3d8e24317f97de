//! The fake agent's children, its floods beside the stream, and its stop at whatever moment.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use belay_testkit::fake_agent::{Child, Exit, FakeAgent, Place, Play, Signal, Stop, Until};
use rustix::process::{Pid, Signal as Native, getpgid, getsid, kill_process};
use tempfile::TempDir;

fn place(play: &Play) -> (TempDir, FakeAgent) {
    let dir = TempDir::new().unwrap();
    let agent = FakeAgent::new(dir.path(), "claude", play).unwrap();
    (dir, agent)
}

fn parent(pid: Pid) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn children_run_where_they_were_told_to_and_carry_their_mark() {
    let places = [Place::Group, Place::OwnSession, Place::Daemon];
    let child = |place| Child { mark: "marked-XYZ".into(), place, seconds: 60, ..Child::default() };
    let mut children: Vec<Child> = places.into_iter().map(child).collect();
    children[1].no_env = true;
    let (_dir, agent) = place(&Play { children, linger_ms: 60_000, ..Play::lines(["a"]) });
    let mut process = Command::new(agent.program())
        .env("BELAY_FAMILY", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();

    let pids: Vec<Pid> = agent
        .log()
        .children()
        .into_iter()
        .map(|pid| Pid::from_raw(pid.try_into().unwrap()).unwrap())
        .collect();
    let [group, session, daemon] = pids[..] else { panic!("three children: {pids:?}") };
    assert_eq!(getpgid(Some(group)), getpgid(Some(Pid::from_child(&process))));
    assert_eq!(getsid(Some(session)), Ok(session));
    assert_eq!((parent(group), parent(session)), (process.id(), process.id()));
    assert_ne!(parent(daemon), process.id());
    for pid in &pids {
        let file = |name| fs::read(format!("/proc/{}/{name}", pid.as_raw_nonzero())).unwrap();
        assert!(String::from_utf8(file("cmdline")).unwrap().contains("marked-XYZ"));
        assert_eq!(file("environ").is_empty(), *pid == session);
    }
    pids.iter().for_each(|pid| kill_process(*pid, Native::KILL).unwrap());
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn it_stops_in_mid_stream_on_a_message_whose_id_it_answers_on_a_signal_and_on_the_end_of_stdin() {
    let stop = Stop {
        on: vec![Until::StdinLine("interrupt".into()), Until::Signal(Signal::Int)],
        then: vec![r#"{"id":"$id"}"#.into()],
        exit: Exit::Code(7),
    };
    let at_the_end = Stop { on: vec![Until::StdinEnd], then: Vec::new(), exit: Exit::Code(8) };
    for by in ["message", "signal", "end"] {
        let stops = vec![stop.clone(), at_the_end.clone()];
        let play = Play { stops, linger_ms: 60_000, ..Play::lines(["a"]) };
        let (_dir, agent) = place(&play);
        let mut command = Command::new(agent.program());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "a");
        let mut stdin = process.stdin.take().unwrap();
        match by {
            "message" => writeln!(stdin, r#"{{"id":12,"method":"turn/interrupt"}}"#).unwrap(),
            "signal" => kill_process(Pid::from_child(&process), Native::INT).unwrap(),
            _ => drop(stdin),
        }
        let (answer, code) = match by {
            "message" => (Some(r#"{"id":12}"#), 7),
            "signal" => (Some(r#"{"id":null}"#), 7),
            _ => (None, 8),
        };
        assert_eq!(lines.next().map(Result::unwrap).as_deref(), answer);
        assert_eq!(process.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn stderr_is_flooded_beside_the_stream() {
    let (_dir, agent) = place(&Play { stderr_beside: 200_000, ..Play::lines(["a"]) });
    let output = Command::new(agent.program()).stdin(Stdio::null()).output().unwrap();
    assert_eq!((output.stdout, output.stderr.len()), (b"a\n".to_vec(), 200_000));
}
