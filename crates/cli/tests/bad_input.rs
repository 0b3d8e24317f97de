//! What a user gets who makes a mistake: one line that names it, a way out, a stable exit code.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::Play;
use insta::assert_snapshot;
use std::fs;
use std::process::Stdio;

/// A bench with a Claude that must never be started.
fn with_claude() -> Bench {
    let bench = Bench::new();
    bench.agent("claude", &Play::lines(["this agent was started"]));
    bench
}

#[test]
fn an_unknown_agent() {
    assert_snapshot!(with_claude().shown(&["run", "-a", "clod", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'clod' for '--agent <AGENT[:MODEL]>': there is no agent `clod`: use claude, claude-code, codex, opencode, pi, copilot, docker, docker-agent, gemini-cli, gemini, qwen-code, qwen, goose, acp, cmd

    For more information, try '--help'.
    "#);
}

#[test]
fn an_agent_that_is_not_installed() {
    assert_snapshot!(with_claude().shown(&["run", "-a", "codex", "hi"]), @r#"
    exit 69
    --- stdout
    --- stderr
    error: `codex` is not on the PATH
    hint: install it, or name its program with --program; `belay agents` shows what is found
    "#);
}

#[test]
fn an_empty_prompt() {
    assert_snapshot!(with_claude().shown(&["run", ""]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the prompt is empty
    hint: belay run "PROMPT", or -f FILE, or - for standard input
    "#);
}

#[test]
fn an_empty_prompt_on_standard_input() {
    assert_snapshot!(with_claude().shown(&["run"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the prompt is empty
    hint: belay run "PROMPT", or -f FILE, or - for standard input
    "#);
}

#[test]
fn a_working_directory_that_does_not_exist() {
    assert_snapshot!(with_claude().shown(&["run", "-C", "no/such", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the working directory BENCH/project/no/such does not exist
    hint: make it, or choose another with -C
    "#);
}

#[test]
fn an_added_folder_that_does_not_exist() {
    assert_snapshot!(with_claude().shown(&["run", "--add-dir", "no/such", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the added folder BENCH/project/no/such does not exist or is no folder
    "#);
}

#[test]
fn an_added_folder_for_an_agent_that_keeps_to_none() {
    let bench = with_claude();
    assert_snapshot!(bench.shown(&["run", "-a", "pi", "--add-dir", ".", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: pi cannot honour add_dirs
    hint: leave it out, or accept a notice with --lenient; see `belay agents --capabilities`
    "#);
}

#[test]
fn a_trace_id_that_would_leave_its_folder() {
    let bench = with_claude();
    assert_snapshot!(bench.shown(&["run", "--trace-id", "../../x", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `../../x` cannot name a trace: use letters, digits, `.`, `_` and `-`, at most 128, first a letter or digit, no `..`
    "#);
    assert!(!bench.path("x.json").exists() && !bench.path("project/.belay").exists());
}

#[test]
fn a_prompt_file_that_cannot_be_read() {
    assert_snapshot!(with_claude().shown(&["run", "-f", "missing.md"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot read the prompt file missing.md: No such file or directory (os error 2)
    hint: check the path; a prompt that begins with `-` stands after `--`
    "#);
    assert_snapshot!(with_claude().shown(&["run", "-f", "."]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot read the prompt file .: Is a directory (os error 21)
    hint: check the path; a prompt that begins with `-` stands after `--`
    "#);
}

#[test]
fn a_prompt_file_that_is_no_text() {
    let bench = with_claude();
    fs::write(bench.project().join("task.md"), b"ok \xff\xfe").unwrap();
    assert_snapshot!(bench.shown(&["run", "-f", "task.md"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the prompt from task.md is not UTF-8 (byte 3)
    hint: convert it with iconv
    "#);
}

#[test]
fn an_option_that_the_agent_lacks() {
    let bench = Bench::new();
    bench.agent("codex", &Play::lines(["this agent was started"]));
    assert_snapshot!(bench.shown(&["run", "-a", "codex", "--allowed-tools", "Read", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: codex cannot honour allowed_tools
    hint: leave it out, or accept a notice with --lenient; see `belay agents --capabilities`
    "#);
}

#[test]
fn values_that_could_be_taken_for_flags() {
    assert_snapshot!(with_claude().shown(&["run", "--model=--dangerously-skip-permissions", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: claude-code cannot honour this model: a name has letters, digits and _ . : / @ [ ] -, and begins with a letter or digit
    "#);
    assert_snapshot!(with_claude().shown(&["run", "--resume=-x", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: claude-code cannot honour this resume: a name has letters, digits and _ . : / @ [ ] -, and begins with a letter or digit
    "#);
}

#[test]
fn an_effort_and_a_permission_mode_that_do_not_exist() {
    assert_snapshot!(with_claude().shown(&["run", "--effort", "huge", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'huge' for '--effort <EFFORT>': `huge` is no effort: use low, medium, high or max

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_claude().shown(&["run", "--permit", "yolo", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'yolo' for '--permit <MODE>': `yolo` is no permission mode: use read-only, ask, edit or full

    For more information, try '--help'.
    "#);
}

#[test]
fn no_turns_at_all() {
    assert_snapshot!(with_claude().shown(&["run", "--max-turns", "0", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: max_turns is 0: an agent needs at least one turn to answer
    "#);
}

#[test]
fn no_time_at_all_and_no_time_at_all_understood() {
    assert_snapshot!(with_claude().shown(&["run", "--timeout", "0s", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: timeout is 0: an agent needs time to answer
    "#);
    assert_snapshot!(with_claude().shown(&["run", "--timeout", "soon", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'soon' for '--timeout <TIME>': write a time such as 90s, 10m or 1h30m

    For more information, try '--help'.
    "#);
}

#[test]
fn a_trace_folder_that_cannot_be_written() {
    let bench = with_claude();
    fs::write(bench.project().join("file"), "").unwrap();
    assert_snapshot!(bench.shown(&["run", "--trace-dir", "file/traces", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot write traces to file/traces: Not a directory (os error 20)
    hint: choose another folder with --trace-dir, or run with --no-trace
    "#);
}

#[test]
fn a_state_folder_that_cannot_be_written() {
    let bench = with_claude();
    fs::write(bench.project().join("file"), "").unwrap();
    assert_snapshot!(bench.shown(&["run", "--state-dir", "file", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot write the journal in file: Not a directory (os error 20)
    hint: choose another folder with --state-dir, or run with --no-journal
    "#);
}

#[test]
fn a_program_that_is_none() {
    let bench = with_claude();
    fs::write(bench.project().join("text"), "").unwrap();
    assert_snapshot!(bench.shown(&["run", "--program", "text", "hi"]), @r#"
    exit 69
    --- stdout
    --- stderr
    error: text is not an executable program
    hint: name another program with --program
    "#);
    assert_snapshot!(bench.shown(&["run", "--program", "/no/such", "hi"]), @r#"
    exit 69
    --- stdout
    --- stderr
    error: cannot find the program /no/such: No such file or directory (os error 2)
    hint: install it, or name its program with --program; `belay agents` shows what is found
    "#);
}

#[test]
fn a_prompt_and_a_prompt_file() {
    assert_snapshot!(with_claude().shown(&["run", "-f", "x", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the argument '--file <FILE>' cannot be used with '[PROMPT]'

    Usage: belay run --file <FILE> --max-attempts <N> [PROMPT] [-- <AGENT ARGS>...]

    For more information, try '--help'.
    "#);
}

#[test]
fn a_prompt_on_standard_input_and_another_after_two_dashes() {
    let bench = with_claude();
    let mut command = bench.belay(&["run", "--", "--verbose"]);
    let output = command.stdin(Stdio::piped()).output().unwrap();
    assert_snapshot!(show(&output, &bench), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there are two prompts: standard input, and what follows `--`
    hint: to send both, write the prompt before `--` or into a file (-f FILE); `--no-stdin` leaves standard input out
    "#);
}

#[test]
fn a_flag_that_does_not_exist() {
    assert_snapshot!(with_claude().shown(&["run", "--modle", "opus", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unexpected argument '--modle' found

      tip: a similar argument exists: '--model'
      tip: to pass '--modle' as a value, use '-- --modle'

    Usage: belay run --model <MODEL> [PROMPT] [-- <AGENT ARGS>...]

    For more information, try '--help'.
    "#);
}

#[test]
fn a_path_without_a_path_variable() {
    let bench = with_claude();
    let output = bench.belay(&["run", "hi"]).env_remove("PATH").output().unwrap();
    assert_snapshot!(show(&output, &bench), @r#"
    exit 69
    --- stdout
    --- stderr
    error: cannot look for `claude`: the environment has no PATH
    hint: install it, or name its program with --program; `belay agents` shows what is found
    "#);
}

#[test]
fn control_characters_in_an_argument_do_not_reach_the_terminal() {
    let shown = with_claude().shown(&["run", "-C", "\x1b[2Jx", "hi"]);
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let bench = with_claude();
    let mut child = bench.belay(&["schema"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_price_file_with_a_mistake() {
    let bench = with_claude();
    let file = bench.project().join("prices.toml");
    fs::write(&file, "[models.\"lab/mock-model\"]\ninput_usd_per_milion = 2.0\n").unwrap();
    assert_snapshot!(bench.shown(&["run", "--price-file", "prices.toml", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: prices.toml:2:1: unknown field `input_usd_per_milion`, expected one of `input_usd_per_million`, `output_usd_per_million`, `cache_read_usd_per_million`, `cache_write_usd_per_million`, `cache_write_1h_usd_per_million`, `above`, `context_window`
    hint: a model is [models."NAME"] with input_usd_per_million and output_usd_per_million
    "#);
    assert_snapshot!(bench.shown(&["run", "--price-file", "none.toml", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot read the prices in none.toml: No such file or directory (os error 2)
    hint: name another file with --price-file
    "#);
}
