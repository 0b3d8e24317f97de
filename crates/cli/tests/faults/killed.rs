//! T13: belay is killed, with nobody left to ask.

use crate::faults::plays::Who;
use crate::faults::process_table::{pid, supervisors_of};
use crate::faults::scene::{Scene, at_once, moment};
use belay_testkit::fake_agent::{Child, Play};
use belay_testkit::figures::{figure, spread, times};
use belay_trace::journal::EVENTS_FILE;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::Duration;

/// The moment of the kill lies within.
const WORK: Duration = Duration::from_millis(500);

/// How long what belay leaves may live on; a loaded machine needs some of it to look.
const SURVIVAL: Duration = Duration::from_secs(10);

/// The children of an agent, half of which have an environment with the run's mark in it.
fn marked_and_unmarked(scene: &Scene) -> Vec<Child> {
    let unmarked = scene.family().into_iter().map(|child| Child { no_env: true, ..child });
    scene.family().into_iter().chain(unmarked).collect()
}

/// What was seen of a run whose belay was killed.
struct Killed {
    /// Until nothing of it was alive.
    swept: Duration,
    shown: usize,
    shown_and_not_stored: usize,
    has_journal: bool,
}

fn kill_belay(agent: Who, signal: Signal, is_deaf: bool) -> Killed {
    let scene = Scene::new();
    let folder = scene.bench.path("");
    let play = if is_deaf { agent.deaf(&folder) } else { agent.busy(&folder) };
    let play = Play { children: marked_and_unmarked(&scene), ..play };
    scene.bench.agent(agent.program(), &play);
    let mut belay = scene.start(agent.args());
    thread::sleep(moment(WORK));
    assert!(belay.signal(signal), "nothing ends it before");
    // Rust takes a first SIGSEGV for a stack that is too small, and expects the instruction to fail again.
    while !belay.has_ended_within(Duration::from_millis(20)) {
        belay.signal(signal);
    }
    let ended = belay.end();
    assert_eq!(ended.code(), None);
    let swept = scene.emptied_after(SURVIVAL);
    let swept = swept.unwrap_or_else(|alive| panic!("{agent:?} deaf: {is_deaf}: {alive:#?}"));

    let stored = stored(&scene);
    let is_stored = |event: &Value| stored.contains(event);
    let missing = ended.lines.iter().filter(|line| !is_stored(&line.event)).count();
    let has_journal = scene.journal().is_some();
    if has_journal {
        let mut show = scene.bench.belay(&["show", "latest", "--format", "jsonl"]);
        let shown = show.output().unwrap();
        assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
        let runs = scene.bench.shown(&["runs"]);
        assert!(runs.contains("  crashed "), "{runs}");
    }
    Killed { swept, shown: ended.lines.len(), shown_and_not_stored: missing, has_journal }
}

/// The events in the journal; only a line that the kill has cut off, the last one, may be none.
fn stored(scene: &Scene) -> Vec<Value> {
    let Some(run) = scene.journal() else { return Vec::new() };
    let bytes = fs::read(run.folder().join(EVENTS_FILE)).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn a_killed_belay_leaves_no_process_and_a_journal_with_all_that_it_has_shown() {
    let all = Who::ALL.into_iter().flat_map(|who| {
        [(Signal::KILL, false), (Signal::SEGV, false), (Signal::KILL, true)]
            .map(|(signal, is_deaf)| (who, signal, is_deaf))
    });
    let cases: Vec<_> = all.cycle().take(times(20, 200)).collect();
    let killed = at_once(6, cases, |(who, signal, is_deaf)| kill_belay(who, signal, is_deaf));

    let swept: Vec<_> = killed.iter().map(|killed| killed.swept).collect();
    let late = swept.iter().filter(|swept| **swept > Duration::from_secs(2)).count();
    let missing: usize = killed.iter().map(|killed| killed.shown_and_not_stored).sum();
    let shown: usize = killed.iter().map(|killed| killed.shown).sum();
    let journals = killed.iter().filter(|killed| killed.has_journal).count();
    figure("T13", &format!("survivors 2 s after {} kills of belay", killed.len()), late);
    figure("T13", "from the kill to an empty tree, p50 / p99 / longest", spread(&swept));
    figure("T13", "journals readable", format!("{journals} of {journals} that were begun"));
    figure("T13", &format!("of {shown} events shown, not in the journal"), missing);
    assert_eq!(missing, 0);
}

#[test]
fn a_belay_that_is_killed_while_its_supervisor_starts_the_agent_leaves_no_process() {
    at_once(2, 0..times(10, 100), |_| {
        let scene = Scene::new();
        let play = Who::Claude.deaf(&scene.bench.path(""));
        scene.bench.agent("claude", &Play { children: marked_and_unmarked(&scene), ..play });
        let mut belay = scene.start(Who::Claude.args());
        // At once, so no sleep between two looks.
        let looks = std::iter::repeat_with(|| supervisors_of(belay.id()).first().copied());
        let supervisor = pid(looks.take(100_000).flatten().next().expect("a run has a supervisor"));
        // Held until belay has told it what to start, and is gone when it says that it has.
        kill_process(supervisor, Signal::STOP).unwrap();
        thread::sleep(moment(Duration::from_millis(40)));
        assert!(belay.signal(Signal::KILL));
        belay.end();
        kill_process(supervisor, Signal::CONT).unwrap();
        let swept = scene.emptied_after(SURVIVAL);
        assert!(swept.is_ok(), "{swept:#?}");
    });
}
