//! T16: a program that the agent leaves behind keeps its standard output open.

use crate::faults::plays::{recorded, says};
use crate::faults::process_table::process;
use crate::faults::scene::{Ended, Scene, at_once};
use belay_testkit::fake_agent::{Child, Place, Play};
use belay_testkit::figures::{figure, spread, times};
use belaykit::limits;
use std::time::Duration;

/// More than the limits allow is for a machine that has other work.
const LOAD: Duration = Duration::from_secs(8);

fn holds_stdout(scene: &Scene) -> Vec<Child> {
    vec![Child { holds_stdout: true, ..scene.child(Place::OwnSession) }]
}

/// From the agent's last line, after which it exits, to belay's end.
fn after_the_result(ended: &Ended) -> Duration {
    ended.at - ended.one("attempt_result").at
}

#[test]
fn a_program_that_holds_stdout_is_ended_with_the_agent_and_named() {
    let took = at_once(2, 0..times(5, 50), |_| {
        let scene = Scene::new();
        let play = Play { children: holds_stdout(&scene), ..recorded("a-text") };
        let agent = scene.bench.agent("claude", &play);
        let ended = scene.run(&[]);
        assert_eq!(ended.kind(), "answered");
        assert_eq!(scene.processes(), []);
        let left = &ended.one("attempt_ended").event["left"];
        assert_eq!(left[0]["pid"], agent.log().children()[0], "{left}");
        assert_eq!((left[0]["killed"].as_bool(), left.as_array().unwrap().len()), (Some(true), 1));
        after_the_result(&ended)
    });
    figure(
        "1",
        "setsid grandchild holds stdout, agent exited",
        "answered; ended and named, 0 survivors",
    );
    figure("T16", "from the result to the end, p50 / p99 / longest", spread(&took));
    assert!(took.iter().all(|took| *took < limits::DRAIN + LOAD), "{took:?}");
}

#[test]
fn a_program_that_may_go_on_is_waited_for_a_second_named_and_left_alone() {
    let took = at_once(2, 0..times(3, 20), |_| {
        let scene = Scene::new();
        let play = Play { children: holds_stdout(&scene), ..recorded("a-text") };
        let agent = scene.bench.agent("claude", &play);
        let ended = scene.run(&["--leave-running"]);
        assert_eq!(ended.kind(), "answered");
        let pid = agent.log().children()[0];
        let attempt = &ended.one("attempt_ended").event;
        assert_eq!(
            (&attempt["left"][0]["pid"], &attempt["left"][0]["killed"]),
            (&pid.into(), &false.into())
        );
        assert_eq!(attempt["pipes_held_open"], true);
        // It and nothing else lives on, also no supervisor.
        let alive = scene.processes();
        assert_eq!(alive.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
        assert!(process(pid).is_some());
        after_the_result(&ended)
    });
    figure("T16", "with --leave-running, p50 / p99 / longest", spread(&took));
    assert!(took.iter().all(|took| *took < limits::DRAIN + LOAD), "{took:?}");
}

#[test]
fn a_program_that_holds_stdout_does_not_keep_a_silent_agent_from_its_limit() {
    let scene = Scene::new();
    let silent = says(crate::faults::plays::lines("claude-code", "a-text").into_iter().take(1));
    let play = Play { children: holds_stdout(&scene), linger_ms: 300_000, ..silent };
    scene.bench.agent("claude", &play);
    let ended = scene.run(&["--idle-timeout", "1s"]);
    assert_eq!((ended.kind(), ended.code()), ("stalled", Some(3)));
    assert_eq!(scene.processes(), []);
    let value = "stopped at its limit, 0 survivors";
    figure("1", "setsid grandchild holds stdout, agent alive", value);
}
