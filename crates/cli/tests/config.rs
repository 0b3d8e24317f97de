//! Configuration files, from the outside: what they change, what they refuse, and what is said of them.

use crate::bench::Bench;
use belay_testkit::fake_agent::{Exit, FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

const USER: &str = "home/.config/belay/config.toml";
const PROJECT: &str = "project/.belay/config.toml";

fn claude(name: &str) -> Play {
    let recording = recordings::one("claude-code", name);
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(recording.stdout_path()) }
}

/// Claude who answers, and Codex who does as a one-shot.
fn both() -> (Bench, FakeAgent, FakeAgent) {
    let bench = Bench::new();
    let claude = bench.agent("claude", &claude("a-text"));
    let recording = recordings::one("codex", "a-text");
    let play = Play { wait_for_stdin: WaitForStdin::Eof, ..Play::file(recording.stdout_path()) };
    let codex = bench.agent("codex", &play);
    (bench, claude, codex)
}

fn write(bench: &Bench, path: &str, text: &str) {
    let path = bench.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The command that would be started.
fn planned(bench: &Bench, args: &[&str]) -> String {
    let args: Vec<_> = ["run", "--dry-run"].iter().chain(args).chain(&["hi"]).copied().collect();
    let text = stdout(&mut bench.belay(&args));
    text.lines().find(|line| !line.starts_with('#')).unwrap().to_owned()
}

#[test]
fn a_mistake_stops_a_run_before_anything_starts() {
    let (bench, claude, _) = both();
    write(&bench, USER, "chain = [\"claude\"]\n\n[policy]\nmax_atempts = 3\non_limit = \"wiat\"\n");
    assert_snapshot!(bench.shown(&["run", "hi"]), @"
    exit 78
    --- stdout
    --- stderr
    error: BENCH/home/.config/belay/config.toml:4:1: there is no key `policy.max_atempts`
      |
    4 | max_atempts = 3
      | ^^^^^^^^^^^
    hint: did you mean `policy.max_attempts`?
    there is more: 1; see `belay config check`
    ");
    assert_snapshot!(bench.shown(&["config", "check"]), @r#"
    exit 78
    --- stdout
    --- stderr
    error: BENCH/home/.config/belay/config.toml:4:1: there is no key `policy.max_atempts`
      |
    4 | max_atempts = 3
      | ^^^^^^^^^^^
    hint: did you mean `policy.max_attempts`?
    error: BENCH/home/.config/belay/config.toml:5:12: `wiat` is no answer to a limit: use fail, wait, failover
      |
    5 | on_limit = "wiat"
      |            ^^^^^^
    "#);
    assert!(claude.log().lines.is_empty());
    assert!(!bench.path("project/.belay").exists() && !bench.path("home/.local").exists());
}

#[test]
fn a_projects_file_cannot_loosen_what_the_user_allows() {
    let (bench, claude, _) = both();
    write(&bench, PROJECT, "max_turns = 3\npermit = \"full\"\n");
    assert_snapshot!(bench.shown(&["run", "hi"]), @r#"
    exit 78
    --- stdout
    --- stderr
    error: BENCH/project/.belay/config.toml:2:10: a project's file cannot set this `permit`: whoever wrote it would decide what an agent may do here
      |
    2 | permit = "full"
      |          ^^^^^^
    hint: put it into your own file, BENCH/home/.config/belay/config.toml
    "#);
    write(&bench, PROJECT, "[agents.claude]\nprogram = \"evil\"\n");
    assert_snapshot!(bench.shown(&["run", "hi"]), @r#"
    exit 78
    --- stdout
    --- stderr
    error: BENCH/project/.belay/config.toml:2:1: a project's file cannot set `program`: it would decide which programs run
      |
    2 | program = "evil"
      | ^^^^^^^
    hint: put it into your own file, BENCH/home/.config/belay/config.toml
    "#);
    assert!(claude.log().lines.is_empty());
}

#[test]
fn what_a_projects_file_is_full_of_reaches_no_terminal() {
    let bench = Bench::new();
    let escape = "\"\\u001b]0;x\\u0007\"";
    let check = |text: &str, args: &[&str]| {
        write(&bench, PROJECT, text);
        let output = bench.belay(args).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.contains(&0x1b) && !all.contains(&0x07), "{}", String::from_utf8_lossy(&all));
        assert!(String::from_utf8_lossy(&all).contains("]0;x"), "{text}");
    };
    let run = &["run", "-P", "x", "hi"][..];
    check(&format!("[profiles.{escape}]"), run);
    check(&format!("[profiles.{escape}]"), &["config", "show"]);
    check(&format!("{escape} = 1"), run);
    check(&format!("effort = {escape}"), run);
    check(&format!("chain = [{escape}]"), run);
    check(&format!("[agents.codex]\nmodel = {escape}"), &["config", "show"]);
    check(&format!("[agents.codex]\nmodel = {escape}"), &["config", "show", "--json"]);
    check("# \u{1b}]0;x\u{7}", run);
    check("x = 1 # \u{9b}]0;x", &["config", "check"]);
}

#[test]
fn a_file_that_is_no_configuration_is_named() {
    let bench = Bench::new();
    let check = |want: &str| {
        let shown = bench.shown(&["run", "hi"]);
        assert!(shown.starts_with("exit 78\n") && shown.contains(want), "{shown}");
    };
    fs::create_dir_all(bench.path(USER)).unwrap();
    check("cannot read BENCH/home/.config/belay/config.toml: it is no file");
    fs::remove_dir(bench.path(USER)).unwrap();
    // Whoever opens it waits for a writer.
    let mkfifo = Command::new("mkfifo").arg(bench.path(USER)).status();
    if mkfifo.is_ok_and(|status| status.success()) {
        check("it is no file");
        fs::remove_file(bench.path(USER)).unwrap();
    }
    fs::write(bench.path(USER), b"chain = [\"\xff\"]").unwrap();
    check("it is not UTF-8 (byte 10)");
    fs::write(bench.path(USER), vec![b'#'; (1 << 20) + 1]).unwrap();
    check("it is longer than any configuration");
    fs::write(bench.path(USER), "").unwrap();
    fs::set_permissions(bench.path(USER), fs::Permissions::from_mode(0o666)).unwrap();
    check("other users can write to it; `chmod o-w` it");
    fs::set_permissions(bench.path(USER), fs::Permissions::from_mode(0o600)).unwrap();
    let folder = bench.path(USER).parent().unwrap().to_owned();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    check("other users can write to its folder; `chmod o-w` that");
}

#[test]
fn what_a_file_says_reaches_the_agent_and_a_flag_takes_its_place() {
    let (bench, ..) = both();
    let user = "chain = [\"claude:opus\"]\npermit = \"edit\"\nmax_turns = 9\neffort = \"low\"\n\
                append_system_prompt = \"Be brief.\"\n[profiles.deep]\neffort = \"max\"\n\
                [agents.claude]\nargs = [\"--add-dir\", \"/x\"]\n";
    write(&bench, USER, user);
    let command = planned(&bench, &[]);
    for part in [
        "--model=opus",
        "--permission-mode=acceptEdits",
        "--max-turns=9",
        "--effort=low",
        "--add-dir /x",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
    let args = ["--max-turns", "4", "--permit", "read-only", "-P", "deep", "-m", "haiku"];
    let command = planned(&bench, &args);
    for part in ["--model=haiku", "--permission-mode=plan", "--max-turns=4", "--effort=max"] {
        assert!(command.contains(part), "{part}: {command}");
    }
    write(&bench, PROJECT, "max_turns = 5\npermit = \"read-only\"\n");
    let command = planned(&bench, &[]);
    assert!(command.contains("--max-turns=5") && command.contains("=plan"), "{command}");
    // The folder of the agent is the project, wherever it is called from.
    let mut elsewhere = bench.belay(&["run", "--dry-run", "-C", "../project", "hi"]);
    assert!(stdout(elsewhere.current_dir(bench.path("home"))).contains("--max-turns=5"));
    let mut of_env = bench.belay(&["run", "--dry-run", "hi"]);
    let of_env = stdout(of_env.env("BELAY_AGENT", "codex").env("BELAY_PROFILE", "deep"));
    assert!(of_env.contains("\ncodex "), "{of_env}");
}

#[test]
fn an_agents_program_arguments_and_variables_are_its_own() {
    let (bench, claude, codex) = both();
    let failing = Play { exit: Exit::Code(1), ..self::claude("h-401") };
    let own = FakeAgent::new(&bench.path("home"), "claude-next", &failing).unwrap();
    let user = "chain = [\"claude\", \"codex\"]\npolicy.max_attempts = 3\nenv.mode = \"clean\"\n\
                [agents.claude]\nprogram = \"~/claude-next\"\npass_env = [\"OF_CLAUDE\"]\nargs = [\"--add-dir\", \"/x\"]\n\
                [agents.codex]\nmodel = \"gpt-5.5\"\npass_env = [\"OF_CODEX\"]\nargs = [\"-c\", \"a=1\"]\n";
    write(&bench, USER, user);
    let mut run = bench.belay(&["run", "--transport", "print", "--format", "quiet", "hi"]);
    run.env_remove("BELAY_MAX_ATTEMPTS").env("OF_CLAUDE", "1").env("OF_CODEX", "2");
    stdout(&mut run);
    let (own, codex) = (own.log(), codex.log());
    assert!(claude.log().lines.is_empty());
    let joined = |argv: Vec<String>| argv.join(" ");
    assert!(joined(own.argv()).ends_with("--add-dir /x"), "{:?}", own.argv());
    assert!(joined(codex.argv()).contains("-c a=1") && joined(codex.argv()).contains("gpt-5.5"));
    assert!(!joined(codex.argv()).contains("--add-dir"), "{:?}", codex.argv());
    let has = |log: &belay_testkit::fake_agent::Log, name: &str| log.env().contains_key(name);
    assert_eq!((has(&own, "OF_CLAUDE"), has(&own, "OF_CODEX")), (true, false));
    assert_eq!((has(&codex, "OF_CLAUDE"), has(&codex, "OF_CODEX")), (false, true));
    // What each attempt was asked stands in the journal, so that it can be replayed.
    stdout(&mut bench.belay(&["replay", "latest", "--quiet"]));
    // A program that is given goes before the one of the file.
    let program = bench.path("bin/claude");
    let program = format!("--program={}", program.display());
    // Without a journal nothing is known of the failure before.
    stdout(&mut bench.belay(&["run", &program, "--no-journal", "--format", "quiet", "hi"]));
    assert!(!claude.log().lines.is_empty());
}

#[test]
fn a_chain_and_its_policy_come_from_a_profile() {
    let (bench, _, codex) = both();
    bench.agent("claude", &Play { exit: Exit::Code(1), ..claude("g-429-forever") });
    let user = "[profiles.two]\nchain = [\"claude\", \"codex\"]\n[profiles.two.policy]\nmax_attempts = 2\nmax_retries = 0\n\
                [profiles.two.policy.on]\nrate_limited = \"agent\"\n[profiles.one]\nchain = [\"claude\", \"codex\"]\n\
                policy.on.rate_limited = \"stop\"\n";
    write(&bench, USER, user);
    // Without a journal no run knows of the limits that the one before has met.
    let begin = ["run", "--transport", "print", "--format", "quiet", "--no-journal", "hi"];
    let run = |args: &[&str]| {
        let args: Vec<_> = begin.iter().chain(args).copied().collect();
        let output = bench.belay(&args).env_remove("BELAY_MAX_ATTEMPTS").output().unwrap();
        output.status.code()
    };
    assert_eq!(run(&["-P", "one"]), Some(75));
    assert!(codex.log().lines.is_empty());
    assert_eq!(run(&["-P", "one", "--on", "rate_limited=agent"]), Some(0));
    assert_eq!(run(&["-P", "two"]), Some(0));
    assert_eq!(run(&["-P", "two", "--max-attempts", "1"]), Some(75));
    assert_snapshot!(bench.shown(&["run", "-P", "tow", "hi"]), @"
    exit 2
    --- stdout
    --- stderr
    error: there is no profile `tow` (--profile)
    hint: did you mean `two`?
    ");
    assert_snapshot!(bench.shown(&["run", "-P", "two", "-m", "opus", "hi"]), @"
    exit 2
    --- stdout
    --- stderr
    error: --model is for one agent; the configuration names several
    hint: write each model after its agent: -a claude:opus -a codex:gpt-5.5
    ");
}

#[test]
fn every_verb_finds_the_journals_where_the_file_says() {
    let (bench, ..) = both();
    write(&bench, USER, "state_dir = \"~/runs\"\nno_trace = true\nformat = \"json\"\n");
    let shown = stdout(&mut bench.belay(&["run", "hi"]));
    assert!(shown.starts_with('{'), "{shown}");
    assert!(bench.path("home/runs/runs").is_dir() && !bench.path("home/.local").exists());
    assert!(!bench.path("project/.belay").exists());
    stdout(&mut bench.belay(&["run", "--no-trace=false", "hi"]));
    assert!(bench.path("project/.belay/traces").is_dir());
    assert_eq!(stdout(&mut bench.belay(&["runs", "--all"])).matches("answered").count(), 2);
    // Who looks for a run is not kept from it by a mistake.
    write(&bench, USER, "state_dir = \"~/runs\"\nx = 1\n");
    let output = bench.belay(&["show", "latest", "--state-dir", "../home/runs"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert_snapshot!(bench.shown(&["stop", "latest"]), @r#"
    exit 4
    --- stdout
    --- stderr
    warning: BENCH/home/.config/belay/config.toml:2:1: there is no key `x`; journals are looked for in the usual place
    error: there is no run `latest`
    hint: there are no runs yet: belay run "…"
    "#);
}

#[test]
fn a_run_is_gone_on_with_as_its_profile_says_and_not_with_other_limits() {
    let (bench, claude, _) = both();
    write(&bench, USER, "[profiles.p]\nmax_turns = 7\nagents.x = 1\n");
    assert!(bench.shown(&["run", "-P", "p", "hi"]).contains("the agents of a profile are `chain"));
    let user =
        "[profiles.p]\nmax_turns = 7\nformat = \"quiet\"\n[agents.claude]\nmodel = \"opus\"\n";
    write(&bench, USER, user);
    let quiet = stdout(&mut bench.belay(&["run", "-P", "p", "hi"]));
    assert!(claude.log().argv().contains(&"--max-turns=7".to_owned()));
    let user = user.replace("opus", "haiku");
    write(&bench, USER, &format!("max_turns = 3\npermit = \"edit\"\n{user}"));
    assert_eq!(stdout(&mut bench.belay(&["resume", "latest", "more"])), quiet);
    let argv = claude.log().argv();
    assert!(argv.contains(&"--max-turns=7".to_owned()), "{argv:?}");
    assert!(argv.contains(&"--model=opus".to_owned()), "{argv:?}");
    assert!(!argv.iter().any(|arg| arg.contains("acceptEdits")), "{argv:?}");
    write(&bench, USER, "max_turns = 3\n");
    let shown = bench.shown(&["resume", "latest", "more"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    assert!(shown.contains("warning: the run's profile `p` is no more"), "{shown}");
}

#[test]
fn what_holds_is_shown_with_where_it_comes_from() {
    let bench = Bench::new();
    let user = "max_cost = 5\nhide = [\"reasoning\"]\n[policy]\nmax_retries = 1\non.refused = \"agent\"\n\
                [profiles.cheap]\nchain = [\"claude:haiku\"]\n[agents.codex]\nprogram = \"/opt/codex-next\"\n";
    write(&bench, USER, user);
    write(&bench, PROJECT, "max_cost = 9\nmax_turns = 20\n");
    assert_snapshot!(bench.shown(&["config", "show", "-P", "cheap"]), @r#"
    exit 0
    --- stdout
    # user file: BENCH/home/.config/belay/config.toml
    # project file: BENCH/project/.belay/config.toml
    # profile: cheap (--profile)
    chain                        ["claude:haiku"]   # user BENCH/home/.config/belay/config.toml:7, profile cheap
    permit                       -                  # not set
    effort                       -                  # not set
    lenient                      false              # built-in
    append_system_prompt         -                  # not set
    timeout                      -                  # not set
    idle_timeout                 "model=15m,tool=30m,start=3m,retry=10m,background=10m"  # built-in
    background                   "wait"             # built-in
    max_turns                    20                 # project BENCH/project/.belay/config.toml:2
    max_cost                     5                  # user BENCH/home/.config/belay/config.toml:1; 9 is looser (project BENCH/project/.belay/config.toml:1)
    max_output_tokens            -                  # not set
    policy.max_attempts          1                  # environment BELAY_MAX_ATTEMPTS
    policy.max_retries           1                  # user BENCH/home/.config/belay/config.toml:4
    policy.agent_retries         -                  # not set
    policy.on_limit              "failover"         # built-in
    policy.wait_max              -                  # not set
    policy.trust_window          "1h"               # built-in
    policy.on_effects            "continue"         # built-in
    env.mode                     "inherit"          # built-in
    env.pass                     []                 # built-in
    env.hold_back                []                 # built-in
    format                       "text"             # built-in
    hide                         ["reasoning"]      # user BENCH/home/.config/belay/config.toml:2
    color                        "auto"             # built-in
    context_window               -                  # not set
    trace_dir                    ".belay/traces"    # built-in
    no_trace                     false              # built-in
    durability                   "normal"           # built-in
    price_file                   -                  # not set
    freeplay                     false              # built-in
    otel.to                      "off"              # built-in
    otel.content                 false              # built-in
    otel.compression             "none"             # built-in
    otel.headers_file            -                  # not set
    policy.on.refused            "agent"            # user BENCH/home/.config/belay/config.toml:5
    default_profile              -                  # not set
    state_dir                    -                  # not set
    agents.codex.program         "/opt/codex-next"  # user BENCH/home/.config/belay/config.toml:9
    agents.codex.model           -                  # not set
    agents.codex.pass_env        []                 # built-in
    agents.codex.args            []                 # built-in
    agents.codex.max_concurrent  -                  # not set
    --- stderr
    "#);
    let json = stdout(&mut bench.belay(&["config", "show", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["profile"], serde_json::Value::Null);
    assert_eq!(json["profiles"], serde_json::json!(["cheap"]));
    let user = bench.path(USER).canonicalize().unwrap();
    let project = bench.path(PROJECT).canonicalize().unwrap();
    assert_eq!(json["files"]["project"], project.to_str().unwrap());
    let want = serde_json::json!({
        "value": 5,
        "origin": { "kind": "user", "path": bench.path(USER), "line": 1, "profile": null },
        "instead_of": {
            "value": 9,
            "origin": { "kind": "project", "path": project, "line": 1, "profile": null },
        },
    });
    assert_eq!(json["settings"]["max_cost"], want);
    let built_in = serde_json::json!({ "value": null, "origin": { "kind": "built_in" } });
    assert_eq!(json["settings"]["timeout"], built_in);
    assert!(user.exists());
}

#[test]
fn a_first_file_is_written_once() {
    let bench = Bench::new();
    assert_eq!(
        stdout(&mut bench.belay(&["config", "path"])),
        format!("{}\n", bench.path(USER).display())
    );
    assert_snapshot!(bench.shown(&["config", "init"]), @"
    exit 0
    --- stdout
    --- stderr
    wrote BENCH/home/.config/belay/config.toml; all of it is commented out
    ");
    let mode = |path: &str| bench.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(USER), 0o600);
    let before = fs::read(bench.path(USER)).unwrap();
    assert_snapshot!(bench.shown(&["config", "init"]), @"
    exit 2
    --- stdout
    --- stderr
    error: there is BENCH/home/.config/belay/config.toml already
    hint: edit it, or take it away first
    ");
    assert_eq!(fs::read(bench.path(USER)).unwrap(), before);
    fs::remove_file(bench.path(USER)).unwrap();
    std::os::unix::fs::symlink(bench.path("home/other"), bench.path(USER)).unwrap();
    assert!(bench.shown(&["config", "init"]).starts_with("exit 2\n"));
    assert!(!bench.path("home/other").exists());

    let mut elsewhere = bench.belay(&["config", "init"]);
    stdout(elsewhere.env("XDG_CONFIG_HOME", bench.path("configs")));
    assert!(bench.path("configs/belay/config.toml").exists());
}

#[test]
fn a_projects_first_file_lies_at_its_root_and_goes_into_commits() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("project/a/b")).unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args).current_dir(bench.project()).env("HOME", bench.path("home"));
        git.output().ok().filter(|output| output.status.success())
    };
    if git(&["init", "--quiet"]).is_none() {
        eprintln!("there is no git here");
        return;
    }
    let mut init = bench.belay(&["config", "init", "--project"]);
    stdout(init.current_dir(bench.path("project/a/b")));
    assert!(bench.path(PROJECT).exists());
    let untracked = git(&["status", "--porcelain", "--untracked-files=all"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&untracked.stdout), "?? .belay/config.toml\n");
    let mut path = bench.belay(&["config", "path", "--project"]);
    let path = stdout(path.current_dir(bench.path("project/a/b")));
    assert!(path.ends_with("project/.belay/config.toml\n"), "{path}");
    // The nearest one holds, alone.
    write(&bench, PROJECT, "max_turns = 3\neffort = \"low\"\n");
    write(&bench, "project/a/.belay/config.toml", "max_turns = 4\n");
    let mut show = bench.belay(&["config", "show"]);
    let shown = stdout(show.current_dir(bench.path("project/a/b")));
    assert!(
        shown.lines().any(|line| line.starts_with("max_turns") && line.contains(" 4 ")),
        "{shown}"
    );
    assert!(
        shown.lines().any(|line| line.starts_with("effort") && line.contains(" - ")),
        "{shown}"
    );
}

#[test]
fn the_agents_own_terminal_has_its_surroundings_too() {
    let (bench, ..) = both();
    let user = "chain = [\"codex\", \"claude\"]\npermit = \"full\"\n[agents.codex]\nmodel = \"gpt-5.5\"\nargs = [\"-c\", \"a=1\"]\n";
    write(&bench, USER, user);
    let shown = stdout(&mut bench.belay(&["interactive", "--dry-run"]));
    assert!(shown.starts_with("codex ") && shown.contains("gpt-5.5"), "{shown}");
    assert!(shown.contains("-c 'a=1'") && !shown.contains("danger"), "{shown}");
    write(&bench, USER, "[agents.codex]\nprogram = \"no-such\"\n");
    let shown = bench.shown(&["agents"]);
    assert!(shown.contains("cannot find the program BENCH/home/.config/belay/no-such"), "{shown}");
}
