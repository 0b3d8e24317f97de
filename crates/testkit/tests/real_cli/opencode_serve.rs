//! OpenCode 1.18.33 with `serve` against the model server: the requests that its driver makes.

use std::net::TcpListener;

use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{self, RealAgent, Sandbox, skip_unless_installed};
use serde_json::{Value, json};

use super::http::{Events, Server};
use super::talk::Talk;

/// `opencode:secret` in base64, as basic authentication has it.
const AUTHORIZATION: &str = "Basic b3BlbmNvZGU6c2VjcmV0";

struct Stage {
    agent: RealAgent,
    sandbox: Sandbox,
}

/// A running server and its events.
struct Serving {
    talk: Talk,
    server: Server,
    events: Events,
}

impl Stage {
    fn enter(test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::opencode(), "opencode", test)?;
        Some(Self { agent, sandbox: Sandbox::new().unwrap() })
    }

    fn serve(&self, model: &ModelServer) -> Serving {
        let mut env = self.sandbox.env_for_opencode(model).unwrap();
        env.push(("OPENCODE_SERVER_PASSWORD".to_owned(), "secret".to_owned()));
        // Port 0 would mean 4096. A port that was free a moment ago is free enough.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let port = port.to_string();
        let args = ["serve", "--hostname", "127.0.0.1", "--port", &port];
        let talk = Talk::start(&self.agent.program, &args, &env, self.sandbox.project());
        let line = talk.line();
        assert_eq!(line, format!("opencode server listening on http://127.0.0.1:{port}\n"));
        let authorization = Some(AUTHORIZATION.to_owned());
        let server = Server { address: format!("127.0.0.1:{port}"), authorization };
        let mut events = server.events("/event");
        // Whoever waits for this misses nothing that comes after.
        events.until(|event| event["type"] == "server.connected");
        Serving { talk, server, events }
    }
}

impl Serving {
    fn session(&self, body: &Value) -> String {
        let (status, session) = self.server.ask("POST", "/session", body);
        assert_eq!(status, 200, "{session}");
        session["id"].as_str().unwrap().to_owned()
    }

    /// Asks and does not wait: the answer comes as events.
    fn prompt(&self, session: &str, text: &str) {
        let body = json!({
            "model": { "providerID": "lab", "modelID": "mock-model" },
            "parts": [{ "type": "text", "text": text }],
        });
        let path = format!("/session/{session}/prompt_async");
        assert_eq!(self.server.ask("POST", &path, &body), (204, Value::Null));
    }

    fn until_idle(&mut self) -> Vec<Value> {
        self.events.until(|event| event["type"] == "session.idle")
    }
}

fn properties<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let wanted = events.iter().filter(|event| event["type"] == kind);
    wanted.map(|event| &event["properties"]).collect()
}

/// The states that a tool went through, each once.
fn tool_states(events: &[Value]) -> Vec<&str> {
    let parts = properties(events, "message.part.updated").into_iter().map(|one| &one["part"]);
    let tools = parts.filter(|part| part["type"] == "tool");
    let mut states: Vec<&str> =
        tools.map(|part| part["state"]["status"].as_str().unwrap()).collect();
    states.dedup();
    states
}

#[test]
fn a_prompt_is_answered_in_deltas_and_ends_idle() {
    let Some(stage) = Stage::enter("opencode_serve::a_prompt") else { return };
    let call = Reply::thinking("Hm, let me see what there is.").shell("echo hi");
    let script = Script::new().reply(call).reply(Reply::text("There is nothing but a greeting."));
    let model = ModelServer::start(script).unwrap();
    let mut serving = stage.serve(&model);
    let session = serving.session(&json!({ "title": "a title of ours" }));
    serving.prompt(&session, "PROMPT");
    let events = serving.until_idle();

    let deltas = properties(&events, "message.part.delta").into_iter();
    let said: String = deltas.map(|delta| delta["delta"].as_str().unwrap()).collect();
    assert_eq!(said, "Hm, let me see what there is.There is nothing but a greeting.");
    assert_eq!(tool_states(&events), ["pending", "running", "completed"]);
    let last = properties(&events, "message.updated").pop().unwrap();
    assert_eq!(last["info"]["finish"], "stop", "{last}");
    assert_eq!(last["info"]["modelID"], "mock-model");
    // Two replies of 100 and 10.
    let (_, info) = serving.server.ask("GET", &format!("/session/{session}"), &Value::Null);
    assert_eq!((&info["tokens"]["input"], &info["tokens"]["output"]), (&json!(200), &json!(20)));
    assert_eq!((model.requests().len(), model.titles().len()), (2, 0));
}

#[test]
fn nobody_without_the_password_is_let_in() {
    let Some(stage) = Stage::enter("opencode_serve::nobody_without_the_password") else { return };
    let model = ModelServer::start(Script::new()).unwrap();
    let serving = stage.serve(&model);
    let stranger = Server { authorization: None, ..serving.server.clone() };
    for path in ["/event", "/global/health", "/session"] {
        assert_eq!(stranger.ask("GET", path, &Value::Null).0, 401, "{path}");
    }
    let (status, health) = serving.server.ask("GET", "/global/health", &Value::Null);
    let version = real::OPENCODE_VERSION;
    assert_eq!((status, health), (200, json!({ "healthy": true, "version": version })));
}

#[test]
fn an_abort_ends_the_command_and_is_idle_twice() {
    let Some(stage) = Stage::enter("opencode_serve::an_abort") else { return };
    let script = Script::new().reply(Reply::new().shell("sleep 300"));
    let model = ModelServer::start(script).unwrap();
    let mut serving = stage.serve(&model);
    let session = serving.session(&json!({ "title": "t" }));
    serving.prompt(&session, "PROMPT");
    serving.events.until(|event| event["properties"]["part"]["state"]["status"] == "running");
    let (status, body) =
        serving.server.ask("POST", &format!("/session/{session}/abort"), &Value::Null);
    assert_eq!((status, body), (200, json!(true)));
    let first = serving.until_idle();
    let error = properties(&first, "session.error").pop().unwrap();
    assert_eq!(error["error"]["name"], "MessageAbortedError");
    // The tool's end comes after the first idle: only the second one is the end of the turn.
    let second = serving.until_idle();
    // It is `completed` where the command had begun to run, and `error` where it had not.
    assert!(matches!(tool_states(&second)[..], [.., "completed" | "error"]), "{second:#?}");
    let last = properties(&second, "message.updated").pop().unwrap();
    assert_eq!(last["info"]["error"]["name"], "MessageAbortedError");
}

#[test]
fn a_rate_limit_is_told_at_once_and_says_when_it_goes_on() {
    let Some(stage) = Stage::enter("opencode_serve::a_rate_limit") else { return };
    let limited = Reply::rate_limited().header("retry-after", "1");
    let script = Script::new().reply(limited).reply(Reply::text("At last."));
    let model = ModelServer::start(script).unwrap();
    let mut serving = stage.serve(&model);
    let session = serving.session(&json!({ "title": "t" }));
    serving.prompt(&session, "PROMPT");
    let events = serving.until_idle();
    let statuses = properties(&events, "session.status").into_iter().map(|one| &one["status"]);
    let retries: Vec<&Value> = statuses.filter(|status| status["type"] == "retry").collect();
    assert_eq!(retries.len(), 1, "{retries:?}");
    assert_eq!(retries[0]["attempt"], 1);
    assert!(retries[0]["message"].as_str().unwrap().starts_with("Rate limit reached"));
    assert!(retries[0]["next"].is_u64(), "{retries:?}");
}

#[test]
fn a_question_of_permission_waits_for_its_answer() {
    let Some(stage) = Stage::enter("opencode_serve::a_question_of_permission") else { return };
    let script = Script::new().reply(Reply::new().shell("echo hi")).reply(Reply::text("Pity."));
    let model = ModelServer::start(script).unwrap();
    let mut serving = stage.serve(&model);
    let rule = json!({ "permission": "bash", "pattern": "*", "action": "ask" });
    let session = serving.session(&json!({ "title": "t", "permission": [rule] }));
    serving.prompt(&session, "PROMPT");
    let asked = serving.events.until(|event| event["type"] == "permission.asked");
    let asked = &asked.last().unwrap()["properties"];
    assert_eq!(asked["metadata"]["command"], "echo hi");
    let path = format!("/permission/{}/reply", asked["id"].as_str().unwrap());
    let no = json!({ "reply": "reject", "message": "not today" });
    assert_eq!(serving.server.ask("POST", &path, &no), (200, json!(true)));
    let events = serving.until_idle();
    assert_eq!(tool_states(&events).last(), Some(&"error"));
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_session_outlives_a_server_that_was_killed() {
    let Some(stage) = Stage::enter("opencode_serve::a_session_outlives") else { return };
    let script = Script::new().reply(Reply::text("First.")).reply(Reply::text("Second."));
    let model = ModelServer::start(script).unwrap();
    let mut serving = stage.serve(&model);
    let session = serving.session(&json!({ "title": "t" }));
    serving.prompt(&session, "PROMPT");
    serving.until_idle();
    serving.talk.kill();

    let mut serving = stage.serve(&model);
    serving.prompt(&session, "AGAIN");
    serving.until_idle();
    let messages = model.requests()[1].body["messages"].to_string();
    assert!(messages.contains("PROMPT") && messages.contains("First."), "{messages}");
}
