//! Who is told of runs, and what is said when nobody can be.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::fake_slack::{FakeSlack, Fault, TOKEN};
use belay_testkit::recordings;
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const USER: &str = "home/.config/belay/config.toml";

/// A bench with a Claude who answers, and a user who has a Slack.
fn bench(fake: &FakeSlack, more: &str) -> Bench {
    let bench = Bench::new();
    let recording = recordings::one("claude-code", "a-text");
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(recording.stdout_path()) };
    bench.agent("claude", &play);
    let slack = format!(
        "[notify.slack]\nbot_token_file = \"token\"\nchannel = \"#agents\"\napi_url = \"{}\"\n{more}",
        fake.api_url()
    );
    write(&bench, USER, &slack, 0o600);
    write(&bench, "home/.config/belay/token", &format!("{TOKEN}\n"), 0o600);
    bench
}

fn write(bench: &Bench, path: &str, text: &str, mode: u32) -> PathBuf {
    let path = bench.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[track_caller]
fn answers(bench: &Bench, args: &[&str]) -> String {
    let args: Vec<_> =
        ["run", "--format", "quiet"].iter().chain(args).chain(&["hi"]).copied().collect();
    let output = bench.belay(&args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stderr
}

#[test]
fn a_run_is_told_of_when_it_is_asked_for_or_always_and_never_when_not() {
    let fake = FakeSlack::start().unwrap();
    let user = bench(&fake, "");
    assert_eq!(answers(&user, &[]), "");
    assert_eq!(fake.messages().len(), 0);
    assert_eq!(answers(&user, &["--notify", "slack"]), "");
    assert_eq!(fake.messages().len(), 1);
    assert_eq!(fake.messages()[0].shown()[0], "claude-code has answered");

    let always = bench(&fake, "enabled = true\nevents = [\"start\", \"result\"]\n");
    assert_eq!(answers(&always, &["--no-notify"]), "");
    assert_eq!(fake.messages().len(), 1);
    assert_eq!(answers(&always, &[]), "");
    let messages = fake.messages();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2].thread_ts.as_ref(), Some(&messages[1].ts));
}

#[test]
fn a_run_that_goes_on_tells_whom_it_has_told() {
    let fake = FakeSlack::start().unwrap();
    let bench = bench(&fake, "");
    answers(&bench, &["--notify", "slack"]);
    let count = |args: &[&str]| {
        let before = fake.messages().len();
        let args = [&["resume", "latest", "--format", "quiet"], args, &["more"]].concat();
        let output = bench.belay(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
        fake.messages().len() - before
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&[]), 1, "that one's next as well");
    assert_eq!(count(&["--no-notify"]), 0);
    assert_eq!(count(&[]), 0, "nor is that one's next told of");
    assert_eq!(count(&["--notify", "slack"]), 1);
}

#[test]
fn what_slack_says_is_a_warning_and_no_failure_of_the_run() {
    let fake = FakeSlack::start().unwrap();
    fake.fail(Fault::Code("not_in_channel"));
    let bench = bench(&fake, "enabled = true\n");
    let want = "warning: slack: 1 message dropped: Slack refuses it: not_in_channel\n";
    assert_eq!(answers(&bench, &[]), want);
}

#[test]
fn who_was_asked_for_and_cannot_be_reached_is_a_mistake_and_who_is_always_there_a_warning() {
    let fake = FakeSlack::start().unwrap();
    let bench = bench(&fake, "enabled = true\n");
    fs::remove_file(bench.path("home/.config/belay/token")).unwrap();
    let token = "BENCH/home/.config/belay/token";
    let said = answers(&bench, &[]).replace(&*bench.path("").to_string_lossy(), "BENCH/");
    let want = format!(
        "warning: nobody is told: cannot read {token}: No such file or directory (os error 2)\n"
    );
    assert_eq!(said, want);
    write(&bench, "home/.config/belay/token", TOKEN, 0o644);
    assert_snapshot!(bench.shown(&["run", "--notify", "slack", "hi"]), @r"
    exit 78
    --- stdout
    --- stderr
    error: cannot read BENCH/home/.config/belay/token: others can read or write it; `chmod 600` it
    hint: docs/notify.md says what a channel needs; `belay notify test` tries it
    ");
    // The other one is still missed, too.
    assert_snapshot!(bench.shown(&["run", "--notify", "ntfy", "hi"]), @r"
    exit 78
    --- stdout
    --- stderr
    warning: nobody is told: cannot read BENCH/home/.config/belay/token: others can read or write it; `chmod 600` it
    error: ntfy is not configured: notify.ntfy.url names the topic
    hint: docs/notify.md says what a channel needs; `belay notify test` tries it
    ");
}

#[test]
fn a_test_tells_each_channel_and_says_what_happened() {
    let fake = FakeSlack::start().unwrap();
    let ntfy = format!("[notify.ntfy]\nurl = \"{}\"\n", fake.url("topic"));
    let bench = bench(&fake, &ntfy);
    assert_snapshot!(bench.shown(&["notify", "test"]), @r"
    exit 0
    --- stdout
    slack: sent
    ntfy: sent
    --- stderr
    ");
    assert_eq!(fake.messages().len(), 1);
    fake.fail(Fault::Code("invalid_auth"));
    assert_snapshot!(bench.shown(&["notify", "test", "slack"]), @r"
    exit 1
    --- stdout
    --- stderr
    slack: 1 message dropped: Slack refuses it: invalid_auth
    ");
    assert_snapshot!(bench.shown(&["notify", "test", "discord"]), @r"
    exit 78
    --- stdout
    --- stderr
    discord: discord is not configured: notify.discord.webhook_url_env or webhook_url_file says where it is
    ");
    fs::remove_file(bench.path(USER)).unwrap();
    assert_snapshot!(bench.shown(&["notify", "test"]), @r"
    exit 78
    --- stdout
    --- stderr
    error: no channel is configured
    hint: write [notify.slack], or another of docs/notify.md, into BENCH/home/.config/belay/config.toml
    ");
}

#[test]
fn secrets_come_from_variables_and_the_agent_gets_none_of_them() {
    let fake = FakeSlack::start().unwrap();
    let bench = bench(&fake, "");
    let text =
        format!("[notify.webhook]\nurl = \"{}\"\nsecret_env = \"HOOK_SECRET\"\n", fake.url("hook"));
    write(&bench, USER, &text, 0o600);
    let mut belay = bench.belay(&["run", "--format", "quiet", "--notify", "webhook", "hi"]);
    let output = belay.env("HOOK_SECRET", "s3cret-s3cret").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].headers.iter().any(|(name, _)| name == "x-belay-signature"));
    let shown = bench.shown(&["run", "--notify", "webhook", "hi"]);
    assert!(shown.contains("error: there is no variable HOOK_SECRET"), "{shown}");
}

#[test]
fn a_project_tells_nobody() {
    let fake = FakeSlack::start().unwrap();
    let bench = bench(&fake, "");
    write(&bench, "project/.belay/config.toml", "[notify.exec]\ncommand = ['sh']\n", 0o644);
    assert_snapshot!(bench.shown(&["run", "hi"]), @r"
    exit 78
    --- stdout
    --- stderr
    error: BENCH/project/.belay/config.toml:2:1: a project's file cannot set `notify.exec.command`: it would tell others what your agents do
      |
    2 | command = ['sh']
      | ^^^^^^^
    hint: put it into your own file, BENCH/home/.config/belay/config.toml
    ");
}
