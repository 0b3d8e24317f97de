//! MCP servers that did not start, in each agent's own words: a warning with the name and the reason, once.

use belay_agents::{Action, Candidate, Input, Out, Protocol, RunRequest, Transport};
use belay_trace::{Event, Level};
use serde_json::{Value, json};

struct Talk {
    protocol: Box<dyn Protocol>,
    actions: Vec<Action>,
}

impl Talk {
    fn with(agent: &str, transport: Transport) -> Self {
        let agent = agent.parse::<Candidate>().unwrap().agent;
        let protocol = agent.protocol(&RunRequest::new("hi"), transport);
        let mut talk = Self { protocol, actions: Vec::new() };
        talk.step(Input::Start);
        talk
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        self.actions.extend(out.actions);
    }

    fn line(&mut self, line: &Value) {
        self.step(Input::Stdout(line.to_string().as_bytes()));
    }

    /// The ids of the requests for the servers that were made.
    fn asked(&self) -> Vec<String> {
        let said = self.actions.iter().filter_map(|action| match action {
            Action::Stdin(bytes) => serde_json::from_slice::<Value>(bytes).ok(),
            _ => None,
        });
        let asked = said.filter(|said| said["request"]["subtype"] == "mcp_status");
        asked.map(|said| said["request_id"].as_str().unwrap().to_owned()).collect()
    }

    fn warnings(&self) -> Vec<&str> {
        let notices = self.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Notice(notice) if notice.code.as_deref() == Some("mcp_server") => {
                    Some(notice)
                }
                _ => None,
            },
            _ => None,
        });
        notices.inspect(|it| assert_eq!(it.level, Level::Warn)).map(|it| it.text.as_str()).collect()
    }
}

fn init(servers: Value) -> Value {
    json!({"type": "system", "subtype": "init", "session_id": "s", "model": "m", "mcp_servers": servers})
}

fn answer(id: &str, servers: Value) -> Value {
    let response =
        json!({"subtype": "success", "request_id": id, "response": {"mcpServers": servers}});
    json!({"type": "control_response", "response": response})
}

const FAILED: &str = "the MCP server docs did not start: ";

#[test]
fn claude_is_asked_why_a_server_did_not_start() {
    let mut talk = Talk::with("claude", Transport::Dialogue);
    talk.line(&init(
        json!([{"name": "docs", "status": "failed"}, {"name": "fine", "status": "connected"}]),
    ));
    assert_eq!((talk.asked().len(), talk.warnings()), (1, vec![]));
    let why = json!([{"name": "docs", "status": "failed", "error": "ENOENT", "config": {"env": {"T": "s"}}}]);
    talk.line(&answer(&talk.asked()[0].clone(), why));
    assert_eq!(talk.warnings(), [format!("{FAILED}ENOENT")]);
    // A later turn begins with the same line.
    talk.line(&init(json!([{"name": "docs", "status": "failed"}])));
    assert_eq!(talk.warnings().len(), 1);
}

#[test]
fn a_claude_that_does_not_answer_is_no_reason_to_be_silent() {
    let servers =
        json!([{"name": "docs", "status": "failed"}, {"name": "web", "status": "needs-auth"}]);
    let want = [
        format!("{FAILED}the agent does not say why"),
        "the MCP server web did not start: it asks for a login".to_owned(),
    ];
    let mut print = Talk::with("claude", Transport::Print);
    print.line(&init(servers.clone()));
    assert_eq!(
        (print.asked().len(), print.warnings()),
        (0, want.iter().map(String::as_str).collect())
    );
    let mut talk = Talk::with("claude", Transport::Dialogue);
    talk.line(&init(servers));
    talk.line(
        &json!({"type": "result", "subtype": "success", "is_error": false, "result": "Done."}),
    );
    assert_eq!(talk.warnings(), want);
}

#[test]
fn a_server_of_claudes_that_is_still_starting_is_asked_for_again() {
    let mut talk = Talk::with("claude", Transport::Dialogue);
    talk.line(&init(json!([{"name": "docs", "status": "pending"}])));
    talk.line(&answer(&talk.asked()[0].clone(), json!([{"name": "docs", "status": "pending"}])));
    assert_eq!(talk.warnings(), [""; 0]);
    talk.line(&json!({"type": "assistant", "message": {"id": "m1", "content": [{"type": "text", "text": "a"}]}}));
    assert_eq!(talk.asked().len(), 2);
    let late = json!([{"name": "docs", "status": "failed", "error": "timed out"}]);
    talk.line(&answer(&talk.asked()[1].clone(), late));
    assert_eq!(talk.warnings(), [format!("{FAILED}timed out")]);
}

#[test]
fn codexs_reason_stands_without_its_lead_in() {
    let mut talk = Talk::with("codex", Transport::Dialogue);
    let update = |status: &str, error: Value| {
        let params = json!({"threadId": "t", "name": "docs", "status": status, "error": error});
        json!({"method": "mcpServer/startupStatus/updated", "params": params})
    };
    talk.line(&update("starting", Value::Null));
    talk.line(&update(
        "failed",
        json!("MCP client for `docs` failed to start: MCP startup failed: No such file or directory (os error 2)"),
    ));
    talk.line(&update("ready", Value::Null));
    assert_eq!(talk.warnings(), [format!("{FAILED}No such file or directory (os error 2)")]);
}

#[test]
fn opencodes_server_is_asked_what_has_become_of_the_servers() {
    let mut talk = Talk::with("opencode:lab/m", Transport::Dialogue);
    talk.step(Input::Stdout(b"opencode server listening on http://127.0.0.1:1"));
    talk.step(Input::Sse(br#"{"type":"server.connected","properties":{}}"#));
    let asked = |talk: &Talk, path: &str| {
        talk.actions.iter().find_map(|action| match action {
            Action::Http { id, path: asked, .. } if asked == path => Some(*id),
            _ => None,
        })
    };
    let id = asked(&talk, "/session").unwrap();
    talk.step(Input::Http { id, status: 200, body: br#"{"id":"ses_1"}"# });
    let id = asked(&talk, "/mcp").unwrap();
    let body = json!({
        "docs": {"status": "failed", "error": "MCP error -32000: Connection closed"},
        "fine": {"status": "connected"}, "off": {"status": "disabled"}, "web": {"status": "needs_auth"},
    });
    talk.step(Input::Http { id, status: 200, body: body.to_string().as_bytes() });
    let want = [
        format!("{FAILED}MCP error -32000: Connection closed"),
        "the MCP server web did not start: it asks for a login".to_owned(),
    ];
    assert_eq!(talk.warnings(), want);
}

#[test]
fn copilots_servers_are_told_in_the_same_words() {
    let mut talk = Talk::with("copilot", Transport::Print);
    talk.line(&json!({"type": "session.mcp_servers_loaded", "data": {"servers": [
        {"name": "docs", "status": "failed", "error": "spawn ENOENT"}, {"name": "fine", "status": "connected"}
    ]}}));
    assert_eq!(talk.warnings(), [format!("{FAILED}spawn ENOENT")]);
}
