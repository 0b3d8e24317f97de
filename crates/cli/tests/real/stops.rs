//! Real agents whose tool has a background child and a grandchild in a session of its own, stopped in every
//! way: nothing outlives the run, the bill is kept where the agent gives one, and the session goes on.

use crate::bench::{Bench, TOKENS, marked, wait_until};
use belay_testkit::model_server::{Reply, Script};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Sigint,
    TwoSigints,
    Sigterm,
    Sighup,
    KillOfBelay,
    KillOfAgent,
}

impl By {
    /// The exit code that belay owes its caller, if it lives to give one.
    fn exit_code(self) -> Option<i32> {
        match self {
            Self::Sigint | Self::TwoSigints => Some(130),
            Self::Sigterm => Some(143),
            Self::Sighup => Some(129),
            Self::KillOfAgent => Some(1),
            Self::KillOfBelay => None,
        }
    }
}

/// A loop that anyone who looks for the marker can see.
fn looping(marker: &str) -> String {
    format!("sh -c 'while :; do sleep 1; done' {marker}")
}

/// The tool: one child in the background, one in a session of its own, one that is waited for.
fn script(marker: &str) -> Script {
    let line = looping(marker);
    let command = format!("{line} & setsid {line} & {line}");
    let call = Reply::text("Working.").shell(&command).usage(TOKENS);
    Script::new().reply(call).forever(Reply::text("Resumed.").usage(TOKENS))
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn check(way: &str, by: By) {
    let marker = format!("belay-stop-{way}-{by:?}-{}", std::process::id());
    let test = format!("real_stops::{way}::{by:?}");
    let bench = match way {
        "claude" | "claude_print" => Bench::claude(script(&marker), &test),
        "pi" | "pi_print" => Bench::pi(script(&marker), &test),
        "opencode" | "opencode_print" => Bench::opencode(script(&marker), &test),
        _ => Bench::codex(script(&marker), &test),
    };
    let Some(bench) = bench else { return };
    let transport =
        if way.ends_with("print") || way.ends_with("exec") { "print" } else { "dialogue" };
    let args = ["--transport", transport];

    let mut belay = bench.belay(&args).spawn().unwrap();
    let mut shown = Vec::new();
    let (mut agent, mut since) = (0, None);
    for line in BufReader::new(belay.stdout.take().unwrap()).lines() {
        // A belay that is killed may leave half a line.
        let Ok(event) = serde_json::from_str::<Value>(&line.unwrap()) else { break };
        if event["type"] == "attempt_started" {
            agent = u32::try_from(event["pid"].as_u64().unwrap()).unwrap();
            assert_eq!(event["containment"], "subreaper");
        }
        // `opencode run` tells of a tool when it has ended.
        let call = if way == "opencode_print" { "session_started" } else { "tool_call" };
        let is_call = event["type"] == call;
        shown.push(event);
        if is_call {
            // Each loop and its sleep; the loops alone carry the marker.
            wait_until("the tool's three loops never ran", || marked(&marker).len() >= 3);
            // Claude tells what the response has used before it runs its tool, Codex a moment after.
            std::thread::sleep(Duration::from_millis(300));
            since = Some(Instant::now());
            match by {
                By::Sigint => signal(belay.id(), Signal::INT),
                By::TwoSigints => {
                    signal(belay.id(), Signal::INT);
                    std::thread::sleep(Duration::from_millis(250));
                    // It may have ended by now.
                    let _ = kill_process(Pid::from_child(&belay), Signal::INT);
                }
                By::Sigterm => signal(belay.id(), Signal::TERM),
                By::Sighup => signal(belay.id(), Signal::HUP),
                By::KillOfBelay => signal(belay.id(), Signal::KILL),
                By::KillOfAgent => signal(agent, Signal::KILL),
            }
        }
    }
    let code = belay.wait().unwrap().code();
    assert_eq!(code, by.exit_code(), "{shown:#?}");
    // Survivors are looked for when belay is gone; only where it was killed may the supervisor still be at work.
    if by == By::KillOfBelay {
        wait_until("survivors of a killed belay", || marked(&marker).is_empty());
    }
    assert_eq!(marked(&marker), Vec::<u32>::new(), "survivors");
    let took = since.unwrap().elapsed();
    assert!(took < Duration::from_secs(12), "{by:?} took {took:?}");
    println!("{way} {by:?}: {} ms", took.as_millis());

    let run = only_run(&bench.sandbox.home().join(".local/state/belay/runs"));
    let journal = journal(&run);
    let missing = shown.iter().find(|event| !journal.contains(event));
    assert_eq!(missing, None, "an event was shown that is not in the journal");
    check_bill(way, by, &journal);
    // Claude gives up on its own result line when its tools take too long to die after a SIGINT, which happens
    // on a loaded machine. Where the line was printed, its cost is kept.
    let printed = fs::read_to_string(run.join("input.1.log")).unwrap();
    if printed.contains(r#""type":"result""#) {
        let usage = &of_type(&journal, "attempt_result").unwrap()["usage"];
        assert_eq!(usage["cost_source"], "reported", "{journal:#?}");
    } else {
        assert_ne!((way, by), ("claude", By::Sigint), "its own interrupt always gives a result");
    }

    let session = of_type(&journal, "session_started").unwrap()["session_id"].as_str().unwrap();
    let resume = format!("--resume={session}");
    let (result, code) = bench.run(&["--transport", transport, &resume], |_, _| {});
    assert_eq!((code, result["result"].as_str()), (Some(0), Some("Resumed.")), "{result:#}");
    assert_eq!(marked(&marker), Vec::<u32>::new(), "the resumed session began the tool again");
}

/// What is known of the cost, wherever the agent has told it.
fn check_bill(way: &str, by: By, journal: &[Value]) {
    let result = of_type(journal, "result");
    let usage = match by {
        // No result can be written any more, but what was reported is there.
        By::KillOfBelay => {
            assert!(result.is_none());
            of_type(journal, "usage").map(|event| &event["usage"])
        }
        _ => Some(&result.unwrap()["usage"]),
    };
    // Codex tells what a response has used when its tool has returned or the turn is interrupted; exec at the end
    // of a turn, which a stopped one does not have.
    // OpenCode tells it when its tool has returned, and forgets it when the turn is aborted.
    let is_untold = way == "codex_exec" || way.starts_with("opencode");
    if is_untold || (way == "codex" && matches!(by, By::KillOfBelay | By::KillOfAgent)) {
        return;
    }
    let usage = usage.unwrap();
    assert_eq!(usage["output_tokens"], 85, "{usage}");
    assert_eq!(usage["cache_read_input_tokens"], 9000, "{usage}");
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Option<&'a Value> {
    events.iter().rev().find(|event| event["type"] == name)
}

/// The folder of the only run so far.
fn only_run(runs: &Path) -> PathBuf {
    fs::read_dir(runs).unwrap().next().unwrap().unwrap().path()
}

fn journal(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The six ways to end, of one way to run.
macro_rules! each_end {
    ($way:ident) => {
        mod $way {
            use crate::stops::{By, check};

            #[test]
            fn one_ctrl_c() {
                check(stringify!($way), By::Sigint);
            }

            #[test]
            fn two_ctrl_c() {
                check(stringify!($way), By::TwoSigints);
            }

            #[test]
            fn sigterm_to_belay() {
                check(stringify!($way), By::Sigterm);
            }

            #[test]
            fn sighup_to_belay() {
                check(stringify!($way), By::Sighup);
            }

            #[test]
            fn kill_9_of_belay() {
                check(stringify!($way), By::KillOfBelay);
            }

            #[test]
            fn kill_9_of_the_agent() {
                check(stringify!($way), By::KillOfAgent);
            }
        }
    };
}
each_end!(claude);

/// The other ways to run: for `cargo xtask test --all`.
mod every_way {
    each_end!(claude_print);
    each_end!(codex);
    each_end!(codex_exec);
    each_end!(opencode);
    each_end!(opencode_print);
    each_end!(pi);
    each_end!(pi_print);
}

/// How a run is stopped in which a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoppedBy {
    Verb,
    Sigint,
    Timeout,
}

/// A message waits for the tool to end when the run is stopped: nothing is begun for it.
fn check_steered(way: &str, by: StoppedBy) {
    let marker = format!("belay-steered-{way}-{by:?}-{}", std::process::id());
    let test = format!("real_stops::steered::{way}::{by:?}");
    // They stand in the project, which is where the tool runs.
    let mark = |name: &str| Reply::text("More.").shell(format!("touch {name}")).usage(TOKENS);
    let call = Reply::text("Working.").shell(looping(&marker)).usage(TOKENS);
    let script = Script::new().reply(call).reply(mark("mark-1")).reply(mark("mark-2"));
    let script = script.forever(Reply::text("Never said.").usage(TOKENS));
    let bench = match way {
        "claude" => Bench::claude(script, &test),
        "pi" => Bench::pi(script, &test),
        "opencode" => Bench::opencode(script, &test),
        _ => Bench::codex(script, &test),
    };
    let Some(bench) = bench else { return };
    // OpenCode takes long to start on a loaded machine.
    let timeout = if way == "opencode" { "45s" } else { "9s" };
    let args: &[&str] = if by == StoppedBy::Timeout { &["--timeout", timeout] } else { &[] };
    let mut belay = bench.belay(args).spawn().unwrap();
    let mut events = Vec::new();
    for line in BufReader::new(belay.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let is_call = event["type"] == "tool_call";
        let run = event["run"].as_str().unwrap().to_owned();
        events.push(event);
        if !is_call {
            continue;
        }
        wait_until("the tool never ran", || !marked(&marker).is_empty());
        let steer = bench.verb(&["steer", &run, "STEER-MARK"]).output().unwrap();
        assert!(steer.status.success(), "{steer:?}");
        match by {
            StoppedBy::Verb => {
                let stop = bench.verb(&["stop", &run]).output().unwrap();
                assert!(stop.status.success(), "{stop:?}");
            }
            StoppedBy::Sigint => signal(belay.id(), Signal::INT),
            StoppedBy::Timeout => {}
        }
    }
    let code = belay.wait().unwrap().code();
    assert_eq!(code, Some(if by == StoppedBy::Timeout { 3 } else { 130 }), "{events:#?}");
    assert_eq!(marked(&marker), Vec::<u32>::new(), "survivors");
    assert_eq!(bench.server.requests().len(), 1, "{events:#?}");
    let marks = ["mark-1", "mark-2"].map(|name| bench.sandbox.project().join(name).exists());
    assert_eq!(marks, [false, false], "a command ran after the stop");
    let steered: Vec<_> = events.iter().filter(|event| event["type"] == "steered").collect();
    assert_eq!(steered.len(), 1, "{events:#?}");
    assert_eq!(steered[0]["text"], "STEER-MARK");
    let usage = &of_type(&events, "result").unwrap()["usage"];
    if way == "claude" {
        assert_eq!(steered[0]["delivered"], false, "{events:#?}");
        assert_eq!(usage["cost_source"], "reported", "{events:#?}");
    }
    // OpenCode forgets what the response of an aborted turn has used.
    if way != "opencode" {
        assert_eq!(usage["output_tokens"], 85, "{events:#?}");
    }
}

macro_rules! steered {
    ($($way:ident),+) => {$(
        mod $way {
            use crate::stops::{StoppedBy, check_steered};

            #[test]
            fn by_the_verb() {
                check_steered(stringify!($way), StoppedBy::Verb);
            }

            #[test]
            fn by_ctrl_c() {
                check_steered(stringify!($way), StoppedBy::Sigint);
            }

            #[test]
            fn by_its_time_limit() {
                check_steered(stringify!($way), StoppedBy::Timeout);
            }
        }
    )+};
}

/// A message waits.
mod steered {
    steered!(claude);

    mod every_way {
        steered!(codex, opencode, pi);
    }
}
