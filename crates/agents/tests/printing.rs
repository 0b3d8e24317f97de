//! Programs that only print: what their lines and their end come to.

use belay_agents::{
    Action, Agent as _, AttemptEnd, Exit, Form, Input, Out, Printing, RunRequest, Transport,
};
use belay_trace::{Event, FailureKind};

/// What it printed, as inputs; the end, and the events on the way.
fn played(agent: &Printing, inputs: &[Input<'_>]) -> (AttemptEnd, Vec<Event>) {
    let mut protocol = agent.protocol(&RunRequest::new("hi"), Transport::Print);
    let (mut end, mut events) = (None, Vec::new());
    for input in std::iter::once(&Input::Start).chain(inputs) {
        let mut out = Out::default();
        protocol.step(*input, &mut out);
        for action in out.actions {
            match action {
                Action::Emit(emitted) => events.push(emitted.event),
                Action::TurnEnded(ended) => assert!(end.replace(*ended).is_none(), "one end"),
                _ => {}
            }
        }
    }
    (end.expect("the turn ends with the process"), events)
}

fn printed(agent: &Printing, stdout: &str, stderr: &str, exit: Exit) -> (AttemptEnd, Vec<Event>) {
    let stdout = stdout.lines().map(|line| Input::Stdout(line.as_bytes()));
    let stderr = stderr.lines().map(|line| Input::Stderr(line.as_bytes()));
    let inputs: Vec<_> = stdout.chain(stderr).chain([Input::Exit(exit)]).collect();
    played(agent, &inputs)
}

fn kind(end: &AttemptEnd) -> Option<FailureKind> {
    end.failure.as_ref().map(|failure| failure.kind)
}

fn aider() -> Printing {
    Printing::command("aider --message {prompt}")
}

const BANNER: &str = "\
https://aider.chat/HISTORY.html
Aider v0.86.2
Model: openai/mock with whole edit format
Git repo: none
Repo-map: disabled
";

#[test]
fn all_that_a_plain_program_prints_is_its_answer() {
    let plain = Printing::command("./ask.sh {prompt}");
    let (end, events) =
        printed(&plain, "\n\u{1b}[1mone\u{1b}[0m\n\n  two\n\n", "so it goes", Exit::Code(0));
    assert_eq!((end.answer.as_str(), kind(&end)), ("one\n\n  two", None));
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    assert_eq!(texts.collect::<String>(), "one\n\n  two\n\n");
    assert_eq!(end.usage.input_tokens, None);
}

#[test]
fn aiders_answer_stands_between_its_banner_and_its_estimate() {
    let said = format!("{BANNER}\nIt is 42.\n\nTruly.\n\nTokens: 583 sent, 6 received.\n");
    let (end, events) = printed(&aider(), &said, "", Exit::Code(0));
    assert_eq!((end.answer.as_str(), kind(&end)), ("It is 42.\n\nTruly.", None));
    assert_eq!(end.usage, belay_trace::Usage::default(), "an estimate is no figure");
    let is_text = |event: &Event| matches!(event, Event::Text(text) if text.text.contains("Aider"));
    assert!(!events.iter().any(is_text));
}

#[test]
fn a_failure_with_exit_code_0_has_its_kind_also_when_its_words_are_broken_into_lines() {
    for (words, want) in [
        (
            "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect\nAPI key provided: dummy",
            FailureKind::Auth,
        ),
        (
            "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for\nrequests",
            FailureKind::RateLimited,
        ),
        (
            "litellm.InternalServerError: InternalServerError: OpenAIException - The server\nhad an error",
            FailureKind::ServerError,
        ),
        (
            "litellm.ContextWindowExceededError: This model's maximum context length is 8192\ntokens",
            FailureKind::ContextOverflow,
        ),
    ] {
        let (end, _) = printed(&aider(), &format!("{BANNER}{words}\n\nmore"), "", Exit::Code(0));
        assert_eq!(kind(&end), Some(want), "{words}");
    }
}

#[test]
fn a_failure_behind_which_it_tries_again_is_a_retry() {
    let said = format!(
        "{BANNER}litellm.RateLimitError: RateLimitError: OpenAIException - slow down\n\
         Retrying in 2.0 seconds...\nIt is 42.\n"
    );
    let (end, events) = printed(&aider(), &said, "", Exit::Code(0));
    assert_eq!((end.answer.as_str(), kind(&end)), ("It is 42.", None));
    let retry = events.iter().find_map(|event| match event {
        Event::Retry(retry) => Some((retry.kind, retry.delay_ms)),
        _ => None,
    });
    assert_eq!(retry, Some((Some(FailureKind::RateLimited), Some(2000))));
    // mini-swe-agent says both in one line, on standard error.
    let mini = Printing::command("mini -t {prompt}");
    let said = "Retrying <unknown> in 4 seconds as it raised RateLimitError: litellm.RateLimitError: \
                RateLimitError: OpenAIException - Rate limit reached for requests.";
    let (_, events) = printed(&mini, "It is 42.", said, Exit::Code(0));
    let retried = |event: &Event| {
        matches!(event, Event::Retry(retry)
        if retry.kind == Some(FailureKind::RateLimited) && retry.delay_ms == Some(4000))
    };
    assert!(events.iter().any(retried), "{events:?}");
}

#[test]
fn half_an_answer_in_front_of_a_failure_is_no_answer() {
    let llm = Printing::command("llm {prompt}");
    let error = "Error: Error code: 401 - {'error': {'message': 'Incorrect API key provided'}}";
    let (end, _) = printed(&llm, "It is a", error, Exit::Code(1));
    assert_eq!((end.answer.as_str(), kind(&end)), ("It is a", Some(FailureKind::Auth)));
    let (end, _) =
        printed(&llm, "It is a", "stream transport error: unexpected EOF", Exit::Code(1));
    assert!(end.failure.is_some());
    let (end, _) = printed(&llm, "", "", Exit::Code(3));
    assert!(end.failure.is_some());
    let (end, _) = printed(&llm, "", "", Exit::Code(0));
    assert_eq!(kind(&end), Some(FailureKind::Protocol), "nothing is no answer");
    let (end, _) = printed(&llm, "", "sh: llm: not found", Exit::Code(127));
    assert_eq!(kind(&end), Some(FailureKind::NotExecutable));
    let (end, _) = printed(&llm, "half", "", Exit::Signal(9));
    assert_eq!((end.answer.as_str(), kind(&end)), ("half", Some(FailureKind::Crashed)));
}

#[test]
fn an_interrupt_that_ends_with_exit_code_0_is_one() {
    let inputs = [Input::Stdout(b"half"), Input::Interrupt, Input::Exit(Exit::Code(0))];
    let (end, _) = played(&aider(), &inputs);
    assert_eq!(kind(&end), Some(FailureKind::Interrupted));
}

#[test]
fn an_answer_in_a_file_is_read_from_there_with_what_it_has_cost() {
    let mini = Printing::command("mini -t {prompt} -o {answer}");
    let file =
        br#"{"info": {"submission": "It is 42.\n", "model_stats": {"instance_cost": 0.25}}}"#;
    let inputs = [Input::Stdout(b"drawing"), Input::AnswerFile(file), Input::Exit(Exit::Code(0))];
    let (end, _) = played(&mini, &inputs);
    assert_eq!((end.answer.as_str(), kind(&end)), ("It is 42.", None));
    assert_eq!(end.usage.total_cost_usd, Some(0.25));
    // Without the file there is no answer, whatever the screen shows.
    let (end, _) = played(&mini, &[Input::Stdout(b"drawing"), Input::Exit(Exit::Code(0))]);
    assert_eq!(kind(&end), Some(FailureKind::Protocol));
}

#[test]
fn a_form_of_ones_own_says_where_everything_is() {
    let form: Form = serde_json::from_str(
        r#"{"answer_after": ["==="], "asides": ["debug:"], "failures": ["FATAL"], "session": "session "}"#,
    )
    .unwrap();
    let own = Printing::command("mine").form(form);
    let (end, _) = printed(&own, "hello\n===\nsession abc\ndebug: x\nYes.", "", Exit::Code(0));
    assert_eq!(end.answer, "session abc\nYes.");
    assert_eq!(end.session_id.as_deref(), Some("abc"));
    let (end, _) = printed(&own, "===\nFATAL: HTTP 429 Too Many Requests", "", Exit::Code(0));
    assert_eq!(kind(&end), Some(FailureKind::RateLimited));
}

#[test]
fn an_answer_of_a_program_that_ends_well_stays_one_also_where_it_reads_like_a_failure() {
    let plain = Printing::command("ask");
    for answer in ["HTTP 404: Not Found", "Error: is a class of JavaScript.\n\nIt has a message."] {
        let (end, events) = printed(&plain, answer, "", Exit::Code(0));
        assert_eq!((end.answer.as_str(), kind(&end)), (answer, None));
        let is_said = |event: &Event| matches!(event, Event::Notice(notice) if notice.code.as_deref() == Some("maybe_failed"));
        assert!(events.iter().any(is_said), "{answer}");
    }
}

#[test]
fn leads_within_an_answer_are_words_of_it() {
    let answer = "Two leads:\n\nTokens: what aider prints\nAdded by hand.\nlitellm.RateLimitError: is a class";
    let said = format!("{BANNER}\n{answer}\nand more.\n\nTokens: 583 sent, 6 received.\nbye\n");
    let (end, events) = printed(&aider(), &said, "", Exit::Code(0));
    assert_eq!(kind(&end), None, "{:?}", end.failure);
    for line in answer.lines() {
        assert!(end.answer.contains(line), "{line}: {}", end.answer);
    }
    assert!(!end.answer.contains("583") && !end.answer.contains("bye"), "{}", end.answer);
    assert!(!end.answer.contains("Repo-map"), "{}", end.answer);
    let is_told = |words: &str| {
        events.iter().any(|event| matches!(event, Event::Text(text) if text.text.contains(words)))
    };
    assert!(is_told("Added by hand") && !is_told("583"), "shown as words");
}

#[test]
fn an_answer_that_breaks_off_says_nothing_of_why() {
    let plain = Printing::command("./ask.sh {prompt}");
    let said = "Servers say 429 Too Many Requests when a rate limit is met.\nThen they\n";
    let (end, _) = printed(&plain, said, "", Exit::Code(1));
    assert_eq!(kind(&end), Some(FailureKind::Crashed));
    let (end, _) = printed(&plain, &format!("{said}\nError: Error code: 429\n"), "", Exit::Code(1));
    assert_eq!(kind(&end), Some(FailureKind::RateLimited));
}
