//! Real agents with a background command, one in a session of its own and one that is waited for: one or two of belay,
//! its supervisors and the agent are killed with -9, or stand still, in every order, and nothing survives.

use crate::bench::{Bench, TOKENS, marked, wait_until};
use belay_testkit::model_server::{Reply, Script};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::thread;

/// Whoever can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Belay,
    Outer,
    Inner,
    Agent,
}

use Victim::{Agent, Belay, Inner, Outer};

/// What is done to whom, in this order.
type Deed = (Victim, Signal);

/// A run whose tool is at work.
struct Run {
    bench: Bench,
    belay: Child,
    pids: [u32; 4],
    marker: String,
}

impl Run {
    fn new(way: &str, name: &str) -> Option<Self> {
        let marker = format!("belay-death-{way}-{name}-{}", std::process::id());
        let line = format!("sh -c 'while :; do sleep 1; done' {marker}");
        let hidden = format!("env -i setsid {line}");
        let call = Reply::text("Working.").shell(format!("{line} & setsid {hidden} & {line}"));
        let script = Script::new().reply(call.usage(TOKENS));
        let script = script.forever(Reply::text("Never said.").usage(TOKENS));
        let test = format!("deaths::{way}::{name}");
        let bench = match way {
            "claude" => Bench::claude(script, &test)?,
            "opencode" => Bench::opencode(script, &test)?,
            _ => Bench::codex(script, &test)?,
        };
        let mut belay = bench.belay(&[]).spawn().unwrap();
        let mut lines = BufReader::new(belay.stdout.take().unwrap()).lines();
        let mut agent = 0;
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if event["type"] == "attempt_started" {
                agent = u32::try_from(event["pid"].as_u64().unwrap()).unwrap();
            }
            if event["type"] == "tool_call" {
                break;
            }
        }
        // Nobody else reads it.
        thread::spawn(move || lines.count());
        wait_until("the tool's three loops never ran", || marked(&marker).len() >= 3);
        let inner = parent(agent);
        let outer = parent(inner);
        assert_eq!(parent(outer), belay.id());
        let pids = [belay.id(), outer, inner, agent];
        Some(Self { bench, belay, pids, marker })
    }

    fn is_gone(&self, victim: Victim) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pids[victim as usize]));
        stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
            || !fs::exists(format!("/proc/{}", self.pids[victim as usize])).unwrap()
    }

    fn signal(&self, (victim, signal): Deed) {
        let pid = i32::try_from(self.pids[victim as usize]).unwrap();
        // One that the death of another has ended already.
        let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
    }

    /// Does it, and waits until nothing is left.
    fn survives(mut self, deeds: &[Deed]) {
        deeds.iter().for_each(|deed| self.signal(*deed));
        let all = || {
            let others = [Outer, Inner, Agent].into_iter().all(|victim| self.is_gone(victim));
            others && marked(&self.marker).is_empty()
        };
        wait_until(&format!("{deeds:?} leaves nothing"), all);
        self.signal((Belay, Signal::CONT));
        wait_until(&format!("{deeds:?}: belay ends"), || self.is_gone(Belay));
        self.belay.wait().unwrap();
        drop(self.bench);
    }
}

fn parent(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    rest.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn check(way: &str, name: &str, deeds: &[Deed]) {
    if let Some(run) = Run::new(way, name) {
        run.survives(deeds);
    }
}

const KILL: Signal = Signal::KILL;
const STOP: Signal = Signal::STOP;

macro_rules! deaths {
    ($way:ident: $($name:ident: $($deed:expr),+;)+) => {
        pub(super) mod $way {
            use super::super::*;
            $(#[test]
            fn $name() {
                check(stringify!($way), stringify!($name), &[$($deed),+]);
            })+
        }
    };
}

/// The weakest points: nobody but one is left to end anything.
mod first {
    macro_rules! each {
        ($($way:ident)+) => {$(deaths! { $way:
            belay_and_outer_killed: (Belay, KILL), (Outer, KILL);
            outer_and_inner_killed: (Outer, KILL), (Inner, KILL);
            inner_killed_while_outer_stands_still: (Outer, STOP), (Inner, KILL);
        })+};
    }
    each!(claude codex opencode);
}

mod every_way {
    macro_rules! each {
        ($($way:ident)+) => {$(deaths! { $way:
            belay_killed: (Belay, KILL);
            outer_killed: (Outer, KILL);
            inner_killed: (Inner, KILL);
            agent_killed: (Agent, KILL);
            belay_and_inner_killed: (Belay, KILL), (Inner, KILL);
            belay_and_agent_killed: (Belay, KILL), (Agent, KILL);
            outer_and_belay_killed: (Outer, KILL), (Belay, KILL);
            outer_and_agent_killed: (Outer, KILL), (Agent, KILL);
            inner_and_belay_killed: (Inner, KILL), (Belay, KILL);
            inner_and_outer_killed: (Inner, KILL), (Outer, KILL);
            inner_and_agent_killed: (Inner, KILL), (Agent, KILL);
            agent_and_belay_killed: (Agent, KILL), (Belay, KILL);
            agent_and_outer_killed: (Agent, KILL), (Outer, KILL);
            agent_and_inner_killed: (Agent, KILL), (Inner, KILL);
            outer_killed_while_belay_stands_still: (Belay, STOP), (Outer, KILL);
            inner_killed_while_belay_stands_still: (Belay, STOP), (Inner, KILL);
            agent_killed_while_belay_stands_still: (Belay, STOP), (Agent, KILL);
            belay_killed_while_outer_stands_still: (Outer, STOP), (Belay, KILL);
            agent_killed_while_outer_stands_still: (Outer, STOP), (Agent, KILL);
            belay_killed_while_inner_stands_still: (Inner, STOP), (Belay, KILL);
            outer_killed_while_inner_stands_still: (Inner, STOP), (Outer, KILL);
            agent_killed_while_inner_stands_still: (Inner, STOP), (Agent, KILL);
            belay_killed_while_agent_stands_still: (Agent, STOP), (Belay, KILL);
            outer_killed_while_agent_stands_still: (Agent, STOP), (Outer, KILL);
            inner_killed_while_agent_stands_still: (Agent, STOP), (Inner, KILL);
            sigint_while_outer_stands_still: (Outer, STOP), (Belay, Signal::INT);
            sigint_while_inner_stands_still: (Inner, STOP), (Belay, Signal::INT);
            sigint_while_agent_stands_still: (Agent, STOP), (Belay, Signal::INT);
            sigterm_to_the_outer: (Outer, Signal::TERM);
            sigterm_to_the_inner: (Inner, Signal::TERM);
        })+};
    }
    each!(claude codex opencode);
}
