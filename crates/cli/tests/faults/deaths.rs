//! T14: one or two of belay, its supervisors and the agent die at once, or stand still, in every order.

use crate::faults::plays::Who;
use crate::faults::process_table::{Process, pid, processes};
use crate::faults::scene::{Belay, Scene, at_once, moment, wait_until};
use belay_testkit::fake_agent::{Child, Play};
use belay_testkit::figures::{figure, times};
use rustix::process::{Signal, kill_process};
use std::thread;
use std::time::Duration;

/// How long what is left may live on; a loaded machine needs some of it to look.
const SURVIVAL: Duration = Duration::from_secs(20);

/// Whoever can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Belay,
    Outer,
    Inner,
    Agent,
}

impl Victim {
    const ALL: [Self; 4] = [Self::Belay, Self::Outer, Self::Inner, Self::Agent];

    /// Every two of them, in both orders.
    fn pairs() -> Vec<(Self, Self)> {
        let pairs = Self::ALL.into_iter().flat_map(|a| Self::ALL.map(|b| (a, b)));
        pairs.filter(|(a, b)| a != b).collect()
    }
}

/// A run that works, and who is who in it.
struct Family {
    scene: Scene,
    belay: Belay,
    pids: [u32; 4],
}

impl Family {
    /// The agent has children of every kind, half of which have an environment with the run's mark in it.
    fn new(args: &[&str]) -> Self {
        let scene = Scene::new();
        let play = Who::Claude.busy(&scene.bench.path(""));
        let unmarked = scene.family().into_iter().map(|child| Child { no_env: true, ..child });
        let children = scene.family().into_iter().chain(unmarked).collect();
        scene.bench.agent("claude", &Play { children, ..play });
        let belay = scene.start(&[Who::Claude.args(), args].concat());
        belay.wait_for("tool_call");
        wait_until("the children are there", || scene.processes().len() >= 9);
        let all = processes();
        let child = |of: u32, name: &str| -> &Process {
            let is_it = |p: &&Process| p.parent == of && p.command.contains(name);
            all.iter().find(is_it).unwrap_or_else(|| panic!("{name} of {of} in {all:#?}"))
        };
        let outer = child(belay.id(), "belay-supervisor").pid;
        let inner = child(outer, "belay-supervisor").pid;
        let agent = child(inner, "claude").pid;
        let pids = [belay.id(), outer, inner, agent];
        Self { scene, belay, pids }
    }

    fn signal(&self, victim: Victim, signal: Signal) {
        let pid = pid(self.pids[victim as usize]);
        // One that the death of another has ended already.
        let _ = kill_process(pid, signal);
    }

    /// Nothing of the run lives any more, supervisors included.
    fn assert_gone(mut self, what: &str) {
        assert!(self.belay.has_ended_within(SURVIVAL), "{what}: belay hangs");
        if let Err(alive) = self.scene.emptied_after(SURVIVAL) {
            panic!("{what}: {:?} has left {alive:#?}", self.pids);
        }
        let all = processes();
        let is_ours = |p: &&Process| self.pids.contains(&p.pid) && p.state != 'Z';
        let left: Vec<_> = all.iter().filter(is_ours).collect();
        assert!(left.is_empty(), "{what}: {left:#?}");
    }
}

#[test]
fn whoever_of_the_four_is_killed_nothing_survives() {
    let cases: Vec<_> = Victim::ALL.into_iter().cycle().take(times(4, 40)).collect();
    let count = cases.len();
    at_once(3, cases, |victim| {
        let family = Family::new(&[]);
        thread::sleep(moment(Duration::from_millis(50)));
        family.signal(victim, Signal::KILL);
        family.assert_gone(&format!("{victim:?} killed"));
    });
    figure("T14", &format!("survivors of {count} kills of one of the four"), 0);
}

#[test]
fn whichever_two_of_the_four_are_killed_nothing_survives() {
    let cases: Vec<_> = Victim::pairs().into_iter().cycle().take(times(12, 240)).collect();
    let count = cases.len();
    at_once(3, cases.into_iter().enumerate(), |(n, (first, second))| {
        let family = Family::new(&[]);
        family.signal(first, Signal::KILL);
        // At once, or while the other cleans up.
        if n % 2 == 1 {
            thread::sleep(moment(Duration::from_millis(30)));
        }
        family.signal(second, Signal::KILL);
        family.assert_gone(&format!("{first:?} and {second:?} killed"));
    });
    figure("T14", &format!("survivors of {count} kills of two of the four"), 0);
}

#[test]
fn while_one_stands_still_the_death_of_another_ends_everything() {
    let cases: Vec<_> = Victim::pairs().into_iter().cycle().take(times(12, 120)).collect();
    let count = cases.len();
    at_once(3, cases, |(stopped, killed)| {
        let family = Family::new(&[]);
        family.signal(stopped, Signal::STOP);
        thread::sleep(moment(Duration::from_millis(30)));
        family.signal(killed, Signal::KILL);
        if stopped == Victim::Belay {
            // It stands still until somebody lets it go on; nothing else may be left.
            wait_until("all others are gone", || {
                let left = family.scene.processes();
                left.iter().all(|p| p.pid == family.pids[0])
            });
            family.signal(Victim::Belay, Signal::CONT);
        }
        family.assert_gone(&format!("{stopped:?} stopped, {killed:?} killed"));
    });
    figure("T14", &format!("survivors of {count} kills while another was stopped"), 0);
}

#[test]
fn while_one_stands_still_a_stop_and_a_limit_end_everything() {
    let cases: Vec<_> =
        Victim::ALL.into_iter().flat_map(|who| [(who, true), (who, false)]).collect();
    at_once(3, cases, |(stopped, by_request)| {
        let limit: &[&str] = if by_request { &[] } else { &["--timeout", "4s"] };
        let family = Family::new(limit);
        family.signal(stopped, Signal::STOP);
        if by_request {
            let mut stop = family.scene.bench.belay(&["stop", "latest"]);
            let stop = stop.output().unwrap();
            assert!(
                stop.status.success(),
                "{stopped:?}: {}",
                String::from_utf8_lossy(&stop.stderr)
            );
        } else if stopped == Victim::Belay {
            wait_until("its supervisors keep its time", || {
                let left = family.scene.processes();
                left.iter().all(|p| p.pid == family.pids[0])
            });
            family.signal(Victim::Belay, Signal::CONT);
        }
        family.assert_gone(&format!("{stopped:?} stopped, by request: {by_request}"));
    });
}

/// Nobody is left to end anything: what that leaves is counted, and is no secret.
#[test]
fn what_lives_on_when_belay_and_both_supervisors_die_at_once_is_counted() {
    let family = Family::new(&[]);
    let dead = [Victim::Belay, Victim::Outer, Victim::Inner];
    // So that none of them can do what the other cases are about.
    for signal in [Signal::STOP, Signal::KILL] {
        dead.iter().for_each(|victim| family.signal(*victim, signal));
    }
    let left = family.scene.emptied_after(Duration::from_millis(500)).err().unwrap_or_default();
    let name = "belay and both supervisors killed at once: survivors of an agent and 8 children";
    figure("T14", name, left.len());
}
