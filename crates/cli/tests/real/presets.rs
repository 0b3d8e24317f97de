//! The agents that belay knows by a preset over ACP alone, as people have them: what they tell, what they keep to, how they
//! fail and how they are stopped. What an agent cannot do itself stands in `cells` as what it is, and holds too.

mod cells;
mod place;

use crate::bench::{marked, wait_until};
use belay_testkit::figures::figure;
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{PresetAgent, again_if_it_fails};
use place::{Place, TOKENS};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

/// Makes a test of each fact for each of the agents. Those behind the few are for `--all`, and so are facts behind the
/// semicolon, for which the agents try for minutes.
macro_rules! of_each {
    ($($fact:ident),+; $($slow:ident),+) => {
        $(
            mod $fact {
                of_each!(@agents $fact: kilo Kilo, cline Cline);
                mod every_way {
                    of_each!(@others $fact);
                }
            }
        )+
        $(
            mod $slow {
                mod every_way {
                    of_each!(@agents $slow: kilo Kilo, cline Cline);
                    of_each!(@others $slow);
                }
            }
        )+
    };
    (@others $fact:ident) => {
        of_each!(@agents $fact: droid Droid, nanocoder Nanocoder, vibe Vibe, hermes Hermes);
        of_each!(@agents $fact: fast_agent FastAgent, openhands OpenHands);
    };
    (@agents $fact:ident: $($test:ident $agent:ident),+) => { $(
        #[test]
        fn $test() {
            let agent = belay_testkit::real::PresetAgent::$agent;
            crate::presets::holds(stringify!($fact), agent, crate::presets::$fact);
        }
    )+ };
}

of_each!(
    answers, uses_a_tool, permits, resumes, fails_with_401, fails_with_429, is_interrupted, is_killed;
    fails_with_500, fails_unreachable
);

/// How long an agent may take to start and to run its first command, on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);

/// What stands in front of a time, which is another one each time.
const AFTER: &str = ", after some ";

/// What was seen of a fact: the cell of the table, and what it says.
type Seen = Vec<(&'static str, String)>;

/// Holds what an agent shows of a fact against what is known of it.
fn holds(fact: &str, agent: PresetAgent, look: fn(&Place) -> Seen) {
    let test = format!("presets::{fact}::{}", agent.name());
    again_if_it_fails(&test, || {
        let Some(place) = Place::enter(agent, &test) else { return };
        let seen = look(&place);
        for (cell, says) in &seen {
            figure(agent.name(), cell, says);
        }
        let known: Vec<_> = cells::of(agent).collect();
        let wrong: Vec<_> = seen
            .iter()
            .filter(|(cell, says)| {
                let says = says.split(AFTER).next().unwrap_or_default();
                !known.contains(&(*cell, says))
            })
            .collect();
        assert!(wrong.is_empty(), "{}: not what is known: {wrong:#?}", agent.name());
    });
}

fn answers(place: &Place) -> Seen {
    let told = place.run(Script::new().forever(Reply::text("It is 42.").usage(TOKENS)), &[]);
    assert_eq!((told.code, told.answer()), (Some(0), "It is 42."), "{told:#?}");
    let id = told.result["session_id"].as_str().is_some_and(|id| !id.is_empty());
    vec![("answer", if id { "yes" } else { "without a session id" }.to_owned())]
}

/// The tool's call, its result, and what both responses have used and cost.
fn uses_a_tool(place: &Place) -> Seen {
    let shell = Reply::text("Looking.").shell("(echo one; exit 3)").usage(TOKENS);
    let script = Script::new().reply(shell).forever(Reply::text("Done.").usage(TOKENS));
    let prices = place.prices();
    let told = place.run(script, &["--permit", "full", "--price-file", &prices]);
    assert_eq!((told.code, told.answer()), (Some(0), "Done."), "{told:#?}");
    vec![("tool", told.tool()), ("usage", told.usage()), ("cost", told.cost())]
}

/// What runs and what is written unasked, in each mode of belay.
fn permits(place: &Place) -> Seen {
    let modes = [
        ("unsaid", None),
        ("read-only", Some("read-only")),
        ("ask", Some("ask")),
        ("edit", Some("edit")),
        ("full", Some("full")),
    ];
    let mut seen = Vec::new();
    for (cell, mode) in modes {
        let (ran, written) = (place.file("ran"), place.file("written.txt"));
        let script = Script::new()
            .reply(Reply::text("I run it.").shell("touch ran").usage(TOKENS))
            .reply(Reply::text("I write it.").write_file(written.to_string_lossy(), "one\n"))
            .forever(Reply::text("Done."));
        let args: Vec<_> = mode.iter().flat_map(|mode| ["--permit", mode]).collect();
        let told = place.run(script, &args);
        let does = match (ran.exists(), written.exists()) {
            (true, true) => "runs and writes",
            (true, false) => "runs",
            (false, true) => "writes",
            (false, false) if told.requests == 0 => "refused",
            (false, false) => "nothing",
        };
        for file in [ran, written] {
            let _ = std::fs::remove_file(file);
        }
        seen.push((cell, does.to_owned()));
    }
    seen
}

/// The session goes on in another process, and the second run counts its own tokens.
fn resumes(place: &Place) -> Seen {
    // Hermes keeps the address of its model in the session.
    let script = Script::new().forever(Reply::text("Fine.").usage(TOKENS));
    let server = ModelServer::start(script).unwrap();
    let first = place.run_at(&server, &[]);
    let id = first.result["session_id"].as_str().unwrap_or_default().to_owned();
    let told = place.run_at(&server, &["--resume", &id]);
    assert_eq!((told.code, told.answer()), (Some(0), "Fine."), "{told:#?}");
    assert!(told.knows_the_first, "the model was not told of the first prompt: {told:#?}");
    vec![("resume", told.usage())]
}

/// A failure that lasts: one failover of the right kind, and the next agent's answer within a minute.
fn fails(place: &Place, cell: &'static str, failure: Option<Reply>) -> Seen {
    let told = place.hands_over(failure.map(|reply| Script::new().forever(reply)));
    if told.result["failure"]["kind"] == "deadline" {
        return vec![(cell, "tried again, untold, for 150 s and more".to_owned())];
    }
    assert_eq!((told.code, told.answer()), (Some(0), "Claude did it."), "{told:#?}");
    let failovers: Vec<_> =
        told.events.iter().filter(|event| event["type"] == "failover").collect();
    assert_eq!(failovers.len(), 1, "{told:#?}");
    let kind = failovers[0]["failure"]["kind"].as_str().unwrap_or_default();
    let late = match told.took.as_secs() {
        0..15 => String::new(),
        seconds => format!("{AFTER}{} s", seconds / 10 * 10),
    };
    vec![(cell, format!("`{kind}`{late}"))]
}

fn fails_with_401(place: &Place) -> Seen {
    fails(place, "401", Some(Reply::unauthorized()))
}

fn fails_with_429(place: &Place) -> Seen {
    fails(place, "429", Some(Reply::rate_limited().header("retry-after", "1")))
}

fn fails_with_500(place: &Place) -> Seen {
    fails(place, "500", Some(Reply::server_error()))
}

fn fails_unreachable(place: &Place) -> Seen {
    fails(place, "dead server", None)
}

fn is_interrupted(place: &Place) -> Seen {
    let (code, kind) = signaled(place, Signal::INT);
    assert_eq!(code, Some(130));
    vec![("SIGINT", format!("`{kind}`, 0 left"))]
}

fn is_killed(place: &Place) -> Seen {
    assert_eq!(signaled(place, Signal::KILL).0, None);
    vec![("SIGKILL", "0 left".to_owned())]
}

/// The run under a signal while the agent's tool runs; nothing may be left of it.
fn signaled(place: &Place, signal: Signal) -> (Option<i32>, String) {
    // Its own number, so that no other test's is taken for it.
    let seconds = format!(
        "{}",
        3_000_000 + std::process::id() + signal.as_raw() as u32 * 100_000 + place.number()
    );
    let sleep = Reply::text("I will sleep.").shell(format!("sleep {seconds}")).usage(TOKENS);
    let server =
        ModelServer::start(Script::new().reply(sleep).forever(Reply::text("Never."))).unwrap();
    let mut child = place.belay(Some(&server), &["--permit", "full"]).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = std::thread::spawn(move || {
        let events = lines.map_while(Result::ok);
        let events = events.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        events.last().unwrap_or_default()
    });
    // OpenHands needs half a minute before it asks its model.
    let began = Instant::now();
    while marked(&seconds).is_empty() {
        assert!(began.elapsed() < START_MAX, "the tool never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(pid, signal).unwrap();
    let code = child.wait().unwrap().code();
    let last = reading.join().unwrap();
    let home = place.home();
    wait_until("something is left", || {
        marked(&seconds).is_empty() && marked(&home).iter().all(|pid| *pid == std::process::id())
    });
    (code, last["failure"]["kind"].as_str().unwrap_or_default().to_owned())
}
