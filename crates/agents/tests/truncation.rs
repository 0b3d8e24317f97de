//! Streams that break off.

use crate::count::{Count, Wrong, is_long};
use crate::recorded;
use crate::recorded::{Recording, lines};
use belay_agents::Exit;
use std::collections::BTreeSet;

/// Up to this size a recording is cut at every byte; all of them at every byte take too long for every change.
const BYTES_MAX: usize = 1_000;

/// A larger one is cut in steps of so many bytes, and around each line's end; with full counts too, where each cut
/// is tried with every end of the process: at every byte Claude's recordings alone take half an hour.
const STEP: usize = 29;

/// How far around a line's end a larger recording is cut.
const AROUND: usize = 2;

#[test]
fn a_cut_claude_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("claude-code/");
}

#[test]
fn a_cut_codex_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("codex/");
}

#[test]
fn a_cut_pi_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("pi/");
}

#[test]
fn a_cut_docker_agent_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("docker-agent/");
}

#[test]
fn a_cut_opencode_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("opencode/");
}

fn check_all(agent: &str) {
    let mut count = Count::of("streams cut");
    for recording in recorded::all().iter().filter(|recording| recording.name.starts_with(agent)) {
        let landmarks = landmarks(recording);
        for cut in cuts(&recording.stdout) {
            let exits: &[Exit] = if is_long() { &EXITS } else { &EXITS[..1] };
            for exit in exits {
                let about = || format!("{} cut at {cut}, {exit:?}", recording.name);
                count.case(about, || wrong_in_cut(recording, &landmarks, cut, *exit));
            }
        }
    }
    count.done();
}

/// How the process ends behind a stream that breaks off; 0 is what would look best.
const EXITS: [Exit; 4] = [Exit::Code(0), Exit::Code(1), Exit::Signal(9), Exit::Signal(15)];

/// A line that begins a turn or ends one.
struct Landmark {
    /// The line's last byte is the one before.
    end: usize,
    /// How the turn ended, or none if it begins here.
    verdict: Option<bool>,
}

fn landmarks(recording: &Recording) -> Vec<Landmark> {
    let mut end = 0;
    let mut landmarks = Vec::new();
    for line in recording.lines() {
        end += line.len();
        let verdict = recording.verdict(line);
        if verdict.is_some() || recording.begins_turn(line) {
            landmarks.push(Landmark { end, verdict });
        }
        end += 1;
    }
    landmarks
}

fn cuts(stream: &[u8]) -> BTreeSet<usize> {
    if stream.len() < BYTES_MAX {
        return (0..=stream.len()).collect();
    }
    let ends = stream.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let around = ends.flat_map(|end| end.saturating_sub(AROUND)..=end + AROUND);
    let cuts = around.chain((0..stream.len()).step_by(STEP));
    cuts.map(|cut| cut.min(stream.len())).collect()
}

/// Exactly the turns whose end was printed ended as the agent said, and an open one ended as a failure.
fn wrong_in_cut(recording: &Recording, landmarks: &[Landmark], cut: usize, exit: Exit) -> Wrong {
    let seen: Vec<_> = landmarks.iter().filter(|landmark| landmark.end <= cut).collect();
    let mut want: Vec<bool> = seen.iter().filter_map(|landmark| landmark.verdict).collect();
    // Claude holds results back over print while subagents work on, and then prints several.
    let ended = seen.iter().filter(|landmark| landmark.verdict.is_some()).count();
    let is_held = recording.name.ends_with("-print") && seen.len() > 2 * ended;
    let is_open = is_held || seen.last().is_none_or(|last| last.verdict.is_none());
    if is_open {
        want.push(false);
    }
    if recording.ends_with_its_process() && exit != Exit::Code(0) {
        want.fill(false);
    }
    let ends = recorded::ends(&recording.said_of(&lines(&recording.stdout[..cut]), exit));
    let succeeded: Vec<bool> = ends.iter().map(|end| end.failure.is_none()).collect();
    let count = |ends: &[bool]| ends.iter().filter(|success| **success).count();
    Wrong {
        false_successes: count(&succeeded).saturating_sub(count(&want)),
        lost: usize::from(succeeded != want),
    }
}
