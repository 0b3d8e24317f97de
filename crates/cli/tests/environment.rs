//! Which variables of the user's an agent sees, from the command line and the configuration.

use crate::bench::{Bench, show};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// An agent that answers with the names of the variables that it sees.
const NAMES: &str = r#"#!/bin/sh
read -r prompt
names=$(env | sed 's/=.*//' | sort | tr '\n' ' ')
printf '{"type":"system","subtype":"init","session_id":"s","model":"m","tools":[]}\n'
printf '{"type":"assistant","message":{"id":"1","role":"assistant","content":[{"type":"text","text":"%s"}]},"session_id":"s"}\n' "$names"
printf '{"type":"result","subtype":"success","is_error":false,"result":"%s","session_id":"s","total_cost_usd":0,"usage":{"input_tokens":1,"output_tokens":1}}\n' "$names"
"#;

/// An agent that lacks a variable.
const LACKS: &str = r#"#!/bin/sh
read -r prompt
printf '{"type":"system","subtype":"init","session_id":"s","model":"m","tools":[]}\n'
printf '{"type":"result","subtype":"success","is_error":true,"result":"Missing environment variable: `MY_KEY`.","session_id":"s"}\n'
exit 1
"#;

/// What belay sets for Claude Code.
const SET: [&str; 6] = [
    "BELAY_RUN_ID",
    "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY",
    "CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS",
    "DISABLE_AUTOUPDATER",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_TELEMETRY",
];

fn bench(agent: &str) -> Bench {
    let bench = Bench::new();
    let path = bench.path("bin/claude");
    fs::write(&path, agent).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

fn belay(bench: &Bench, args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut belay = bench.belay(args);
    let path = format!("{}:/usr/bin:/bin", bench.path("bin").display());
    belay.env("PATH", path).envs(vars.iter().copied());
    belay
}

/// The names that the agent sees, but for those that are always there and those that belay sets; and what was said.
fn seen(bench: &Bench, args: &[&str], vars: &[(&str, &str)]) -> (Vec<String>, String) {
    let args: Vec<_> = [&["run", "hi"], args].concat();
    let output = belay(bench, &args, vars).output().unwrap();
    assert!(output.status.success(), "{}", show(&output, bench));
    let usual = ["PATH", "HOME", "PWD", "BELAY_MAX_ATTEMPTS", "_", "SHLVL", "OLDPWD"];
    let names = String::from_utf8(output.stdout).unwrap();
    let names =
        names.split_whitespace().filter(|name| !usual.contains(name) && !SET.contains(name));
    (names.map(str::to_owned).collect(), String::from_utf8(output.stderr).unwrap())
}

const TOOLCHAIN: [(&str, &str); 4] = [
    ("JAVA_HOME", "/java"),
    ("SSH_AUTH_SOCK", "/run/agent"),
    ("AWS_PROFILE", "work"),
    ("MY_KEY", "0123456789"),
];

fn configure(bench: &Bench, user: &str, project: &str) {
    for (file, text) in
        [("home/.config/belay/config.toml", user), ("project/.belay/config.toml", project)]
    {
        let path = bench.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn an_agent_sees_what_its_user_has() {
    let bench = bench(NAMES);
    let (names, said) = seen(&bench, &[], &TOOLCHAIN);
    assert_eq!(names, ["AWS_PROFILE", "JAVA_HOME", "MY_KEY", "SSH_AUTH_SOCK"]);
    assert!(!said.contains("does not see"), "{said}");
}

#[test]
fn a_clean_environment_is_a_list_and_what_is_passed() {
    let bench = bench(NAMES);
    let (names, said) = seen(&bench, &["--env", "clean", "--pass-env", "MY_*"], &TOOLCHAIN);
    assert_eq!(names, ["MY_KEY"]);
    let want = "claude-code does not see AWS_PROFILE, BELAY_MAX_ATTEMPTS, JAVA_HOME, SSH_AUTH_SOCK (not on the list of a clean environment)";
    assert!(said.contains(want), "{said}");
}

#[test]
fn what_is_held_back_is_named_and_can_be_passed() {
    let bench = bench(NAMES);
    let user = "[notify.slack]\nbot_token_env = 'MY_SLACK'\nchannel = '#x'\n[env]\nhold_back = ['PROD_*']\n";
    configure(&bench, user, "");
    let vars = [
        ("MY_SLACK", "xoxb-0123456789"),
        ("BELAY_WEBHOOK_SECRET", "0123456789"),
        ("PROD_DB", "x"),
        ("CLAUDECODE", "1"),
        ("CODEX_SANDBOX", "seatbelt"),
        ("CLAUDE_CODE_SANDBOXED", "1"),
        ("MY_OWN", "x"),
    ];
    let (names, said) = seen(&bench, &[], &vars);
    assert_eq!(names, ["MY_OWN"]);
    let want = "claude-code does not see BELAY_WEBHOOK_SECRET, MY_SLACK (secrets of belay's own); CLAUDECODE, CODEX_SANDBOX \
                (marks of an outer agent session); CLAUDE_CODE_SANDBOXED (would allow the agent more than the request \
                does); PROD_DB (held back by configuration)";
    assert!(said.contains(want), "{said}");
    for value in ["xoxb-0123456789", "0123456789", "seatbelt"] {
        assert!(!said.contains(value), "{said}");
    }
    let passed = ["--pass-env", "MY_SLACK", "--pass-env", "CLAUDECODE", "--pass-env", "PROD_DB"];
    let (names, _) = seen(&bench, &passed, &vars);
    assert_eq!(names, ["CLAUDECODE", "MY_OWN", "MY_SLACK", "PROD_DB"]);
}

#[test]
fn a_login_of_an_exporter_is_held_back_while_it_exports() {
    let bench = bench(NAMES);
    let vars =
        [("OTEL_EXPORTER_OTLP_HEADERS", "x=0123456789"), ("OTEL_RESOURCE_ATTRIBUTES", "a=b")];
    let (names, _) = seen(&bench, &[], &vars);
    assert_eq!(names, ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"]);
    let (names, said) = seen(&bench, &["--otel=http://127.0.0.1:9"], &vars);
    assert!(!names.contains(&"OTEL_EXPORTER_OTLP_HEADERS".to_owned()), "{names:?}");
    assert!(said.contains("OTEL_EXPORTER_OTLP_HEADERS (secrets of belay's own)"), "{said}");
}

#[test]
fn a_projects_file_tightens_the_environment_and_never_loosens_it() {
    let bench = bench(NAMES);
    let all = ["AWS_PROFILE", "JAVA_HOME", "MY_KEY", "SSH_AUTH_SOCK"];
    let cases: [(&str, &str, &[&str], &[&str]); 5] = [
        ("", "[env]\nmode = 'clean'\n", &[], &[]),
        ("[env]\nmode = 'clean'\n", "[env]\nmode = 'inherit'\n", &[], &[]),
        ("[env]\nmode = 'inherit'\n", "[env]\nmode = 'clean'\n", &[], &[]),
        ("[env]\nmode = 'clean'\n", "", &["--env", "inherit"], &all[..]),
        ("[env]\nmode = 'clean'\npass = ['MY_KEY']\n", "", &[], &["MY_KEY"]),
    ];
    for (user, project, flag, want) in cases {
        configure(&bench, user, project);
        assert_eq!(seen(&bench, flag, &TOOLCHAIN).0, want, "{user:?} {project:?} {flag:?}");
    }
    for key in ["pass = ['X']", "hold_back = []"] {
        configure(&bench, "", &format!("[env]\n{key}\n"));
        let output = belay(&bench, &["run", "hi"], &TOOLCHAIN).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{}", show(&output, &bench));
    }
}

#[test]
fn a_clean_run_is_resumed_clean() {
    let bench = bench(NAMES);
    seen(&bench, &["--env", "clean"], &TOOLCHAIN);
    let output = belay(&bench, &["resume", "latest", "more"], &TOOLCHAIN).output().unwrap();
    let names = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(names.contains("HOME") && !names.contains("JAVA_HOME"), "{}", show(&output, &bench));
}

#[test]
fn a_failure_that_names_a_variable_that_was_held_back_says_so() {
    let bench = bench(LACKS);
    let run = |args: &[&str]| {
        let args: Vec<_> = [&["run", "hi"], args].concat();
        let output = belay(&bench, &args, &TOOLCHAIN).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&["--env", "clean"]);
    let want = "`MY_KEY`. MY_KEY is set, and was held back: not on the list of a clean environment";
    assert!(said.contains(want) && said.contains("hint: --pass-env MY_KEY"), "{said}");
    assert!(!run(&[]).contains("held back"), "nothing was");
}

#[test]
fn a_claude_that_refuses_root_says_what_it_needs() {
    let words = "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons";
    let bench = bench(&format!("#!/bin/sh\necho '{words}' >&2\nexit 1\n"));
    let output = belay(&bench, &["run", "--permit", "full", "hi"], &[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("; in a sandbox, such as a container, set IS_SANDBOX=1"), "{said}");
}

#[test]
fn secrets_that_an_agent_inherits_are_redacted_and_short_values_garble_nothing() {
    let values = NAMES.replace("env | sed 's/=.*//'", "env");
    let bench = bench(&values);
    let vars = [
        ("DB_PASSWORD", "correct-horse-7"),
        ("MY_CREDENTIAL", "battery-staple-9"),
        ("DEPLOY_SECRET", "tr0ub4dor-and-3"),
        ("VENDOR_API_KEY", "0a1b2c3d4e5f"),
        ("SOME_TOKEN", "1"),
        ("OTHER_TOKEN", "true"),
        ("THIRD_KEY", "disabled"),
        ("KEY_FILE", "/home/me/.ssh/id_rsa"),
        ("PLAIN", "1 and true and disabled"),
    ];
    let output = belay(&bench, &["run", "hi"], &vars).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    for (name, value) in &vars[..4] {
        assert!(!said.contains(value), "{said}");
        assert!(said.contains(&format!("{name}=[redacted:{name}]")), "{said}");
    }
    for (name, value) in &vars[4..] {
        assert!(said.contains(&format!("{name}={value}")), "{name}: {said}");
    }
}
