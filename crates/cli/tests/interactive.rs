//! `belay interactive`: the agent's own terminal program, and the terminal afterwards.

use crate::stored::{Bench, hanging, id, stdout, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};

/// A terminal with the program on it.
struct Session {
    ours: File,
    theirs: File,
    child: Child,
    shown: String,
}

impl Session {
    /// Puts a shell script on the PATH as Claude, and starts the program on a terminal.
    fn of(bench: &Bench, script: &str, args: &[&str]) -> Self {
        let program = bench.path("bin/claude");
        let _ = fs::remove_file(&program);
        fs::write(&program, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
        // A session of its own, whose terminal this is: only then does a Ctrl-C that is typed reach the program.
        let mut setsid = Command::new("/usr/bin/setsid");
        let belay = bench.belay(&[&["interactive"], args].concat());
        setsid.arg("--ctty").arg("--wait").arg(belay.get_program()).args(belay.get_args());
        setsid.env_clear().current_dir(bench.project());
        setsid.envs(belay.get_envs().filter_map(|(name, value)| Some((name, value?))));
        setsid.env("MY_SECRET", "s").env("EDITOR", "ed").env("TERM", "xterm-256color");
        let ends = || theirs.try_clone().unwrap();
        let child = setsid.stdin(ends()).stdout(ends()).stderr(ends()).spawn().unwrap();
        Self { ours: File::from(ours), theirs, child, shown: String::new() }
    }

    fn wait_for(&mut self, words: &str) {
        let mut buffer = [0; 4096];
        while !self.shown.contains(words) {
            let read = self.ours.read(&mut buffer).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    fn line(&self, name: &str) -> &str {
        let line = self.shown.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.shown)).trim_end()
    }

    /// The agent's process, which has printed its id.
    fn agent(&self) -> Pid {
        let pid = self.line("pid ").trim_start_matches("pid ").parse().unwrap();
        Pid::from_raw(pid).unwrap()
    }
}

const IS_READY: &str = "echo pid $$; echo ready\n";

#[test]
fn an_agent_gets_the_terminal_its_arguments_and_what_a_terminal_needs() {
    let bench = Bench::new();
    let script = "test -t 0 && test -t 1 && echo on a terminal\necho args \"$@\"\necho in $PWD\n\
        echo env $EDITOR $TERM .$MY_SECRET.\nexit 7\n";
    let args =
        ["claude:opus", "--permit", "edit", "--append-system-prompt", "Be brief.", "hi there"];
    let mut session = Session::of(&bench, script, &args);
    session.wait_for("env ");
    session.wait_for("\n");
    assert_eq!(session.child.wait().unwrap().code(), Some(7), "its exit code is ours");
    assert_eq!(session.line("on a terminal"), "on a terminal");
    let args = session.line("args ");
    for arg in ["--model=opus", "--permission-mode=acceptEdits", "hi there"] {
        assert!(args.contains(arg), "{args}");
    }
    assert!(!args.contains("Be brief."), "a system prompt goes in as a private file: {args}");
    assert_eq!(session.line("in "), format!("in {}", bench.project().display()));
    assert_eq!(session.line("env "), "env ed xterm-256color .s.");
    assert!(
        !bench.path("home/.local/state/belay/runs").exists(),
        "the session is the person's own"
    );
}

#[test]
fn ctrl_c_is_the_agents_and_nobody_elses() {
    let bench = Bench::new();
    let script = format!("trap 'echo heard; exit 3' INT\n{IS_READY}while :; do sleep 0.1; done\n");
    let mut session = Session::of(&bench, &script, &[]);
    session.wait_for("ready");
    session.ours.write_all(b"\x03").unwrap();
    session.wait_for("heard");
    assert_eq!(session.child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_signal_to_belay_is_passed_on() {
    let bench = Bench::new();
    let script = format!("trap 'echo heard; exit 4' TERM\n{IS_READY}while :; do sleep 0.1; done\n");
    let mut session = Session::of(&bench, &script, &[]);
    session.wait_for("ready");
    let agent = session.agent().as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    let belay = Pid::from_raw(parent.trim().parse().unwrap()).unwrap();
    kill_process(belay, Signal::TERM).unwrap();
    session.wait_for("heard");
    assert_eq!(session.child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_terminal_is_put_in_order_when_the_agent_is_killed() {
    let bench = Bench::new();
    let script =
        format!("stty raw -echo\nprintf '\\033[?1049h\\033[?25l\\r\\n'\n{IS_READY}read -r x\n");
    let mut session = Session::of(&bench, &script, &[]);
    session.wait_for("ready");
    let modes = |session: &Session| tcgetattr(&session.theirs).unwrap().local_modes;
    assert!(!modes(&session).contains(LocalModes::ECHO), "the script has made it raw");
    kill_process(session.agent(), Signal::KILL).unwrap();
    assert_eq!(session.child.wait().unwrap().code(), Some(137));
    session.wait_for("\x1b[?25h");
    assert!(session.shown.contains("\x1b[?1049l"), "{:?}", session.shown);
    assert!(modes(&session).contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
}

#[test]
fn an_agent_that_stands_still_lets_its_shell_have_the_terminal() {
    let bench = Bench::new();
    let script = format!("{IS_READY}kill -STOP $$\necho awake\n");
    let mut session = Session::of(&bench, &script, &[]);
    session.wait_for("ready");
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let field = |pid: i32, n: usize| {
        stat(pid).rsplit_once(") ").unwrap().1.split(' ').nth(n).unwrap().to_owned()
    };
    let agent = session.agent().as_raw_nonzero().get();
    let belay: i32 = field(agent, 1).parse().unwrap();
    wait_for("belay stands still too", || field(belay, 0) == "T");
    // `fg` wakes the group.
    let group = Pid::from_raw(field(agent, 2).parse().unwrap()).unwrap();
    rustix::process::kill_process_group(group, Signal::CONT).unwrap();
    session.wait_for("awake");
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_session_of_a_run_is_gone_on_in_by_its_own_agent_and_folder() {
    let bench = hanging();
    let mut run = bench.start_run(&["task"]);
    stdout(&mut bench.belay(&["stop", "latest"]));
    run.wait().unwrap();
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    fs::create_dir(bench.path("elsewhere")).unwrap();
    let elsewhere = bench.path("elsewhere");
    let mut dry = bench.belay(&["interactive", "--dry-run", "--resume", &short]);
    assert_eq!(
        stdout(dry.current_dir(&elsewhere).env("BELAY_AGENT", "codex")),
        "claude --resume=c9d9b6d7-3b6d-4d63-9f70-41bfd8b74e0d\n"
    );
    let shown = bench.shown(&["interactive", "codex", "--resume", &short]);
    assert!(shown.starts_with("exit 2\n") && shown.contains("is claude-code's"), "{shown}");
    let mut session = Session::of(&bench, "echo in $PWD\n", &["--resume", &short, "-m", "opus"]);
    session.wait_for("in ");
    session.wait_for("\n");
    assert_eq!(session.line("in "), format!("in {}", bench.project().display()));
    session.child.wait().unwrap();
}

#[test]
fn without_a_terminal_or_an_agent_the_way_out_is_told() {
    let bench = Bench::new();
    let shown = bench.shown(&["interactive", "codex"]);
    assert!(shown.starts_with("exit 69\n"), "{shown}");
    assert!(shown.contains("`codex` is not on the PATH\nhint: install it"), "{shown}");
    bench.agent("codex", &belay_testkit::fake_agent::Play::lines(["x"]));
    insta::assert_snapshot!(bench.shown(&["interactive", "codex"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no terminal for the agent to open its program in
    hint: belay run "PROMPT" works without one
    "#);
}

#[test]
fn a_person_uses_a_session_like_a_run() {
    let session = "c9d9b6d7-3b6d-4d63-9f70-41bfd8b74e0d";
    let bench = Bench::new();
    let lives_on = format!(
        "trap '' HUP TERM INT\n{IS_READY}n=0\nwhile [ $n -lt 60 ]; do sleep 1; n=$((n+1)); done\n"
    );
    let mut person = Session::of(&bench, &lives_on, &["claude", "--resume", session]);
    person.wait_for("ready");
    let refused =
        bench.belay(&["run", "-a", "claude", "--resume", session, "hi"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("-interactive (claude-code, pid "), "{said}");
    // Whoever is killed leaves his terminal program behind, which goes on in the session.
    let agent = person.agent();
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.as_raw_nonzero())).unwrap();
    let belay: i32 =
        stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(belay).unwrap(), Signal::KILL).unwrap();
    person.child.wait().unwrap();
    let refused =
        bench.belay(&["run", "-a", "claude", "--resume", session, "hi"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("has left behind"), "{said}");
    let _ = kill_process(agent, Signal::KILL);

    let bench = hanging();
    let mut run = bench.start_run(&["task"]);
    let refused = bench.belay(&["interactive", "claude", "--resume", session]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("is in use by run ") && said.contains("--force"), "{said}");
    stdout(&mut bench.belay(&["stop", "--all"]));
    run.wait().unwrap();
}
