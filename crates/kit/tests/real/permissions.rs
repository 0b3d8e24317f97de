//! What real agents may do in a run that does not say: the first agent of a chain binds the others.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::party::{Fails, Seen, TOKENS, client, party, run};
use belay_testkit::model_server::{Reply, Script};
use belay_testkit::real::{Sandbox, again_if_it_fails};
use belaykit::{Event, FailureKind, RunRequest};
use std::fs;
use std::time::Duration;

/// The first agent fails before it has done anything, and the model of the second one calls a shell.
fn chain(from: &'static str, to: &'static str, test: &str) -> Option<(Sandbox, Seen, usize)> {
    let sandbox = Sandbox::new().unwrap();
    let first = party(from, Script::new().forever(Fails::Unauthorized.reply()), test)?;
    let marker = sandbox.project().join("marker");
    let script = Script::new()
        .reply(Reply::new().shell(format!("touch {}", marker.display())).usage(TOKENS))
        .forever(Reply::text("That is all.").usage(TOKENS));
    let second = party(to, script, test)?;
    let request = RunRequest::new("Make the marker.").cwd(sandbox.project());
    let seen =
        run(&client(&sandbox, &[&first, &second]), request.timeout(Duration::from_secs(100)));
    let asked = second.server.requests().len();
    Some((sandbox, seen, asked))
}

/// It is started, and no command of its runs.
fn is_held(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, asked)) = chain(from, to, test) else { return };
    assert!(asked > 0, "{to} was started: {:#?}", seen.records);
    assert!(!sandbox.project().join("marker").exists(), "{to} ran a command: {:#?}", seen.records);
    let bound = seen.records.iter().filter_map(|record| match &record.event {
        Event::Notice(notice) if notice.code.as_deref() == Some("permit_bound") => {
            Some(&notice.text)
        }
        _ => None,
    });
    let words: Vec<_> = bound.collect();
    assert!(words.iter().any(|words| words.contains("--permit ask")), "{words:?}");
}

/// Nothing is started, since the second one cannot be held.
fn is_refused(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, asked)) = chain(from, to, test) else { return };
    assert!(!sandbox.project().join("marker").exists());
    let error = seen.outcome.unwrap_err();
    assert_eq!((error.kind(), asked), (FailureKind::InvalidRequest, 0), "{error}");
    let words = error.to_string();
    for part in [from, to, "--permit"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

/// The user lets the first one do anything, and the second one is as free as it is by itself.
fn is_free(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, _)) = chain(from, to, test) else { return };
    assert!(fs::exists(sandbox.project().join("marker")).unwrap(), "{:#?}", seen.records);
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
    opencode_behind_claude_runs_no_command: is_held("claude-code", "opencode");
    codex_behind_claude_runs_no_command: is_held("claude-code", "codex");
    pi_behind_claude_is_refused: is_refused("claude-code", "pi");
    pi_behind_opencode_is_as_free_as_opencode: is_free("opencode", "pi");
}
