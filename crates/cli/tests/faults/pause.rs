//! T15: Ctrl-Z and `fg`, at whatever moment.

use crate::faults::plays::recorded;
use crate::faults::process_table::process;
use crate::faults::scene::{Belay, Scene, at_once, moment, wait_until};
use belay_testkit::fake_agent::{Pace, Play};
use belay_testkit::figures::{figure, times};
use rustix::process::Signal;
use std::thread;
use std::time::Duration;

/// A run is stopped while it is spawned: that takes some milliseconds, more in a debug build.
const SPAWN: Duration = Duration::from_millis(60);

/// How long we look for a belay that stands still. Before it listens, the system stops it, or does not because
/// nobody is there who could say `fg`.
const STANDSTILL: Duration = Duration::from_secs(1);

fn works() -> Play {
    Play { pace: Pace::FixedMs(80), ..recorded("b-shell") }
}

/// True when it stands still.
fn stands_still(belay: &mut Belay) -> bool {
    let tries = STANDSTILL.as_millis() / 10;
    (0..tries).any(|_| {
        let stands = process(belay.id()).is_some_and(|process| process.state == 'T');
        stands || belay.has_ended_within(Duration::from_millis(10))
    })
}

#[test]
fn a_ctrl_z_while_a_run_is_spawned_leaves_nothing_stuck() {
    let runs = times(10, 100);
    let paused = at_once(4, 0..runs, |_| {
        let (scene, _) = Scene::claude(&works());
        let mut belay = scene.start(&[]);
        thread::sleep(moment(SPAWN));
        belay.signal(Signal::TSTP);
        let paused = stands_still(&mut belay);
        belay.signal(Signal::CONT);
        let ended = belay.end();
        assert_eq!(ended.kind(), "answered");
        assert_eq!(scene.processes(), []);
        paused
    });
    let paused = paused.into_iter().filter(|paused| *paused).count();
    figure("T15", &format!("Ctrl-Z while spawning: stuck of {runs} ({paused} stood still)"), 0);
}

#[test]
fn a_ctrl_z_while_a_run_works_freezes_all_that_its_agent_has_started_and_fg_lets_it_go_on() {
    let runs = times(10, 100);
    at_once(4, 0..runs, |_| {
        let scene = Scene::new();
        // Longer than any moment of ours, also on a machine that has other work.
        let works = Play { pace: Pace::FixedMs(400), ..works() };
        scene.bench.agent("claude", &Play { children: scene.family(), ..works });
        let mut belay = scene.start(&[]);
        belay.wait_for("session_started");
        thread::sleep(moment(Duration::from_millis(200)));
        assert!(belay.signal(Signal::TSTP));
        wait_until("belay stands still", || process(belay.id()).is_some_and(|p| p.state == 'T'));
        let tree = || {
            let processes = scene.processes().into_iter();
            processes.filter(|p| p.pid != belay.id() && !p.command.starts_with("belay-supervisor "))
        };
        wait_until("the agent and its children stand still", || tree().all(|p| p.state == 'T'));
        assert_eq!(tree().count(), 1 + scene.family().len(), "{:#?}", scene.processes());
        assert!(belay.signal(Signal::CONT));
        assert_eq!(belay.end().kind(), "answered");
        assert_eq!(scene.processes(), []);
    });
    figure("T15", &format!("Ctrl-Z while it works: stuck of {runs}"), 0);
    figure("T15", "processes of the tree that were not frozen", 0);
}

#[test]
fn a_pause_counts_neither_for_the_time_limit_nor_for_the_idle_limit() {
    let limits = Duration::from_secs(4);
    let pause = limits + Duration::from_millis(500);
    let limited: [&[&str]; 2] = [&["--timeout", "4s"], &["--idle-timeout", "4s"]];
    at_once(2, limited, |args| {
        let (scene, _) = Scene::claude(&works());
        let mut belay = scene.start(args);
        belay.wait_for("session_started");
        belay.signal(Signal::TSTP);
        assert!(stands_still(&mut belay));
        thread::sleep(pause);
        belay.signal(Signal::CONT);
        let ended = belay.end();
        assert!(ended.took() > pause);
        assert_eq!((ended.kind(), ended.notices("idle").len()), ("answered", 0), "{args:?}");
    });
    figure("T15", "limits of 4 s that a pause of 4.5 s has set off", 0);
}
