//! What is wrong is told with its place and the way out.

use super::*;

#[test]
fn a_mistake_is_told_with_its_place_and_the_way_out() {
    let wrong = |text: &str, want: &str| refused(Which::User, text, want);
    wrong("max_cost = [", "1:13: unclosed array, expected `]`");
    wrong("a = 1\na = 2", "2:1: duplicate key");
    wrong(
        "\n\n  max_cost = 'five'",
        "3:14: this text does not belong here: write an amount such as 0.50 or 5",
    );
    wrong(
        "max_cost = -1",
        "1:12: this number does not belong here: write an amount such as 0.50 or 5",
    );
    wrong(
        "max_cost = nan",
        "1:12: this number does not belong here: write an amount such as 0.50 or 5",
    );
    wrong("max_turns = 0", "1:13: this number does not belong here: write a whole number from 1");
    wrong(
        "max_turns = 99999999999",
        "1:13: this number does not belong here: write a whole number from 1",
    );
    wrong(
        "timeout = 90",
        "1:11: this number does not belong here: write a time such as \"90s\", \"10m\" or \"1h30m\"",
    );
    wrong(
        "timeout = '-1s'",
        "1:11: this text does not belong here: write a time such as \"90s\", \"10m\" or \"1h30m\"",
    );
    wrong("permit = 'all'", "1:10: `all` is no permission mode: use read-only, ask, edit or full");
    wrong(
        "chain = ['claude', 'clod']",
        "1:20: there is no agent `clod`: use claude, claude-code, codex, opencode, pi, copilot, docker, docker-agent, gemini-cli, gemini, qwen-code, qwen, goose, acp, cmd",
    );
    wrong(
        "chain = []",
        "1:9: a list does not belong here: write a list of agents such as [\"claude:opus\", \"codex\"]",
    );
    wrong(
        "chain = 'claude'",
        "1:9: this text does not belong here: write a list of agents such as [\"claude:opus\", \"codex\"]",
    );
    wrong(
        "agents = ['claude']",
        "1:10: `agents` holds a table for each agent: write [agents.NAME]; which ones a run uses is `chain = […]`",
    );
    wrong("policy = 3", "1:10: `policy` is a table: write [policy] and its keys below");
    wrong("[profiles]\nx = 1", "2:5: a profile is a table: write [profiles.NAME]");
    wrong(
        "[policy.on]\nrefused = 'retry:x'",
        "2:11: `retry:x` is no step of a rule: use retry, retry:N, model, agent, wait, or stop alone",
    );
    wrong(
        "format = 'xml'",
        "1:10: this text does not belong here: write \"text\", \"jsonl\", \"json\" or \"quiet\"",
    );
    wrong(
        "hide = ['x']",
        "1:9: there is no part `x`: use system, assistant, reasoning, tool-use, tool-result, result, tokens, content",
    );
    wrong(
        "[agents.codex]\n[agents.claude]\n[agents.claude-code]",
        "3:9: `claude-code` stands here twice, by two of its names",
    );
    wrong("default_profile = 'x'\n[profiles.y]", "1:19: there is no profile `x`");
    wrong("'policy.max_attempts' = 3", "1:1: there is no key `policy.max_attempts`");
}

#[test]
fn a_key_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    let root = tempfile::tempdir().unwrap();
    let check = |text: &str, want: &str| {
        let wrong = read(Which::User, text, root.path()).unwrap_err();
        assert_eq!(wrong.mistakes[0].hint.as_deref(), Some(want), "{text}");
    };
    check("max-cost = 1", "did you mean `max_cost`?");
    check("max_atempts = 1", "did you mean `policy.max_attempts`?");
    check("[policy]\nwaitmax = '1h'", "did you mean `policy.wait_max`?");
    check("[policy]\ntimeout = '1h'", "did you mean `timeout`?");
    check("[policy.on]\noverload = 'stop'", "did you mean `overloaded`?");
    check("[profile.x]", "did you mean `profiles`?");
    check(
        "[profiles.x]\nstate_dir = '/x'",
        "`state_dir` stands at the top of the file, for all profiles",
    );
    check(
        "[profiles.x]\nagents = ['codex']",
        "the agents of a profile are `chain = [\"claude:opus\", \"codex\"]`",
    );
    check("default_profile = 'wrok'\n[profiles.work]", "did you mean `work`?");
    check("[agents.codx]", "did you mean `codex`?");
    check("[agents.codex]\npass-env = []", "did you mean `pass_env`?");
    check("[agents.codex]\nx = 1", "use program, model, pass_env, args, max_concurrent");
    check("x = 1", "docs/config.md has all keys; `belay config init` writes them down");
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    let text =
        "z = 1\nmax_turns = 0\n[agents.q]\n[agents.codex]\na = 1\n[policy]\nmax_retries = true";
    let wrong = read(Which::User, text, root.path()).unwrap_err();
    let starts: Vec<_> = wrong.mistakes.iter().map(|mistake| &text[mistake.span.clone()]).collect();
    assert_eq!(starts, ["z", "0", "q", "a", "true"]);
}

#[test]
fn no_text_can_end_the_program() {
    let root = tempfile::tempdir().unwrap();
    let whole = starter::text(Which::User).replace("\n#", "\n");
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)).step_by(7) {
        for text in [&whole[..end], &whole[end..]] {
            for which in [Which::User, Which::Project] {
                if let Err(wrong) = read(which, text, root.path()) {
                    assert!(!wrong.all().is_empty());
                }
            }
        }
    }
}
