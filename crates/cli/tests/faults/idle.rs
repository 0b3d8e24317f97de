//! T17: agents that fall silent, wait, or never come to an end.

use crate::faults::plays::{Who, lines, recorded, says};
use crate::faults::scene::{Ended, Scene, at_once};
use belay_testkit::fake_agent::{Pace, Play, Signal};
use belay_testkit::figures::{figure, spread, times};
use belaykit::limits;
use std::time::{Duration, Instant};

/// More than the limits allow is for a machine that has other work.
const LOAD: Duration = Duration::from_secs(10);

const SECOND: Duration = Duration::from_secs(1);

/// From the last thing that the agent printed to the decision to stop it.
fn silence(ended: &Ended) -> Duration {
    let stop = ended.one("interrupted").at;
    let of_agent =
        |line: &&crate::faults::scene::Line| line.event["raw"].is_object() && line.at < stop;
    stop - ended.lines.iter().filter(of_agent).map(|line| line.at).max().unwrap()
}

#[test]
fn a_paid_result_survives_an_agent_that_hangs_after_it() {
    let deaf = vec![Signal::Int, Signal::Term];
    let (scene, _) =
        Scene::claude(&Play { linger_ms: 300_000, ignore: deaf, ..recorded("b-shell") });
    let ended = scene.run(&[]);
    assert_eq!((ended.kind(), ended.notices("lingers").len()), ("answered", 1));
    assert_eq!(ended.result()["result"], "The command printed hello-from-shell.");
    assert_eq!(ended.result()["usage"]["total_cost_usd"], 0.012975);
    assert_eq!(ended.one("attempt_ended").event["forced"], true);
    // It was told, and stood in the journal, before anything was cleaned up.
    let told = ended.one("attempt_result").at - ended.began;
    let took = ended.at - ended.one("attempt_result").at;
    assert!(
        told < took && took < limits::LINGER + limits::STOP_INSISTED + LOAD,
        "{told:?} {took:?}"
    );
    assert_eq!(scene.processes(), []);
    figure("1", "result event, then process lingers", "answered, result and cost kept");
    figure(
        "T17",
        "hang after the result: result kept; from it to the end",
        format!("{:.1} s", took.as_secs_f64()),
    );
}

#[test]
fn a_silent_agent_is_warned_of_at_a_third_of_its_limit_and_stopped_at_it() {
    let measured = at_once(3, 0..times(3, 30), |_| {
        let scene = Scene::new();
        scene.bench.agent("claude", &Who::Claude.busy(&scene.bench.path("")));
        let ended = scene.run(&["--idle-timeout", "3s"]);
        assert_eq!((ended.kind(), ended.code()), ("stalled", Some(3)));
        let [warning] = ended.notices("idle")[..] else {
            panic!("warned once: {:#?}", ended.lines)
        };
        assert!(warning.contains("the run is stopped in"), "{warning}");
        let of_idle = |line: &&crate::faults::scene::Line| line.event["code"] == "idle";
        let warned = ended.lines.iter().find(of_idle).unwrap().at;
        assert_eq!(scene.processes(), []);
        (silence(&ended), ended.one("interrupted").at - warned)
    });
    let (silent, after_warning): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    assert!(
        silent.iter().all(|s| *s > 3 * SECOND - SECOND / 10 && *s < 3 * SECOND + LOAD),
        "{silent:?}"
    );
    assert!(after_warning.iter().all(|time| *time > SECOND), "{after_warning:?}");
    figure(
        "T17",
        "silence with a limit of 3 s, until it is stopped, p50 / p99 / longest",
        spread(&silent),
    );
    figure("T17", "from the warning to the stop, p50 / p99 / longest", spread(&after_warning));
}

/// Claude announces to try again in so long.
fn retry(delay_ms: u64) -> String {
    let line = lines("claude-code", "g-429-once").swap_remove(1);
    line.replace("1095", &delay_ms.to_string())
}

#[test]
fn a_retry_that_was_announced_is_waited_for_without_an_alarm() {
    let mut stream = lines("claude-code", "g-429-once");
    stream[1] = retry(2500);
    let pace = Pace::RecordedMs(vec![0.0, 0.0, 2500.0, 2500.0]);
    let (scene, _) = Scene::claude(&Play { pace, ..says(stream) });
    let ended = scene.run(&["--idle-timeout", "start=60s,model=1s,tool=1s,retry=10s"]);
    assert_eq!(ended.kind(), "answered");
    let alarms = ended.notices("idle").len() + ended.all("interrupted").count();
    assert_eq!(alarms, 0, "{:#?}", ended.lines);
    figure(
        "T17",
        "false alarms during an announced retry of 2.5 s with a model limit of 1 s",
        alarms,
    );
}

#[test]
fn a_retry_in_three_days_is_not_waited_for() {
    let mut stream = lines("claude-code", "g-429-once");
    stream[1] = retry(3 * 86_400_000);
    stream.truncate(2);
    let (scene, _) = Scene::claude(&Play { linger_ms: 300_000, ..says(stream) });
    let ended = scene.run(&[]);
    assert_eq!((ended.kind(), ended.code()), ("usage_limit", Some(75)));
    assert!(ended.result()["retry_at"].is_string(), "it says when to come back");
    let message = ended.result()["failure"]["message"].as_str().unwrap();
    assert!(message.contains("3 days"), "{message}");
    let decided = ended.one("interrupted").at - ended.one("retry").at;
    assert!(decided < LOAD, "{decided:?}");
    figure(
        "T17",
        "a retry in three days is refused after",
        format!("{:.2} s", decided.as_secs_f64()),
    );
}

#[test]
fn retries_without_end_come_to_an_end() {
    // The slack of half a minute makes this slow; `runner/idle.rs` has the same with a clock of its own.
    if times(0, 1) == 0 {
        return;
    }
    let init = lines("claude-code", "g-429-once").swap_remove(0);
    let stream = std::iter::once(init).chain((0..1000).map(|_| retry(200)));
    let (scene, _) = Scene::claude(&Play { pace: Pace::FixedMs(200), ..says(stream) });
    let began = Instant::now();
    let ended = scene.run(&["--idle-timeout", "start=60s,model=1s,retry=1s"]);
    assert_eq!((ended.kind(), ended.code()), ("stalled", Some(3)));
    let took = began.elapsed();
    assert!(took < limits::RETRY_SLACK + 2 * SECOND + LOAD, "{took:?}");
    figure(
        "T17",
        "retries every 0.2 s without end (limits of 1 s and half a minute of slack) end after",
        format!("{:.1} s", took.as_secs_f64()),
    );
}
