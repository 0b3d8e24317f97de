//! What counts as an answer, on the real agents.
use crate::real_run::{Stage, on};
use belay_testkit::model_server::{Reply, Script, StopReason};
use belaykit::{Permissions, RunRequest};

fn probe(stage: &Stage) {
    let which = std::env::var("PROBE").unwrap_or_default();
    let full = |p: &str| RunRequest::new(p).permissions(Permissions::Full).agent_retries(1);
    let tools = || Script::new().reply(Reply::new().shell("echo hi"));
    let all: Vec<(&str, Script, RunRequest)> = vec![
        ("empty", Script::new().forever(Reply::new()), full("PROMPT")),
        ("tools-empty", tools().forever(Reply::new()), full("PROMPT")),
        (
            "refusal",
            Script::new().forever(Reply::text("Half of it").stop(StopReason::Refusal)),
            full("PROMPT"),
        ),
        ("refusal0", Script::new().forever(Reply::new().stop(StopReason::Refusal)), full("PROMPT")),
        ("flagged", Script::new().forever(Reply::flagged("invalid_prompt")), full("PROMPT")),
        (
            "policy",
            Script::new().forever(Reply::flagged("content_policy_violation")),
            full("PROMPT"),
        ),
        ("clear", Script::new().forever(Reply::text("No command.")), full("/clear")),
        ("cost", Script::new().forever(Reply::text("No command.")), full("/cost")),
    ];
    for (name, script, request) in all {
        if !which.is_empty() && !which.split(',').any(|w| w == name) {
            continue;
        }
        let r =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.play(script, request)));
        println!("@@@@ {:?} {name}", stage.way);
        match r {
            Ok(played) => {
                println!("{played:?}");
                println!("FAIL {:?}", played.outcome.as_ref().err().map(|e| e.failure().clone()));
                let log = std::fs::read(played.folder.join("input.1.log")).unwrap_or_default();
                let text = String::from_utf8_lossy(&log);
                for l in text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev() {
                    println!("RAW {:.1500}", l);
                }
            }
            Err(_) => println!("PANIC"),
        }
    }
}
on!(probe: claude, claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);
