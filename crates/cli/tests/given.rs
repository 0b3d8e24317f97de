//! What a request gives the model besides its prompt, from the command line.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::Play;
use insta::assert_snapshot;
use serde_json::json;
use std::fs;
use std::process::Command;

/// A bench with a Claude that must never be started.
fn with_claude() -> Bench {
    let bench = Bench::new();
    bench.agent("claude", &Play::lines(["this agent was started"]));
    bench
}

fn with_servers(text: &str) -> String {
    let bench = with_claude();
    fs::write(bench.path("project/mcp.json"), text).unwrap();
    let mut belay = bench.belay(&["run", "--dry-run", "--mcp-config", "mcp.json", "hi"]);
    belay.env("DOCS_TOKEN", "s3cret");
    show(&belay.output().unwrap(), &bench)
}

#[test]
fn a_server_of_tools_is_shown_in_a_dry_run() {
    let args = ["run", "--dry-run", "--mcp", "docs=npx -y 'docs mcp'", "hi"];
    assert_snapshot!(with_claude().shown(&args), @r#"
    exit 0
    --- stdout
    # dialogue transport; the prompt goes in by standard input
    # mcp.json goes in as a private file
    DISABLE_AUTOUPDATER=1 claude --print --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=stdio '--mcp-config={"mcpServers":{"docs":{"command":"npx","args":["-y","docs mcp"]}}}' --allowedTools=mcp__docs
    # the same as one shot
    printf %s 'hi' | claude --print --output-format=stream-json --verbose --include-partial-messages '--mcp-config={"mcpServers":{"docs":{"command":"npx","args":["-y","docs mcp"]}}}' --allowedTools=mcp__docs
    --- stderr
    "#);
}

#[test]
fn a_dry_run_shows_each_agent_of_the_chain() {
    let chain = ["-a", "claude:opus", "-a", "codex:gpt-5.5", "-a", "opencode:lab/m"];
    let args = [&["run", "--dry-run", "--permit", "full"], &chain[..], &["hi"]].concat();
    let shown = with_claude().shown(&args);
    let heads: Vec<&str> = shown.lines().filter(|line| line.contains(" of 3: ")).collect();
    assert_eq!(
        heads,
        ["# 1 of 3: claude-code:opus", "# 2 of 3: codex:gpt-5.5", "# 3 of 3: opencode:lab/m"]
    );
    for word in ["--model=opus", "--model=gpt-5.5", "opencode serve"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn a_dry_run_checks_each_agent_of_the_chain() {
    let args =
        ["run", "--dry-run", "-a", "claude", "-a", "codex", "--max-output-tokens", "9", "hi"];
    let shown = with_claude().shown(&args);
    assert!(shown.contains("exit 2") && shown.contains("codex cannot honour"), "{shown}");
}

#[test]
fn a_secret_of_a_server_is_not_shown() {
    let file = r#"{"mcpServers":{"docs":{"url":"https://docs/mcp","headers":{"Authorization":"${DOCS_TOKEN}"}}}}"#;
    assert_snapshot!(with_servers(file), @r#"
    exit 0
    --- stdout
    # dialogue transport; the prompt goes in by standard input
    # mcp.json goes in as a private file
    DISABLE_AUTOUPDATER=1 claude --print --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=stdio '--mcp-config={belay-file:mcp.json}' --allowedTools=mcp__docs
    # the same as one shot
    # not possible: claude-code cannot honour this mcp_servers: a value that may be a secret must not stand on a command line; only a run can hand it over
    --- stderr
    "#);
}

#[test]
fn a_file_of_servers_that_cannot_be_used_is_an_error_before_anything_starts() {
    assert_snapshot!(with_claude().shown(&["run", "--mcp-config", "none.json", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'none.json' for '--mcp-config <FILE>': none.json: No such file or directory (os error 2)

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_servers(r#"{"mcpServers":{"docs":{"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'mcp.json' for '--mcp-config <FILE>': mcp.json: EOF while parsing an object at line 1 column 23

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_servers(r#"{"servers":{}}"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'mcp.json' for '--mcp-config <FILE>': mcp.json: missing field `mcpServers`

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_servers(r#"{"mcpServers":{"docs":{"type":"sse","url":"https://x"}}}"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'mcp.json' for '--mcp-config <FILE>': mcp.json: the old SSE transport of MCP is spoken by few agents: many such servers have a streamable HTTP address too, often at /mcp

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_servers(r#"{"mcpServers":{"docs":{"command":"${UNSET}"}}}"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'mcp.json' for '--mcp-config <FILE>': mcp.json: the variable UNSET is not set

    For more information, try '--help'.
    "#);
}

#[test]
fn a_file_that_is_no_image_is_an_error_before_anything_starts() {
    let bench = with_claude();
    fs::write(bench.path("project/notes.png"), "no picture").unwrap();
    for (file, want) in [
        ("none.png", "error: the image none.png: No such file or directory (os error 2)"),
        (".", "error: the image .: not a regular file"),
        (
            "notes.png",
            "error: the image notes.png: not an image that models take: PNG, JPEG, GIF or WebP",
        ),
    ] {
        let shown = bench.shown(&["run", "--image", file, "hi"]);
        assert_eq!(shown, format!("exit 2\n--- stdout\n--- stderr\n{want}\n"));
    }
}

#[test]
fn a_server_that_is_no_server_is_an_error_before_anything_starts() {
    assert_snapshot!(with_claude().shown(&["run", "--mcp", "npx", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'npx' for '--mcp <NAME=COMMAND>': write NAME=COMMAND or NAME=URL, such as docs='npx -y docs-mcp'

    For more information, try '--help'.
    "#);
    assert_snapshot!(with_claude().shown(&["run", "--mcp", "a b=npx", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: claude-code cannot honour this mcp_servers: a server's name has letters, digits, - and single _, at most 64, and begins with a letter or digit
    "#);
    assert_snapshot!(with_claude().shown(&["run", "--mcp", "a=npx ${X}", "hi"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: claude-code cannot honour this mcp_servers: the agent would put something else in the place of a `$`, `{…}` or `!` in the server's values
    "#);
}

#[test]
fn a_schema_that_is_none_is_an_error_before_anything_starts() {
    let bench = with_claude();
    for (text, want) in [
        ("{", "schema.json: EOF while parsing an object at line 1 column 1"),
        (r#"{"type": "thing"}"#, "the output schema is no JSON Schema: "),
        (r#"{"$ref": "https://example.com/x.json"}"#, "the output schema is no JSON Schema: "),
    ] {
        fs::write(bench.path("project/schema.json"), text).unwrap();
        let shown = bench.shown(&["run", "--output-schema", "schema.json", "hi"]);
        assert!(shown.starts_with("exit 2\n") && shown.contains(want), "{shown}");
    }
}

/// The words around a value are for people; a script wants the value.
#[test]
fn the_answer_of_a_wanted_shape_is_the_value_alone() {
    let bench = Bench::new();
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "session_id": "s1",
        "result": "It is red, as you can see.", "structured_output": {"colour": "red"},
    });
    let init = json!({"type": "system", "subtype": "init", "session_id": "s1"});
    bench.agent("claude", &Play::lines([init.to_string(), result.to_string()]));
    let schema = json!({"type": "object", "required": ["colour"]});
    fs::write(bench.path("project/schema.json"), schema.to_string()).unwrap();
    let args = ["run", "--format", "quiet", "--output-schema", "schema.json", "hi"];
    assert_eq!(bench.shown(&args), "exit 0\n--- stdout\n{\"colour\":\"red\"}\n--- stderr\n");
}

#[test]
fn a_pipe_that_nothing_writes_to_is_an_error_before_anything_starts() {
    let bench = with_claude();
    let pipe = bench.project().join("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let options = ["-f", "--image", "--output-schema", "--mcp-config", "--price-file"];
    for option in options {
        let prompt: &[&str] = if option == "-f" { &[] } else { &["hi"] };
        let shown = bench.shown(&[&["run", option, "pipe.png"], prompt].concat());
        assert!(shown.starts_with("exit 2\n"), "{option}: {shown}");
        let is_named =
            shown.contains("nothing writes to this pipe") || shown.contains("not a regular file");
        assert!(is_named && shown.contains("pipe.png"), "{option}: {shown}");
    }
}

#[test]
fn a_prompt_may_come_through_a_pipe_that_a_slow_program_fills() {
    let bench = with_claude();
    let pipe = bench.project().join("prompt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let slow = "exec 3>prompt; sleep 6; echo 'say hi' >&3";
    let mut writer = Command::new("sh").args(["-c", slow]).current_dir(bench.project()).spawn();
    let shown = bench.shown(&["run", "--dry-run", "-f", "prompt"]);
    writer.as_mut().unwrap().wait().unwrap();
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}

#[test]
fn a_server_that_its_file_switches_off_is_left_out_with_its_variables() {
    let off = |switch: &str| {
        format!(
            r#"{{"mcpServers":{{"docs":{{"command":"docs"}},"old":{{"command":"x","env":{{"T":"${{NOT_SET}}"}},{switch}}}}}}}"#
        )
    };
    for switch in [r#""disabled":true"#, r#""enabled":false"#] {
        let shown = with_servers(&off(switch));
        assert!(shown.contains("exit 0") && shown.contains("mcp__docs"), "{shown}");
        assert!(!shown.contains("old"), "{shown}");
    }
    for switch in [r#""disabled":false"#, r#""enabled":true"#] {
        let shown = with_servers(&off(switch));
        assert!(shown.contains("the variable NOT_SET is not set"), "{shown}");
    }
}

/// Windows editors write one.
#[test]
fn a_byte_order_mark_before_a_file_says_nothing() {
    let plain = r#"{"mcpServers":{"docs":{"command":"docs"}}}"#;
    assert_eq!(with_servers(&format!("\u{feff}{plain}")), with_servers(plain));

    let bench = with_claude();
    fs::write(bench.path("project/prompt"), "\u{feff}Say it.").unwrap();
    let shown = bench.shown(&["run", "--dry-run", "-f", "prompt"]);
    assert!(shown.contains("printf %s 'Say it.'"), "{shown}");

    let config = bench.path("home/.config/belay/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "\u{feff}chain = [\"claude:opus\"]\n").unwrap();
    let shown = bench.shown(&["run", "--dry-run", "hi"]);
    assert!(shown.contains("exit 0") && shown.contains("--model=opus"), "{shown}");
}
