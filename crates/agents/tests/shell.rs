//! `print_command` in a real shell: the agent gets the very prompt and the very arguments.

use belay_agents::{Agent, Claude, Codex, RunRequest, Transport};
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The shells that are installed, of those that people have. `sh` must be.
static SHELLS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let is_installed = |shell: &&str| {
        let found = Command::new(shell).args(["-c", ":"]).stderr(Stdio::null()).status().is_ok();
        if !found {
            // Past the test harness, which swallows what a passing test prints by macro.
            let words =
                format!("SKIPPED: `print_command` was not tried in {shell}: not installed\n");
            std::io::stderr().write_all(words.as_bytes()).unwrap();
        }
        found
    };
    ["sh", "bash", "dash", "zsh"].into_iter().filter(is_installed).collect()
});

/// A folder with a `claude` and a `codex` that write down what they were given.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shell");
    fs::create_dir_all(&folder).unwrap();
    for name in ["claude", "codex"] {
        let script = r#"#!/bin/sh
printf '%s\0' "$@" >"$OUT/args"
printf '%s' "$CLAUDE_CODE_MAX_OUTPUT_TOKENS" >"$OUT/tokens"
cat >"$OUT/stdin"
"#;
        fs::write(folder.join(name), script).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
});

fn check(agent: &dyn Agent, request: &RunRequest) {
    let launch = agent.launch(request, Transport::Print).unwrap();
    let line = agent.print_command(request).unwrap();
    let want: Vec<String> = launch
        .args
        .iter()
        .map(|arg| match launch.files.iter().find(|file| arg.contains(&file.placeholder())) {
            Some(file) => format!("--{}={}", file.name.trim_end_matches(".txt"), file.content),
            None => arg.clone(),
        })
        .collect();
    for shell in SHELLS.iter() {
        let out = PROGRAMS.join(agent.name()).with_extension("heard");
        fs::create_dir_all(&out).unwrap();
        let path = format!("{}:{}", PROGRAMS.display(), std::env::var("PATH").unwrap());
        let status = Command::new(shell)
            .args(["-c", &line])
            .env("PATH", path)
            .env("OUT", &out)
            .env_remove("CLAUDE_CODE_MAX_OUTPUT_TOKENS")
            .status()
            .unwrap();
        assert!(status.success(), "{shell}: {line}");
        let read = |name| fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(read("stdin"), launch.stdin, "{shell}: {line}");
        let args = read("args");
        let args: Vec<&str> = args.strip_suffix('\0').unwrap().split('\0').collect();
        assert_eq!(args, want, "{shell}: {line}");
        let tokens = request.max_output_tokens.map(|tokens| tokens.to_string());
        assert_eq!(read("tokens"), tokens.unwrap_or_default(), "{shell}: {line}");
    }
}

/// Text of what shells like to interpret, and of anything else that an argument can hold.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "'",
            "\"",
            "\\",
            "\n",
            "\r",
            "$",
            "$HOME",
            "$(id)",
            "`id`",
            "!",
            "!!",
            "%s",
            "%",
            "-",
            "--help",
            " ",
            "\t",
            "~",
            "*",
            "?",
            "[a]",
            "{a,b}",
            ";",
            "&",
            "|",
            "<",
            ">",
            "#",
            "=",
            "é",
            "\u{1f600}",
            "\u{2028}",
            "\u{1b}[1m",
            "a",
            "'\\''",
            "\\'",
            "EOF",
        ])
        .prop_map(str::to_owned),
        "[^\0]{1,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_shell_hands_over_what_was_asked(
        prompt in text(),
        system in prop::option::of(text()),
        append in prop::option::of(text()),
        extra in prop::collection::vec(text(), 0..3),
    ) {
        let mut request = RunRequest::new(prompt).extra_args(extra);
        request.system_prompt = system;
        request.append_system_prompt = append;
        check(&Codex::new(), &request);
        let tools = ["Bash(git log *)", "Bash(echo '$HOME')"];
        check(&Claude::new(), &request.max_output_tokens(9).allowed_tools(tools));
    }
}
