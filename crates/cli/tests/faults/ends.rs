//! T1 and T5: floods on standard error, and agents that end where they should not.

use crate::faults::plays::{Who, recorded, says};
use crate::faults::scene::{Ended, Scene, at_once};
use belay_testkit::fake_agent::{Exit, Play, Signal, WaitForStdin};
use belay_testkit::figures::{figure, times};
use belay_testkit::recordings;
use belaykit::limits;
use serde_json::Value;
use std::fs;

fn flood() -> (u64, &'static str) {
    if times(0, 1) == 1 { (100 << 20, "100 MiB") } else { (10 << 20, "10 MiB") }
}

/// How much the journal of the only run takes on the disk.
fn journal_bytes(scene: &Scene) -> u64 {
    let files = fs::read_dir(scene.journal().unwrap().folder()).unwrap().flatten();
    files.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn megabytes_on_standard_error_before_and_beside_the_stream_cost_nothing() {
    let (flood, name) = flood();
    let answers = [
        Play { stderr_flood: flood, ..recorded("b-shell") },
        Play { stderr_beside: flood, ..recorded("b-shell") },
    ];
    let took = at_once(2, answers, |play| {
        let (scene, _) = Scene::claude(&play);
        let ended = scene.run(&[]);
        assert_eq!(ended.kind(), "answered");
        let shown: usize = ended.notices("stderr").iter().map(|text| text.len() + 1).sum();
        assert!(shown > 7_000 && ended.notices("stderr_flood").len() == 1, "{shown}");
        // All of it, up to a limit, and once.
        let kept = flood.min(limits::STDERR_SHORT_BYTES_MAX);
        let stored = journal_bytes(&scene);
        let (stored, kept) = (stored as f64, kept as f64);
        assert!(stored >= 0.9 * kept && stored <= 1.2 * flood as f64, "{stored} of {flood}");
        assert_eq!(ended.notices("stderr_cut").len(), usize::from(kept < flood as f64));
        ended.took()
    });
    let seconds = took.iter().map(|took| format!("{:.1} s", took.as_secs_f64()));
    figure(
        "T1",
        &format!(
            "{name} on stderr before / beside stdout: answered, kept once (at most 768 KiB of short lines), in"
        ),
        seconds.collect::<Vec<_>>().join(" / "),
    );
}

#[test]
fn the_last_words_of_a_flood_explain_an_agent_that_fails() {
    let mut play = says(Vec::new()).exit(Exit::Code(1));
    play.stderr_flood = 1 << 20;
    let (scene, _) = Scene::claude(&play);
    let ended = scene.run(&["--transport", "print"]);
    assert_ne!(ended.kind(), "answered");
    let evidence = ended.result()["failure"]["evidence"].to_string();
    assert!(evidence.contains(r#""name":"stderr""#) && evidence.contains("!!!!"), "{evidence}");
    figure("T1", "tail of stderr in the failure's evidence", "yes");
}

/// Runs an agent that ends so after so many lines.
fn end_after(who: Who, recording: &str, lines: usize, exit: Exit) -> Ended {
    let scene = Scene::new();
    let recording = recordings::one(agent_name(who), recording);
    let path = scene.bench.path("cut.jsonl");
    let play = match who {
        Who::CodexServer => {
            let text = fs::read_to_string(recording.dialogue_path()).unwrap();
            fs::write(&path, first(&text, lines)).unwrap();
            Play::dialogue(path)
        }
        Who::Claude | Who::CodexExec => {
            let text = String::from_utf8(recording.stdout).unwrap();
            fs::write(&path, first(&text, lines)).unwrap();
            Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(path) }
        }
    };
    scene.bench.agent(who.program(), &play.exit(exit));
    let ended = scene.run(who.args());
    assert_eq!(scene.processes(), []);
    ended
}

fn first(text: &str, lines: usize) -> String {
    text.split_inclusive('\n').take(lines).collect()
}

fn agent_name(who: Who) -> &'static str {
    if who == Who::Claude { "claude-code" } else { "codex" }
}

#[test]
fn an_agent_that_dies_or_leaves_after_any_of_its_lines_is_told_as_what_it_is() {
    // Up to the line before the one that says how the turn ended.
    let streams = [
        (Who::Claude, "b-shell", 5),
        (Who::Claude, "f-partial", 46),
        (Who::CodexExec, "b-shell", 6),
        (Who::CodexServer, "t-appserver", 35),
    ];
    let exits = [Exit::Signal(Signal::Kill), Exit::Signal(Signal::Segv), Exit::Code(0)];
    let all = streams.into_iter().flat_map(|(who, name, lines)| {
        (1..=lines).flat_map(move |n| exits.map(|exit| (who, name, n, exit)))
    });
    // Every place and every end, but not each end at each place.
    let cases: Vec<_> = all.enumerate().filter(|(n, _)| n % times(7, 1) == 0).collect();
    let count = cases.len();
    let ended = at_once(4, cases, |(_, (who, name, n, exit))| {
        let ended = end_after(who, name, n, exit);
        let what = format!("{who:?} {name} after {n} lines by {exit:?}");
        let want = match exit {
            Exit::Signal(_) => "crashed",
            Exit::Code(_) => "protocol",
        };
        let is_right = ended.kind() == want;
        if !is_right {
            eprintln!("{what}: {}", ended.result());
        }
        // What the stream had shown of its use is in the result.
        let tokens = |event: &Value| event["usage"]["output_tokens"].as_u64();
        let shown = ended.all("usage").last().and_then(|line| tokens(&line.event));
        // The beginning of a response that was never reported in full counts too.
        let is_kept = shown.map(|shown| tokens(ended.result()).is_some_and(|kept| kept >= shown));
        (is_right, is_kept, ended.code() == Some(0))
    });
    let right = ended.iter().filter(|(is_right, ..)| *is_right).count();
    let usage: Vec<bool> = ended.iter().filter_map(|(_, is_kept, _)| *is_kept).collect();
    let kept = usage.iter().filter(|is_kept| **is_kept).count();
    let false_successes = ended.iter().filter(|(.., success)| *success).count();
    figure(
        "T5",
        "the right kind after SIGKILL, SIGSEGV or exit 0 at an event",
        format!("{right} of {count}"),
    );
    figure(
        "T5",
        "usage kept as far as the stream had shown it",
        format!("{kept} of {}", usage.len()),
    );
    figure("T5", "false successes", false_successes);
    assert_eq!((right, kept, false_successes), (count, usage.len(), 0));
    assert!(usage.len() > count / 8, "most streams show their use before they end");
}
