//! T12: whoever stops a run, at whatever moment and whatever the agent has started, nothing survives.

use crate::faults::plays::{STOPPED, Who};
use crate::faults::scene::{Belay, Ended, Scene, at_once, moment};
use belay_testkit::fake_agent::Child;
use belay_testkit::figures::{figure, spread, times};
use belaykit::limits;
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// A run works this long before nothing new happens in it; the moment of the stop lies within.
const WORK: Duration = Duration::from_millis(500);

/// The time limit of a run that is stopped by it lies between this and as much again.
const TIMEOUT: Duration = Duration::from_millis(150);

const TIMEOUT_OF_THE_DEAF: Duration = Duration::from_secs(5);

/// Signals closer to each other than 200 ms are one wish.
const BETWEEN: Duration = Duration::from_millis(250);

/// More than the limits allow is for a machine that has other work.
const LOAD: Duration = Duration::from_secs(20);

/// Who wants a run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Once,
    Twice,
    Thrice,
    Term,
    Hup,
    Deadline,
}

impl Wish {
    const ALL: [Self; 6] =
        [Self::Once, Self::Twice, Self::Thrice, Self::Term, Self::Hup, Self::Deadline];

    fn name(self) -> &'static str {
        match self {
            Self::Once => "SIGINT",
            Self::Twice => "SIGINT twice",
            Self::Thrice => "SIGINT three times",
            Self::Term => "SIGTERM",
            Self::Hup => "SIGHUP",
            Self::Deadline => "--timeout",
        }
    }

    fn signals(self) -> &'static [Signal] {
        match self {
            Self::Once => &[Signal::INT],
            Self::Twice => &[Signal::INT; 2],
            Self::Thrice => &[Signal::INT; 3],
            Self::Term => &[Signal::TERM],
            Self::Hup => &[Signal::HUP],
            Self::Deadline => &[],
        }
    }

    fn exit_code(self) -> i32 {
        match self {
            Self::Once | Self::Twice | Self::Thrice => 130,
            Self::Term => 143,
            Self::Hup => 129,
            Self::Deadline => 3,
        }
    }

    /// How long the ladder may take from the last wish to the end of an agent that nothing helps.
    fn ladder(self) -> Duration {
        match self {
            Self::Once | Self::Deadline => {
                limits::STOP_NATIVE + limits::STOP_SIGINT + limits::STOP_SIGTERM + limits::STOP_KILL
            }
            Self::Twice => limits::STOP_INSISTED + limits::STOP_KILL,
            Self::Thrice => limits::STOP_KILL,
            Self::Term | Self::Hup => limits::STOP_SHUTDOWN * 3 + limits::STOP_KILL,
        }
    }
}

/// What came of one stop.
struct Stopped {
    wish: Wish,
    survivors: usize,
    false_success: bool,
    took: Duration,
    /// The agent had its last words with its usage in them, and the result has it.
    usage: Option<bool>,
}

/// Stops a run of `who` and looks at what is left.
fn stop(who: Wish, agent: Who, is_deaf: bool, children: impl Fn(&Scene) -> Vec<Child>) -> Stopped {
    let scene = Scene::new();
    let folder = scene.bench.path("");
    let mut play = if is_deaf { agent.deaf(&folder) } else { agent.busy(&folder) };
    play.children = children(&scene);
    let placed = scene.bench.agent(agent.program(), &play);

    // One that hears nothing has to have begun before its time is up, on a busy machine too.
    let time = if is_deaf { TIMEOUT_OF_THE_DEAF } else { TIMEOUT + moment(TIMEOUT) };
    let timeout = format!("{}ms", time.as_millis());
    let limit: &[&str] = if who == Wish::Deadline { &["--timeout", &timeout] } else { &[] };
    let mut belay = scene.start(&[agent.args(), limit].concat());
    if is_deaf {
        belay.wait_for("session_started");
    }
    let asked = ask(who, &mut belay, moment(WORK));
    let ended = belay.end();
    // Who asks again may be gone before what ends the agent is.
    let survivors = match who {
        Wish::Twice | Wish::Thrice => scene.emptied_after(LOAD).err().unwrap_or_default(),
        _ => scene.processes(),
    };
    assert!(survivors.is_empty(), "{who:?} {agent:?} deaf: {is_deaf}: {survivors:#?}");
    let asked = asked.unwrap_or_else(|| ended.one("interrupted").at);
    let took = ended.at.saturating_duration_since(asked);
    assert!(took < who.ladder() + LOAD, "{who:?} {agent:?} deaf: {is_deaf}: {took:?}");
    Stopped {
        wish: who,
        survivors: survivors.len(),
        false_success: ended.code() == Some(0),
        took,
        usage: usage(who, agent, &placed.log().stdin(), &ended),
    }
}

/// Sends the signals and says when the last one was sent to somebody.
fn ask(wish: Wish, belay: &mut Belay, after: Duration) -> Option<Instant> {
    let mut asked = None;
    if wish != Wish::Deadline {
        thread::sleep(after);
    }
    for (n, signal) in wish.signals().iter().enumerate() {
        let is_over = n > 0 && belay.has_ended_within(BETWEEN);
        if !is_over && belay.signal(*signal) {
            asked = Some(Instant::now());
        }
    }
    asked
}

/// Checks how a stopped run ended, and whether the usage that its agent reported is in the result.
fn usage(wish: Wish, agent: Who, told: &[&str], ended: &Ended) -> Option<bool> {
    // A signal that came before belay listened has ended it before it started anything.
    if ended.lines.is_empty() && ended.code().is_none() {
        return None;
    }
    // Whoever asks again ends belay after two seconds, also where a busy machine needs more for the result.
    let insists = matches!(wish, Wish::Twice | Wish::Thrice);
    if insists && !ended.lines.iter().any(|line| line.is("result")) {
        assert_eq!(ended.code(), Some(wish.exit_code()), "{wish:?} {agent:?}");
        return None;
    }
    let kind = ended.kind();
    assert!(matches!(kind, "interrupted" | "deadline"), "{kind}");
    assert_eq!(ended.code(), Some(wish.exit_code()), "{wish:?} {agent:?}");
    let reported = agent.output_tokens()?;
    // It has a usage to report when it has been given something to do.
    let had_begun =
        agent != Who::CodexServer || told.iter().any(|line| line.contains("turn/start"));
    let had_last_words = had_begun && ended.one("attempt_ended").event["exit_code"] == STOPPED;
    let is_kept = ended.result()["usage"]["output_tokens"] == reported;
    had_last_words.then_some(is_kept)
}

/// Asserts and notes what came of many stops.
fn note(what: &str, stopped: &[Stopped]) {
    let survivors: usize = stopped.iter().map(|stopped| stopped.survivors).sum();
    let false_successes = stopped.iter().filter(|stopped| stopped.false_success).count();
    assert_eq!((survivors, false_successes), (0, 0));
    figure("T12", &format!("{what}: survivors of {} stops", stopped.len()), survivors);
    figure("T12", &format!("{what}: false successes"), false_successes);
    for wish in Wish::ALL {
        let of_wish = stopped.iter().filter(|stopped| stopped.wish == wish);
        let times: Vec<_> = of_wish.map(|stopped| stopped.took).collect();
        let bound = wish.ladder().as_secs();
        let name =
            format!("{what}: {} to the end, p50 / p99 / longest (ladder: {bound} s)", wish.name());
        figure("T12", &name, spread(&times));
    }
    let offered = stopped.iter().filter(|stopped| stopped.usage.is_some()).count();
    let kept = stopped.iter().filter(|stopped| stopped.usage == Some(true)).count();
    if offered > 0 {
        assert_eq!(kept, offered, "usage that was reported at the stop is in the result");
        figure(
            "T12",
            &format!("{what}: usage kept where the agent reported it"),
            format!("{kept} of {offered}"),
        );
    }
}

#[test]
fn whoever_stops_a_run_at_whatever_moment_nothing_of_its_agent_survives() {
    let kinds = 0..Scene::new().family().len();
    let all = Wish::ALL.into_iter().flat_map(|wish| {
        let kinds = kinds.clone();
        Who::ALL.into_iter().flat_map(move |who| kinds.clone().map(move |kind| (wish, who, kind)))
    });
    let cases: Vec<_> = (0..times(1, 50)).flat_map(|_| all.clone()).collect();
    let stopped = at_once(6, cases, |(wish, who, kind)| {
        stop(wish, who, false, |scene| vec![scene.family().swap_remove(kind)])
    });
    note("agents that stop", &stopped);
}

#[test]
fn an_agent_that_hears_nothing_is_led_up_the_ladder_in_time_with_all_that_it_started() {
    let all = Wish::ALL.into_iter().flat_map(|wish| Who::ALL.map(|who| (wish, who)));
    let cases: Vec<_> = (0..times(1, 10)).flat_map(|_| all.clone()).collect();
    // They wait for the ladder, and not for the processor.
    let stopped = at_once(18, cases, |(wish, who)| stop(wish, who, true, Scene::family));
    note("deaf agents", &stopped);
    let value = "led up the ladder and killed in time, 0 survivors";
    figure("1", "agent ignores SIGTERM and SIGINT", value);
}
