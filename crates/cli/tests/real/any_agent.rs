//! One line of `belay run` with every real agent, of which only the name is changed.

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{EVERYONE, Everyone};
use serde_json::Value;
use std::process::{Command, Stdio};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// `belay run -a NAME …` with a command of the model's and its answer.
fn run(name: &str, test: &str) -> Option<Vec<Value>> {
    let script = Script::new()
        .reply(Reply::text("I will run it.").shell("echo from-the-shell").usage(TOKENS))
        .reply(Reply::text("It said so.").usage(TOKENS));
    let server = ModelServer::start(script).unwrap();
    let Everyone { sandbox, env } = Everyone::enter(&server, test)?;
    let mut belay = Command::new(cargo_bin("belay"));
    belay.args(["run", "-a", name, "--permit", "full", "--format", "jsonl", "Run it and tell me"]);
    belay.env_clear().envs(env).current_dir(sandbox.project());
    let output = belay.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{name}");
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn one_line_runs_every_agent_and_only_its_name_is_changed() {
    let test = "one_line_runs_every_agent_and_only_its_name_is_changed";
    for name in EVERYONE {
        let Some(events) = run(name, test) else { return };
        let outputs: Vec<&str> = events
            .iter()
            .filter(|event| event["type"] == "tool_result")
            .map(|event| event["output"].as_str().unwrap().trim_end())
            .collect();
        assert_eq!(outputs, ["from-the-shell"], "{name}");
        let call = events.iter().find(|event| event["type"] == "tool_call").unwrap();
        assert_eq!((&call["name"], &call["kind"]), (&"Bash".into(), &"execute".into()), "{name}");
        let result = events.last().unwrap();
        assert_eq!(result["result"], "It said so.", "{name}");
        let used = |name: &str| result["usage"][name].as_u64().unwrap_or_default();
        let input = used("input_tokens") + used("cache_creation_input_tokens");
        let tokens = (input, used("output_tokens"), used("cache_read_input_tokens"));
        // Chat Completions knows no writing to a cache: such tokens are input.
        assert_eq!(tokens, (3000, 170, 18_000), "{name}");
    }
}
