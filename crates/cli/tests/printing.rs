//! Programs that only print: scripts of one's own on the command line and in the configuration.

use crate::bench::{Bench, show};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

/// A script in the folder of the bench.
fn script(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn configure(bench: &Bench, text: &str) {
    let folder = bench.path("home/.config/belay");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
}

fn run(bench: &Bench, args: &[&str]) -> Output {
    bench.belay(&[&["run"], args].concat()).output().unwrap()
}

fn answered(bench: &Bench, output: &Output, want: &str) {
    let shown = show(output, bench);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), want, "{shown}");
}

#[test]
fn the_prompt_is_one_argument_or_standard_input_and_never_shell_text() {
    let bench = Bench::new();
    let said = script(&bench, "said.sh", r#"printf '%s|' "$#" "$@"; /bin/cat"#);
    let prompt = "it's $(touch made) `id` \"x\" {model}";
    let output = run(&bench, &["-a", &format!("cmd:{said} -m {{prompt}}"), prompt]);
    answered(&bench, &output, &format!("2|-m|{prompt}|\n"));
    let output = run(&bench, &["-a", &format!("cmd:{said} 'a b'"), prompt]);
    answered(&bench, &output, &format!("1|a b|{prompt}\n"));
    assert!(!bench.path("project/made").exists());
}

#[test]
fn a_failure_has_its_kind_and_half_an_answer_is_none() {
    let bench = Bench::new();
    let broken =
        "echo half; echo 'Error: Error code: 401 - Incorrect API key provided' >&2; exit 1";
    let broken = script(&bench, "broken.sh", broken);
    let output = run(&bench, &["-a", &format!("cmd:{broken}"), "--format", "json", "p"]);
    assert_eq!(output.status.code(), Some(78), "{}", show(&output, &bench));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["result"], &result["failure"]["kind"]), (&"half".into(), &"auth".into()));
    assert!(
        result["usage"]["input_tokens"].is_null() && result["usage"]["total_cost_usd"].is_null()
    );
    let next = script(&bench, "next.sh", "echo done");
    let chain = [format!("cmd:{broken}"), format!("cmd:{next}")];
    let output = run(&bench, &["-a", &chain[0], "-a", &chain[1], "--permit", "full", "p"]);
    answered(&bench, &output, "done\n");
}

#[test]
fn an_answer_file_is_made_for_it_and_removed() {
    let bench = Bench::new();
    let writes = script(
        &bench,
        "writes.sh",
        r#"echo drawing; printf 'the answer' > "$1"; echo "$1" > where"#,
    );
    let output = run(&bench, &["-a", &format!("cmd:{writes} {{answer}}"), "p"]);
    answered(&bench, &output, "the answer\n");
    let path = fs::read_to_string(bench.path("project/where")).unwrap();
    assert!(!fs::exists(path.trim()).unwrap(), "{path}");
    // What the program has not written is no answer.
    let output = run(&bench, &["-a", "cmd:/bin/echo {answer}", "p"]);
    assert_eq!(output.status.code(), Some(1), "{}", show(&output, &bench));
    // The journal has what was read: a replay gives the same events.
    let replayed = bench.belay(&["replay", "latest", "-q"]).output().unwrap();
    assert!(replayed.status.success(), "{}", show(&replayed, &bench));
}

#[test]
fn an_agent_of_ones_own_has_a_name_and_its_lines_a_meaning() {
    let bench = Bench::new();
    let own = script(
        &bench,
        "own.sh",
        r#"echo banner; echo ===; echo "$1 with $2"; [ "$1" != fail ] || echo FATAL: HTTP 429 Too Many Requests"#,
    );
    let config = format!(
        "[agents.mine]\ncmd = '{own} {{prompt}} {{model}}'\nmodel = 'm1'\nreads = {{ answer_after = ['==='], failures = ['FATAL'] }}\n"
    );
    configure(&bench, &config);
    answered(&bench, &run(&bench, &["-a", "mine", "hello"]), "hello with m1\n");
    answered(&bench, &run(&bench, &["-a", "mine:m2", "hello"]), "hello with m2\n");
    let output = run(&bench, &["-a", "mine", "fail"]);
    assert_eq!(output.status.code(), Some(75), "{}", show(&output, &bench));
    let runs = bench.belay(&["runs", "--json", "--agent", "mine"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&runs.stdout).lines().count(), 3, "{}", show(&runs, &bench));
    let config = bench.belay(&["config", "show"]).output().unwrap();
    assert!(String::from_utf8_lossy(&config.stdout).contains("agents.mine.cmd"));
}

#[test]
fn what_is_wrong_with_such_an_agent_is_said_in_its_place() {
    let bench = Bench::new();
    for (config, want) in [
        ("[agents.Mine]\ncmd = 'x'\n", "`Mine` cannot name an agent"),
        ("[agents.codex]\ncmd = 'x'\n", "belay knows codex by itself"),
        ("[agents.mine]\ncmd = 'x'\nreads = { lead = ['x'] }\n", "unknown field `lead`"),
        ("[agents.mine]\nprogram = 'x'\n", "there is no agent `mine`"),
        ("[agents.mine]\ncmd = 'x'\nreads = { failures = [''] }\n", "`failures` has an empty lead"),
        (
            "[agents.mine]\ncmd = 'x'\nreads = { answer_file = '/etc/passwd' }\n",
            "is not in the working folder",
        ),
        ("[agents.mine]\ncmd = 'x'\nreads = { interrupts = 100000 }\n", "`interrupts`"),
        ("[agents.mine]\ncmd = 'x'\nacp = 'y'\n", "`cmd` and `acp` are two"),
        ("[agents.mine]\nacp = 'x'\nreads = { failures = ['F'] }\n", "`reads` is for a `cmd`"),
        (
            "[agents.mine]\nacp = 'x'\nspeaks = { modes = { edits = 'y' } }\n",
            "unknown field `edits`",
        ),
        (
            "[agents.mine]\nacp = 'x'\nspeaks = { session_log = { path = '/x/{session}', input = '/i', output = '/o' } }\n",
            "begin it with ~/",
        ),
    ] {
        configure(&bench, config);
        let output = run(&bench, &["p"]);
        let shown = show(&output, &bench);
        assert!(output.status.code() != Some(0) && shown.contains(want), "{config}\n{shown}");
    }
    configure(&bench, "");
    let project = bench.path("project/.belay");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("config.toml"), "[agents.mine]\ncmd = 'x'\n").unwrap();
    let output = run(&bench, &["p"]);
    let shown = show(&output, &bench);
    assert!(output.status.code() != Some(0) && shown.contains("cannot set"), "{shown}");
}

#[test]
fn another_command_is_another_agent_and_is_refused_behind_one_of_which_nothing_is_known() {
    let bench = Bench::new();
    let first = script(&bench, "first.sh", "echo 'HTTP 429' >&2; exit 1");
    let second = script(&bench, "second.sh", "echo made > made");
    let chain = [format!("cmd:{first}"), format!("cmd:{second}")];
    let output = run(&bench, &["-a", &chain[0], "-a", &chain[1], "p"]);
    let shown = show(&output, &bench);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(!bench.path("project/made").exists(), "{shown}");
}

#[test]
fn what_it_has_changed_is_found_out_before_anybody_goes_on() {
    let bench = Bench::new();
    let first = script(&bench, "first.sh", "echo begun > work; echo 'HTTP 429' >&2; exit 1");
    let second = script(&bench, "second.sh", "/bin/cat");
    let chain = [format!("cmd:{first}"), format!("cmd:{second}")];
    let args =
        ["-a", &chain[0], "-a", &chain[1], "--permit", "full", "--agent-retries", "0", "task"];
    // More than one attempt.
    let run = |args: &[&str]| {
        let mut command = bench.belay(&[&["run"], args].concat());
        command.env_remove("BELAY_MAX_ATTEMPTS").output().unwrap()
    };
    let output = run(&args);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("task"), "{}", show(&output, &bench));
    assert!(told.contains("work") && told.contains("rate_limited"), "{}", show(&output, &bench));
    fs::remove_file(bench.path("project/work")).unwrap();
    // The first one's limit is known now.
    let reset = bench.belay(&["breaker", "reset"]).output().unwrap();
    assert!(reset.status.success(), "{}", show(&reset, &bench));
    let output = run(&[&args[..], &["--on-effects", "stop", "--format", "json"]].concat());
    let shown = show(&output, &bench);
    assert!(!output.status.success(), "{shown}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["attempts"][0]["effects"], "observed", "{result:#}");
    assert_eq!(result["attempts"].as_array().map(Vec::len), Some(1), "{result:#}");
    // One that was refused at once has done nothing.
    let refused = script(&bench, "refused.sh", "echo 'HTTP 429' >&2; exit 1");
    let chain = [format!("cmd:{refused}"), format!("cmd:{second}")];
    let output = run(&[
        "-a",
        &chain[0],
        "-a",
        &chain[1],
        "--permit",
        "full",
        "--on-effects",
        "stop",
        "task",
    ]);
    answered(&bench, &output, "task\n");
}

#[test]
fn a_run_of_a_command_is_resumed_with_what_it_had_done() {
    let bench = Bench::new();
    let text = "[ -e work ] && exec /bin/cat; echo begun > work; echo 'I have begun.'; exit 3";
    let program = script(&bench, "two.sh", text);
    let output = run(&bench, &["-a", &format!("cmd:{program} 'a b'"), "--permit", "full", "task"]);
    assert!(!output.status.success(), "{}", show(&output, &bench));
    let resumed = bench.belay(&["resume", "latest"]).output().unwrap();
    let told = String::from_utf8_lossy(&resumed.stdout);
    assert!(resumed.status.success() && told.contains("task"), "{}", show(&resumed, &bench));
    assert!(told.contains("I have begun."), "{}", show(&resumed, &bench));
    let replayed = bench.belay(&["replay", "latest", "-q"]).output().unwrap();
    assert!(replayed.status.success(), "{}", show(&replayed, &bench));
}

#[test]
fn a_path_that_is_typed_is_one_from_here_and_one_in_a_file_is_none() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("project")).unwrap();
    script(&bench, "project/here.sh", "echo here");
    answered(&bench, &run(&bench, &["-a", "cmd:./here.sh", "p"]), "here\n");
    configure(&bench, "[agents.mine]\ncmd = './here.sh'\n");
    let output = run(&bench, &["-a", "mine", "p"]);
    let shown = show(&output, &bench);
    assert!(!output.status.success() && shown.contains("write it in full"), "{shown}");
}

#[test]
fn doctor_and_the_lists_know_agents_of_ones_own() {
    let bench = Bench::new();
    let own = script(&bench, "own.sh", "echo started > started; echo hi");
    configure(&bench, &format!("[agents.mine]\ncmd = '{own} {{prompt}}'\n"));
    let agents = bench.belay(&["agents"]).output().unwrap();
    assert!(String::from_utf8_lossy(&agents.stdout).contains(&own), "{}", show(&agents, &bench));
    let doctor = bench.belay(&["doctor", "mine"]).output().unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(told.contains(&own) && told.contains("is an argument of it"), "{told}");
    assert!(!bench.path("project/started").exists(), "nobody knows what it would do");
    let output = run(&bench, &["-a", "nosuch", "p"]);
    assert!(show(&output, &bench).contains("your own: mine"), "{}", show(&output, &bench));
}
