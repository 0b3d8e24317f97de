//! Agents over ACP that nobody has measured: what belay believes of them, and what it does not.

use crate::acp::{Talk, ask, opened, options, plain, request, tool};
use belay_agents::{Acp, Agent, Claude, Input, Permissions, RunRequest, Transport};
use belay_trace::{Decision, Event, FailureKind, ToolCall, ToolResult};
use serde_json::{Value, json};

fn notices<'a>(talk: &'a Talk, code: &str) -> Vec<&'a str> {
    let events = talk.events().into_iter().filter_map(|event| match event {
        Event::Notice(notice) if notice.code.as_deref() == Some(code) => Some(&*notice.text),
        _ => None,
    });
    events.collect()
}

fn calls(talk: &Talk) -> Vec<ToolCall> {
    let calls = talk.events().into_iter().filter_map(|event| match event {
        Event::ToolCall(call) => Some(call.clone()),
        _ => None,
    });
    calls.collect()
}

fn results(talk: &Talk) -> Vec<ToolResult> {
    let results = talk.events().into_iter().filter_map(|event| match event {
        Event::ToolResult(result) => Some(result.clone()),
        _ => None,
    });
    results.collect()
}

/// A turn that says this and ends with nothing counted.
fn says(text: &str) -> Talk {
    let mut talk = plain(&request());
    talk.says(text);
    talk.ends_turn();
    talk
}

#[test]
fn a_failure_that_is_told_as_words_is_a_failure_of_its_kind() {
    for (words, kind) in [
        ("HTTP 401: Incorrect API key provided", FailureKind::Auth),
        ("API call failed after 3 retries: HTTP 429: slow down", FailureKind::RateLimited),
        ("API call failed after 3 retries: HTTP 500", FailureKind::ServerError),
        ("Error code: 529 - {'type': 'error'}", FailureKind::Overloaded),
        ("litellm.AuthenticationError: no", FailureKind::Auth),
        ("litellm.RateLimitError: no", FailureKind::RateLimited),
    ] {
        says(words).failed(kind);
    }
}

#[test]
fn a_word_for_people_in_front_leaves_an_answer_and_says_so() {
    for words in ["Error: the file is not there.", "API call failed after 3 retries: no network"] {
        let talk = says(words);
        assert_eq!((talk.end().answer.as_str(), &talk.end().failure), (words, &None));
        assert_eq!(notices(&talk, "maybe_failed").len(), 1, "{words}");
    }
    assert!(notices(&says("Errors are values."), "maybe_failed").is_empty());
}

/// A right answer must not be paid for twice.
#[test]
fn whatever_speaks_for_an_answer_makes_words_like_a_failure_one() {
    let words = "HTTP 401: Unauthorized";
    let mut counted = plain(&request());
    counted.says(words);
    counted.answers(
        3,
        json!({"stopReason": "end_turn", "usage": {"inputTokens": 5, "outputTokens": 1}}),
    );
    counted.rests();

    let mut acted = plain(&request());
    acted.updates(tool("tool_call", "completed"));
    acted.says(words);
    acted.ends_turn();

    let mut asked = request();
    asked.prompt = "What does 401 mean?".into();
    let mut asked = plain(&asked);
    asked.says(words);
    asked.ends_turn();

    for talk in [counted, acted, asked] {
        assert_eq!((talk.end().answer.as_str(), &talk.end().failure), (words, &None));
        assert_eq!(notices(&talk, "maybe_failed").len(), 1);
    }
}

#[test]
fn a_refusal_that_names_a_status_is_that_failure() {
    let refused = |words: &str| {
        let mut talk = plain(&request());
        talk.says(words);
        talk.answers(3, json!({"stopReason": "refusal"}));
        talk
    };
    refused("internal error calling the model (status=429): Rate limit")
        .failed(FailureKind::RateLimited);
    refused("Error calling the model (status=401)").failed(FailureKind::Auth);
    refused("I will not do that.").failed(FailureKind::Refused);
}

#[test]
fn an_end_after_a_cancel_is_an_interrupt_whatever_the_agent_calls_it() {
    for (words, reason) in
        [("Half of ", "end_turn"), ("", "end_turn"), ("HTTP 401: no", "end_turn"), ("", "refusal")]
    {
        let mut talk = plain(&request());
        if !words.is_empty() {
            talk.says(words);
        }
        talk.feed(Input::Interrupt);
        talk.answers(3, json!({"stopReason": reason}));
        talk.failed(FailureKind::Interrupted);
        assert_eq!(talk.end().answer, words);
    }
}

#[test]
fn an_error_has_its_kind_by_what_apis_and_sdks_say() {
    for (words, kind) in [
        ("Rate limit reached for m in organization o", FailureKind::RateLimited),
        ("Incorrect API key provided: sk-1", FailureKind::Auth),
        ("Error code: 429 - {'error': {'message': 'no'}}", FailureKind::RateLimited),
        ("Request failed with status code 401", FailureKind::Auth),
        ("HTTP 500", FailureKind::ServerError),
        ("overloaded_error: Overloaded", FailureKind::Overloaded),
        ("You exceeded your current quota: insufficient_quota", FailureKind::Billing),
        ("litellm.RateLimitError: RateLimitError: OpenAIException - no", FailureKind::RateLimited),
        ("litellm.AuthenticationError: AuthenticationError: no", FailureKind::Auth),
        ("litellm.InternalServerError: no", FailureKind::ServerError),
        ("litellm.ContextWindowExceededError: no", FailureKind::ContextOverflow),
        ("internal error calling the model (status=503)", FailureKind::Overloaded),
        ("Authentication failed", FailureKind::Auth),
        ("Server error", FailureKind::ServerError),
        ("Rate limit exceeded", FailureKind::RateLimited),
    ] {
        let mut talk = plain(&request());
        let data = json!({"message": words});
        let error = json!({"code": -32603, "message": "Internal error", "data": data});
        talk.hears(json!({"jsonrpc": "2.0", "id": 3, "error": error}));
        talk.failed(kind);
    }
}

#[test]
fn the_model_is_set_by_the_option_of_that_name_or_by_the_one_that_offers_it() {
    let set = |options: Value, model: &str| {
        let agent = Acp::command("x").model(model);
        let session = json!({"sessionId": "s1", "configOptions": options});
        let said = opened(&agent, &request(), session).said().pop().unwrap();
        said["params"]["configId"].clone()
    };
    let option = |id: &str, values: &[&str]| {
        let values: Vec<_> =
            values.iter().map(|value| json!({"name": value, "value": value})).collect();
        json!({"id": id, "category": "model", "currentValue": "x", "options": values})
    };
    let provider = option("provider", &["lab"]);
    assert_eq!(set(json!([provider, option("model", &["m1"])]), "m1"), "model");
    assert_eq!(set(json!([provider, option("llm", &["m1"])]), "m1"), "llm");
    let grouped = json!({"id": "llm", "category": "model",
        "options": [{"group": "lab", "name": "Lab", "options": [{"value": "m1", "name": "M"}]}]});
    assert_eq!(set(json!([provider, grouped]), "m1"), "llm");
    assert_eq!(set(json!([provider]), "m9"), "provider");
}

#[test]
fn arguments_that_grow_while_a_call_waits_are_told_whole() {
    let update = |kind: &str, status: &str, input: Value| {
        json!({"sessionUpdate": kind, "toolCallId": "c1", "title": "bash", "kind": "execute",
            "status": status, "rawInput": input})
    };
    let mut talk = plain(&request());
    talk.updates(update("tool_call", "pending", json!({"cwd": "/x"})));
    assert!(calls(&talk).is_empty());
    talk.updates(update("tool_call_update", "in_progress", json!({"command": "ls"})));
    assert_eq!(calls(&talk)[0].args.get(), r#"{"command":"ls"}"#);
}

#[test]
fn a_call_that_never_begins_is_told_when_its_arguments_no_longer_grow() {
    let mut talk = plain(&request());
    talk.updates(json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "ls",
        "kind": "execute", "status": "pending", "rawInput": {"command": "ls"}}));
    assert!(calls(&talk).is_empty());
    talk.rests();
    assert_eq!(calls(&talk).len(), 1);
}

#[test]
fn a_title_is_told_as_a_title_when_the_call_begins() {
    let mut talk = plain(&request());
    talk.updates(json!({"sessionUpdate": "tool_call", "toolCallId": "t1",
        "title": "terminal: echo hi", "kind": "execute"}));
    let [call] = &calls(&talk)[..] else { panic!("it is told at once") };
    assert_eq!((call.name.as_str(), call.args.get()), ("Bash", r#"{"title":"terminal: echo hi"}"#));
}

/// The id of a call, and a question with its own.
fn asks_about(call: Value, question: Value, answer: Decision) -> Talk {
    let mut talk = plain(&request());
    let mut update = json!({"sessionUpdate": "tool_call", "toolCallId": "c0", "title": "bash",
        "kind": "execute", "status": "in_progress"});
    update.as_object_mut().unwrap().extend(call.as_object().unwrap().clone());
    talk.updates(update);
    let mut asked = ask(7, options(&["allow_once", "reject_once"]));
    asked["params"]["toolCall"] = question;
    talk.hears(asked);
    talk.feed(Input::Permission { id: "7", answer });
    talk
}

#[test]
fn a_question_under_another_id_is_about_the_open_call() {
    let input = json!({"command": "ls"});
    for question in [
        json!({"toolCallId": "q1", "title": "Confirm Agent Actions"}),
        json!({"toolCallId": "q1", "title": "x", "kind": "execute", "rawInput": {"command": "ls"}}),
    ] {
        let mut talk = asks_about(json!({"rawInput": input}), question, Decision::Deny);
        talk.says("I may not.");
        talk.ends_turn();
        let told = calls(&talk);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0].args.get(), r#"{"command":"ls"}"#);
        let asked = talk.events().into_iter().find_map(|event| match event {
            Event::PermissionRequest(asked) => asked.tool_id.clone(),
            _ => None,
        });
        assert_eq!(asked.unwrap().0, "c0");
    }
}

#[test]
fn a_call_of_which_only_a_question_was_heard_ends_with_the_answer() {
    let question = json!({"toolCallId": "q1", "title": "rm", "kind": "execute",
        "rawInput": {"command": "rm x"}});
    for (answer, words) in [(Decision::Allow, "permitted"), (Decision::Deny, "not permitted")] {
        let input = json!({"rawInput": {"command": "ls"}});
        let mut talk = asks_about(input, question.clone(), answer);
        talk.says("So.");
        talk.ends_turn();
        let ended = results(&talk);
        assert_eq!(ended.len(), 1, "{ended:#?}");
        assert_eq!(
            (ended[0].output.as_str(), ended[0].tool_error),
            (words, answer == Decision::Deny)
        );
        assert_eq!(ended[0].tool_id.as_ref().unwrap().0, "q1");
    }
}

#[test]
fn a_call_without_a_result_stands_between_two_messages() {
    let mut talk = plain(&request());
    talk.says("I shall run it.");
    talk.updates(json!({"sessionUpdate": "tool_call", "toolCallId": "t1", "title": "bash"}));
    talk.says("Finished");
    talk.says(".");
    talk.ends_turn();
    assert_eq!(talk.end().answer, "Finished.");
}

#[test]
fn another_version_of_the_protocol_is_a_failure_before_anything_is_asked() {
    for version in [0, 2] {
        let mut talk = Talk::begin(&Acp::command("x"), &request());
        talk.answers(1, json!({"protocolVersion": version}));
        let words = talk.failed(FailureKind::VersionUnsupported);
        assert!(words.contains(&format!("version {version}")), "{words}");
        assert_eq!(talk.methods(), ["initialize"]);
    }
}

#[test]
fn what_a_command_has_printed_is_found_where_its_output_is_empty() {
    let of = |raw: Value, shown: Value| {
        let mut talk = plain(&request());
        talk.updates(json!({"sessionUpdate": "tool_call", "toolCallId": "t1", "title": "x",
            "kind": "execute", "status": "completed", "rawOutput": raw, "content": shown}));
        results(&talk)[0].output.clone()
    };
    let shown = json!([{"type": "content", "content": {"type": "text", "text": "hi\n"}}]);
    assert_eq!(of(json!({"stdout": "hi\n", "output": ""}), shown.clone()), "hi\n");
    assert_eq!(of(json!({"output": ""}), shown.clone()), "hi\n");
    assert_eq!(of(json!({"stderr": "no\n", "output": ""}), json!([])), "no\n");
    assert_eq!(of(json!({"output": "", "exitCode": 0}), json!([])), "");
    assert_eq!(of(json!({"output": "a"}), shown), "a");
}

#[test]
fn a_flood_on_standard_error_is_shown_in_part_and_counted() {
    let mut talk = plain(&request());
    for number in 0..1336 {
        talk.feed(Input::Stderr(format!("line {number}").as_bytes()));
    }
    talk.says("Done.");
    talk.ends_turn();
    talk.feed(Input::Exit(belay_agents::Exit::Code(0)));
    assert_eq!(notices(&talk, "stderr").len(), 100);
    let [more] = notices(&talk, "stderr_flood")[..] else { panic!("one line for the rest") };
    assert!(more.contains("1236 more lines"), "{more}");
}

/// A session with these modes, of which the agent is in the second.
fn with_modes(request: &RunRequest, ids: [&str; 3]) -> Talk {
    let modes = ids.map(|id| json!({"id": id, "name": id}));
    let session = json!({"sessionId": "s1",
        "modes": {"currentModeId": ids[1], "availableModes": modes}});
    opened(&Acp::command("x"), request, session)
}

const MODES: [&str; 3] = ["ask", "accept-edits", "auto-approve"];

#[test]
fn a_permission_is_kept_by_the_mode_that_is_called_so() {
    for (permissions, mode) in [
        (Permissions::ReadOnly, "ask"),
        (Permissions::Ask, "ask"),
        (Permissions::Edit, "accept-edits"),
        (Permissions::Full, "auto-approve"),
    ] {
        let talk = with_modes(&request().permissions(permissions), MODES);
        let said = notices(&talk, "agent_mode");
        assert_eq!(said.len(), usize::from(permissions != Permissions::Full), "{said:?}");
        let set = talk.said().pop().unwrap();
        assert_eq!(
            (&set["method"], &set["params"]["modeId"]),
            (&json!("session/set_mode"), &json!(mode))
        );
    }
    let without =
        with_modes(&request().permissions(Permissions::ReadOnly), ["low", "medium", "high"]);
    let words = without.failed(FailureKind::InvalidRequest);
    assert!(words.contains("low, medium, high"), "{words}");
    assert!(!without.methods().contains(&"session/prompt".to_owned()));
    let full = with_modes(&request().permissions(Permissions::Full), ["low", "medium", "high"]);
    assert_eq!(full.methods().last().unwrap(), "session/prompt");
}

#[test]
fn a_mode_that_is_one_of_the_settings_is_set_as_a_setting() {
    let options = json!([{"id": "mode", "category": "mode", "currentValue": "default",
        "options": [{"value": "default", "name": "D"}, {"value": "plan", "name": "P"}]}]);
    let session = json!({"sessionId": "s1", "configOptions": options});
    let request = request().permissions(Permissions::ReadOnly);
    let set = opened(&Acp::command("x"), &request, session).said().pop().unwrap();
    assert_eq!(set["method"], "session/set_config_option");
    assert_eq!(
        (&set["params"]["configId"], &set["params"]["value"]),
        (&json!("mode"), &json!("plan"))
    );
}

#[test]
fn the_agents_own_mode_is_set_by_its_id_and_never_beyond_what_is_permitted() {
    let talk = with_modes(&request().agent_mode("auto-approve"), MODES);
    assert_eq!(talk.said().pop().unwrap()["params"]["modeId"], "auto-approve");
    let words = with_modes(&request().agent_mode("yolo"), MODES);
    assert!(words.failed(FailureKind::InvalidRequest).contains("ask, accept-edits, auto-approve"));
    let beyond = request().permissions(Permissions::Edit).agent_mode("auto-approve");
    with_modes(&beyond, MODES).failed(FailureKind::InvalidRequest);
    let other = Claude::new().launch(&request().agent_mode("plan"), Transport::Dialogue);
    assert_eq!(other.unwrap_err().option, "agent_mode");
}

#[test]
fn a_session_that_edits_unasked_says_so() {
    let talk = with_modes(&request(), MODES);
    let [words] = notices(&talk, "agent_mode")[..] else { panic!("one line") };
    assert!(words.contains("`accept-edits`") && words.contains("ask, auto-approve"), "{words}");
    assert!(notices(&with_modes(&request(), ["yolo", "default", "plan"]), "agent_mode").is_empty());
}

#[test]
fn a_request_that_belay_refuses_is_a_warning() {
    let mut talk = plain(&request());
    talk.hears(json!({"jsonrpc": "2.0", "id": "a", "method": "terminal/create", "params": {}}));
    let [words] = notices(&talk, "refused_request")[..] else { panic!("one line") };
    assert!(words.contains("`terminal/create`"), "{words}");
}

/// What the session had used is told behind `session/load`, in the words of Vibe.
#[test]
fn a_resumed_session_is_billed_by_what_it_has_used_since() {
    let mut talk = opened(&Acp::command("x"), &request().resume("s1"), json!({}));
    let meta = json!({"promptTokens": 6012, "completionTokens": 101, "cachedTokens": 5003, "totalTokens": 6113});
    talk.updates(json!({"sessionUpdate": "usage_update", "used": 7, "size": 100, "_meta": meta}));
    talk.says("Done.");
    let usage = json!({"inputTokens": 12024, "outputTokens": 202, "cachedReadTokens": 10006, "totalTokens": 12226});
    talk.answers(3, json!({"stopReason": "end_turn", "usage": usage}));
    talk.rests();
    let usage = &talk.end().usage;
    assert_eq!(
        (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens),
        (Some(1009), Some(101), Some(5003))
    );
}
