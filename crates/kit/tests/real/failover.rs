//! Real agents in one chain: one fails, before it has done anything or in the middle of an edit, and the next one
//! finishes the work in the same folder.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::party::{Fails, TOKENS, client, party, run};
use belay_testkit::model_server::{Reply, Script};
use belay_testkit::real::{Sandbox, again_if_it_fails};
use belaykit::trace::{Effects, Start, read_file};
use belaykit::{FailureKind, Permissions, RunRequest};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const TASK: &str = "Write one.txt and two.txt, one word each.";

/// Where it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Git,
    Plain,
}

fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
    let output =
        Command::new("git").current_dir(folder).args(identity).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the model's tool for writing a file is given as its path.
fn path_for(name: &str, folder: &Path, file: &str) -> String {
    match name {
        "codex" => file.to_owned(),
        _ => folder.join(file).to_string_lossy().into_owned(),
    }
}

/// The first agent fails in the middle of its edits, and the second one finishes them.
fn mid_edit(from: &'static str, to: &'static str, fails: Fails, place: Place, test: &str) {
    let sandbox = Sandbox::new().unwrap();
    let project = sandbox.project().to_owned();
    fs::write(project.join("mine.txt"), "committed\n").unwrap();
    if place == Place::Git {
        git(&project, &["init", "-q"]);
        git(&project, &["add", "-A"]);
        git(&project, &["commit", "-qm", "begin"]);
    }
    // The user is at work here too.
    fs::write(project.join("mine.txt"), "not committed\n").unwrap();

    let write = |name: &str, file: &str, words: &str| {
        Reply::new().write_file(path_for(name, &project, file), words).usage(TOKENS)
    };
    let script = Script::new().reply(write(from, "one.txt", "one\n")).forever(fails.reply());
    let Some(first) = party(from, script, test) else { return };
    let script = Script::new()
        .reply(write(to, "two.txt", "two\n"))
        .reply(Reply::text("Both are there.").usage(TOKENS));
    let Some(second) = party(to, script, test) else { return };
    let client = client(&sandbox, &[&first, &second]);
    let mut request = RunRequest::new(TASK).cwd(&project);
    // Three of them ask before they write; the other two do not.
    if [from, to].iter().any(|name| ["claude-code", "codex", "copilot"].contains(name)) {
        request = request.permissions(Permissions::Full);
    }
    let seen = run(&client, request);

    let outcome =
        seen.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {:#?}", seen.records));
    assert_eq!(outcome.text, "Both are there.");
    assert_eq!(outcome.agent, to);
    for (file, words) in [("one.txt", "one"), ("two.txt", "two"), ("mine.txt", "not committed")] {
        assert_eq!(fs::read_to_string(project.join(file)).unwrap().trim_end(), words, "{file}");
    }
    let failover = seen.failover();
    assert_eq!(failover.start, Start::Handover);
    assert_eq!(failover.effects, Effects::Observed);
    let kinds: &[FailureKind] = match fails {
        Fails::Unauthorized => &[FailureKind::Auth],
        Fails::RateLimited => &[FailureKind::RateLimited],
        Fails::Overloaded => &[FailureKind::Overloaded, FailureKind::ServerError],
        Fails::Dropped => &[FailureKind::Network],
    };
    assert!(kinds.contains(&failover.failure.kind), "{failover:?}");
    assert!(!failover.failure.evidence.is_empty(), "{failover:?}");

    let told = second.server.requests()[0].body.to_string();
    for words in [TASK, "one.txt", "had to stop"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let changed = told.split("with changes since the run began").nth(1).unwrap();
    assert!(changed.contains("A one.txt"), "{changed}");
    let untouched = changed.split("in order").next().unwrap();
    assert!(
        !untouched.contains("mine.txt"),
        "the user's own change is older than the run: {untouched}"
    );
    if place == Place::Git {
        assert!(told.contains("+one"), "the diff: {told}");
        assert_eq!(
            git(&project, &["diff", "--cached", "--name-only"]),
            "",
            "his index is as it was"
        );
    }

    let attempts = seen.attempts();
    assert_eq!(attempts.len(), 2);
    assert_eq!((&*attempts[0].agent, &*attempts[1].agent), (from, to));
    // Three responses were paid for, whoever asked for them; of one that broke off Claude now and then tells a token.
    let told = outcome.usage.output_tokens.unwrap() - 3 * TOKENS.output;
    assert!(told <= u64::from(matches!(fails, Fails::Dropped)), "{:#?}", outcome.usage);
    let trace = sandbox.home().join("traces").join(format!("{}.json", outcome.run_id));
    let tree = read_file(&trace).unwrap();
    assert_eq!(tree.children.len(), 2, "a marker and the one phase");
    assert_eq!(tree.children[1].attempts, attempts);
    assert!(tree.children[1].children.iter().any(|node| node.agent_name.starts_with("⇢ ")));
}

/// The first agent fails before it has done anything: the task goes on as it is.
fn before_any_tool(from: &'static str, to: &'static str, fails: Fails, test: &str) {
    let sandbox = Sandbox::new().unwrap();
    let Some(first) = party(from, Script::new().forever(fails.reply()), test) else { return };
    let script = Script::new().reply(Reply::text("Done.").usage(TOKENS));
    let Some(second) = party(to, script, test) else { return };
    let seen = run(
        &client(&sandbox, &[&first, &second]),
        RunRequest::new(TASK).cwd(sandbox.project()).timeout(Duration::from_secs(100)),
    );
    let outcome =
        seen.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {:#?}", seen.records));
    assert_eq!((&*outcome.text, &*outcome.agent), ("Done.", to));
    assert_eq!((seen.failover().start, seen.failover().effects), (Start::Fresh, Effects::None));
    let told = second.server.requests()[0].body.to_string();
    assert!(told.contains(TASK) && !told.contains("had to stop"), "{told}");
    assert_eq!(outcome.usage.output_tokens, Some(TOKENS.output));
}

macro_rules! cases {
    ($($name:ident: $do:ident($($arg:expr),+);)+) => {
        $(
            #[test]
            fn $name() {
                again_if_it_fails(stringify!($name), || $do($($arg),+, stringify!($name)));
            }
        )+
    };
}

cases! {
    claude_is_limited_in_mid_edit_and_codex_finishes: mid_edit("claude-code", "codex", Fails::RateLimited, Place::Git);
    claude_has_no_login_and_codex_begins: before_any_tool("claude-code", "codex", Fails::Unauthorized);
}

/// The other pairs: for `cargo xtask test --all`.
mod every_way {
    use super::*;

    cases! {
        claude_is_overloaded_in_mid_edit_and_codex_finishes: mid_edit("claude-code", "codex", Fails::Overloaded, Place::Plain);
        claude_loses_its_login_in_mid_edit_and_codex_finishes: mid_edit("claude-code", "codex", Fails::Unauthorized, Place::Plain);
        claude_loses_its_stream_in_mid_edit_and_codex_finishes: mid_edit("claude-code", "codex", Fails::Dropped, Place::Git);
        codex_is_limited_in_mid_edit_and_claude_finishes: mid_edit("codex", "claude-code", Fails::RateLimited, Place::Plain);
        codex_is_overloaded_in_mid_edit_and_claude_finishes: mid_edit("codex", "claude-code", Fails::Overloaded, Place::Git);
        codex_loses_its_login_in_mid_edit_and_claude_finishes: mid_edit("codex", "claude-code", Fails::Unauthorized, Place::Git);
        codex_loses_its_stream_in_mid_edit_and_claude_finishes: mid_edit("codex", "claude-code", Fails::Dropped, Place::Plain);
        opencode_loses_its_login_in_mid_edit_and_pi_finishes: mid_edit("opencode", "pi", Fails::Unauthorized, Place::Git);
        pi_loses_its_login_in_mid_edit_and_opencode_finishes: mid_edit("pi", "opencode", Fails::Unauthorized, Place::Plain);
        pi_is_limited_in_mid_edit_and_claude_finishes: mid_edit("pi", "claude-code", Fails::RateLimited, Place::Git);
        copilot_is_limited_in_mid_edit_and_claude_finishes: mid_edit("copilot", "claude-code", Fails::RateLimited, Place::Git);
        claude_loses_its_login_in_mid_edit_and_copilot_finishes: mid_edit("claude-code", "copilot", Fails::Unauthorized, Place::Git);
        claude_is_limited_and_opencode_begins: before_any_tool("claude-code", "opencode", Fails::RateLimited);
        codex_is_overloaded_and_claude_begins: before_any_tool("codex", "claude-code", Fails::Overloaded);
        opencode_has_no_login_and_codex_begins: before_any_tool("opencode", "codex", Fails::Unauthorized);
        pi_is_overloaded_and_opencode_begins: before_any_tool("pi", "opencode", Fails::Overloaded);
    }
}
