//! Lines that are more than one clean object: what is read of them, and what is not believed.

use crate::recorded;
use crate::recorded::{Recording, Said};
use belay_agents::{
    Acp, Action, Agent, AttemptEnd, Claude, Codex, Copilot, Emitted, Exit, Input, Out, RunRequest,
    StreamParser, Transport,
};
use belay_trace::{Event, Level};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const TITLE: &str = "\x1b]0;agent: ready\x07";
const PASTE: &str = "\x1b[?2004h";

/// What was said but for notices, and how turns ended.
///
/// A parser hands out the events of a line before the ends of its turns, so each is in an order of its own.
fn gist(said: &[Said]) -> (Vec<&Event>, Vec<AttemptEnd>) {
    fn event(said: &Said) -> Option<&Event> {
        match said {
            Said::Event(one) if !matches!(one.event, Event::Notice(_)) => Some(&one.event),
            _ => None,
        }
    }
    (said.iter().filter_map(event).collect(), recorded::ends(said))
}

/// Where two streams differ first, in few words; nothing if they do not.
fn difference(said: &[Said], whole: &[Said]) -> Option<String> {
    let ((events, ends), (want, want_ends)) = (gist(said), gist(whole));
    let pairs = events.iter().map(Some).chain([None]).zip(want.iter().map(Some).chain([None]));
    let event = pairs.into_iter().find(|(one, other)| one != other);
    let event = event.map(|(one, other)| format!("{one:.300?} and not {other:.300?}"));
    event.or_else(|| (ends != want_ends).then(|| format!("{} ends: {ends:.600?}", ends.len())))
}

fn is_beside(event: &Event) -> bool {
    matches!(event, Event::Notice(notice) if notice.code.as_deref() == Some("stdout"))
}

fn notices(said: &[Said]) -> Vec<(Level, &str)> {
    fn notice(said: &Said) -> Option<(Level, &str)> {
        match said {
            Said::Event(one) if is_beside(&one.event) => match &one.event {
                Event::Notice(notice) => Some((notice.level, notice.text.as_str())),
                _ => None,
            },
            _ => None,
        }
    }
    said.iter().filter_map(notice).collect()
}

/// One recording of each transport of each agent.
fn of_each_transport() -> Vec<Recording> {
    [
        "claude-code/a-text",
        "claude-code/s-multi-interrupt",
        "codex/a-text",
        "codex/t-appserver",
        "opencode/a-text",
        "opencode/serve-a-text",
        "pi/a-text",
        "pi/rpc",
        "docker-agent/71f377e5",
        "copilot/a-text",
        "gemini/a-text",
        "qwen/a-text",
    ]
    .map(recorded::named)
    .into()
}

fn said_of(recording: &Recording, lines: &[Vec<u8>]) -> Vec<Said> {
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    recording.said_of(&lines, recording.exit)
}

/// Each line of the recording as `change` makes it.
fn said_with(recording: &Recording, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Said> {
    said_of(recording, &recording.lines().into_iter().map(change).collect::<Vec<_>>())
}

#[test]
fn bytes_before_or_behind_an_object_cost_no_event() {
    for recording in recorded::all() {
        let whole = recording.said();
        for noise in [
            TITLE,
            PASTE,
            "\x1b]2;title\x1b\\",
            "\x1b[31m\x1b(B\r",
            "Debugger attached.",
            "npm warn deprecated [1] ",
            "{",
            r#"{"a":"#,
            "{{[",
            "}",
            r#""quoted" "#,
        ] {
            let before = said_with(&recording, |line| [noise.as_bytes(), line].concat());
            assert_eq!(difference(&before, &whole), None, "{}: before: {noise:?}", recording.name);
            let behind = said_with(&recording, |line| [line, noise.as_bytes()].concat());
            assert_eq!(difference(&behind, &whole), None, "{}: behind: {noise:?}", recording.name);
        }
    }
}

#[test]
fn a_whole_stream_on_one_line_is_the_same_stream() {
    // Between the events of a server come its answers.
    for recording in recorded::all().iter().filter(|one| one.answers.is_none()) {
        for between in ["", " ", TITLE, "words"] {
            let lines = recording.lines();
            // An answer that comes on the line of its question was asked for in between.
            let line = lines.join(between.as_bytes());
            let said = recording.said_of(&[&line], recording.exit);
            // Behind the end of a turn there must be no words if it does not begin the line.
            if between != "words" || recording.ends_with_its_process() {
                let differs = difference(&said, &recording.said());
                assert_eq!(differs, None, "{}: {between:?}", recording.name);
            }
        }
    }
}

#[test]
fn what_stands_beside_the_objects_is_told_without_escape_sequences() {
    let recording = recorded::named("claude-code/a-text");
    let lines = recording.lines();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    let line = |parts: &[&[u8]]| recording.said_of(&[&parts.concat()], recording.exit);

    let said = line(&[TITLE.as_bytes(), first]);
    assert_eq!(notices(&said), [(Level::Debug, "control sequences for a terminal")]);
    let said = line(&[b"\x1b[1mDebugger\x1b[0m attached.", first]);
    assert_eq!(notices(&said), [(Level::Warn, "Debugger attached.")]);
    assert_eq!(
        said.iter().position(|said| matches!(said, Said::Event(one) if is_beside(&one.event))),
        Some(0)
    );
    let said = line(&[b"before ", first, b" between ", last, PASTE.as_bytes()]);
    let told = ["before", "between", "control sequences for a terminal"];
    assert_eq!(notices(&said).iter().map(|(_, text)| *text).collect::<Vec<_>>(), told);
    assert_eq!(recorded::ends(&said).len(), 1);
    // Words alone are told as they stand, and an object that nobody knows as it is.
    let said = line(&[b"  \x1b[32mok\x1b[0m  "]);
    assert_eq!(notices(&said), [(Level::Warn, "  ok")]);
}

#[test]
fn an_unknown_object_at_the_beginning_is_unknown_and_elsewhere_words() {
    for recording in of_each_transport() {
        let unknown = |said: &[Said]| {
            let line = |said: &Said| match said {
                Said::Event(one) => match &one.event {
                    Event::Unknown(unknown) => Some(unknown.line.clone()),
                    _ => None,
                },
                Said::End(_) => None,
            };
            said.iter().filter_map(line).collect::<Vec<_>>()
        };
        let news = r#"{"type":"brand_new","jsonrpc":"2.0","method":"brand/new"}"#;
        for (line, want) in [
            (news.to_owned(), vec![news.to_owned()]),
            (format!("{TITLE}{news}{PASTE}"), vec![news.to_owned()]),
            (format!("words {news}"), vec![]),
            (r#"{"type":"brand"#.to_owned(), vec![r#"{"type":"brand"#.to_owned()]),
        ] {
            let said = recording.said_of(&[line.as_bytes()], Exit::Code(0));
            assert_eq!(unknown(&said), want, "{}: {line:?}", recording.name);
            let told = notices(&said).iter().map(|(_, text)| text.len()).sum::<usize>();
            assert_eq!(told > 0, line.starts_with("words") || line.starts_with(TITLE));
        }
    }
}

/// The lines of a recording up to the one that ends its first turn, and this one.
fn to_the_end(recording: &Recording) -> (Vec<Vec<u8>>, String) {
    let lines: Vec<Vec<u8>> = recording.lines().iter().map(|line| line.to_vec()).collect();
    let at = lines.iter().position(|line| recording.verdict(line).is_some()).unwrap();
    let end = String::from_utf8(lines[at].clone()).unwrap();
    (lines[..at].to_vec(), end)
}

/// How the turns ended if this line comes in mid-turn, and whether what came before would have been kept.
fn ends_with(recording: &Recording, line: &str) -> Vec<bool> {
    let (mut lines, _) = to_the_end(recording);
    lines.push(line.as_bytes().to_vec());
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    let ends = recorded::ends(&recording.said_of(&lines, Exit::Code(0)));
    ends.iter().map(|end| end.failure.is_none()).collect()
}

#[test]
fn an_end_in_quotes_or_in_a_sentence_ends_nothing() {
    for recording in of_each_transport() {
        let (_, end) = to_the_end(&recording);
        let succeeds = recording.verdict(end.as_bytes()).unwrap();
        assert_eq!(ends_with(&recording, &end), [succeeds], "{}", recording.name);
        let words = format!("Debugger attached.{end}{PASTE} ");
        assert_eq!(ends_with(&recording, &words), [succeeds], "{}", recording.name);
        let text = serde_json::to_string(&end).unwrap();
        for line in [
            format!(r#"it prints "{end}""#),
            format!(r#"it prints "{end}"#),
            format!("it prints `{end}`"),
            format!("it prints `{end}"),
            format!("```json {end}"),
            format!("echo '{end}'"),
            format!("echo '{end}"),
            format!("it prints “{end}"),
            format!("print {end} and stop"),
            format!("({end})"),
            format!("[{end}]"),
            format!("{{\"a\": \"{end}"),
            format!("words {end}{TITLE}words"),
            format!("words {end}{{}}}}"),
            format!("\x1b]0;{end}\x07"),
            format!(r#"{{"type":"brand_new","text":{text}}}"#),
            format!(r#"words {{"type":"brand_new","text":{text}}}"#),
            format!(r#"{{"type":"brand_new","text":{text}"#),
            format!(r#"{{"type":"brand_new","value":{end}}}"#),
            format!(r#"words {{"type":"brand_new","value":{end}}}"#),
            text.clone(),
            text.trim_matches('"').to_owned(),
        ] {
            let ends = ends_with(&recording, &line);
            assert_eq!(ends, [false], "{}: {line:.100}", recording.name);
        }
    }
}

#[test]
fn an_end_of_another_session_ends_nothing() {
    for (name, keys) in [
        ("claude-code/a-text", &["session_id"][..]),
        ("claude-code/s-multi-interrupt", &["session_id"]),
        ("codex/t-appserver", &["threadId"]),
        ("opencode/a-text", &["sessionID"]),
        ("opencode/serve-a-text", &["sessionID"]),
        ("docker-agent/71f377e5", &["session_id"]),
        ("copilot/a-text", &["sessionId"]),
        ("gemini/a-text", &["id"]),
        ("qwen/a-text", &["id"]),
    ] {
        let recording = recorded::named(name);
        let (_, end) = to_the_end(&recording);
        let mut other: Value = serde_json::from_str(&end).unwrap();
        let found = keys.iter().map(|key| replace(&mut other, key)).sum::<usize>();
        assert!(found > 0, "{name}: {end}");
        if name.starts_with("copilot") || name.starts_with("gemini") || name.starts_with("qwen") {
            // Their saved streams do not tell what was asked, or the session before the end.
            continue;
        }
        for line in
            [format!("words {other}"), format!("{other} words"), format!("{other}words{other}")]
        {
            assert_eq!(ends_with(&recording, &line), [false], "{name}: {line:.100}");
        }
    }
}

/// Replaces each value under this key; says how many there were.
fn replace(value: &mut Value, key: &str) -> usize {
    match value {
        Value::Object(object) => {
            let below = object.values_mut().map(|value| replace(value, key)).sum::<usize>();
            let here = object.get_mut(key).map(|id| {
                *id = if id.is_number() { json!(77) } else { json!("another") };
            });
            below + here.iter().count()
        }
        Value::Array(items) => items.iter_mut().map(|item| replace(item, key)).sum(),
        _ => 0,
    }
}

#[test]
fn an_end_behind_the_final_one_is_none() {
    for recording in of_each_transport() {
        if recording.name == "claude-code/s-multi-interrupt" {
            continue;
        }
        let (_, end) = to_the_end(&recording);
        let whole = ends_with(&recording, &end);
        for line in [
            format!("{end}{end}"),
            format!("words {end}{end}"),
            format!("{end}\x1b[0m {end}"),
            format!("{end} words {end}"),
        ] {
            assert_eq!(ends_with(&recording, &line), whole, "{}: {line:.100}", recording.name);
        }
        let (mut lines, _) = to_the_end(&recording);
        let later = format!("words {end}");
        lines.extend([end.clone().into_bytes(), later.into_bytes()]);
        let ends = recorded::ends(&said_of(&recording, &lines));
        assert_eq!(ends.len(), 1, "{}", recording.name);
    }
}

#[test]
fn no_line_takes_longer_than_its_length_allows() {
    let len = if std::env::var_os("BELAY_LONG").is_some() { 10 << 20 } else { 1 << 20 };
    let repeated = |part: &str| part.repeat(len / part.len());
    for recording in ["claude-code/a-text", "codex/t-appserver"].map(recorded::named) {
        for line in [
            "{".repeat(10 << 20),
            repeated(r#"{"a":"#),
            repeated(r#"{"a":["#),
            repeated(r#"{"a":"{"#),
            repeated(r#"{"{":"{","#),
            format!("words {}", repeated("{}")),
            repeated("\x1b]"),
            repeated("\x1b\x1bP"),
            format!("{}{}", " ".repeat(len), repeated("{}")),
            format!("{}{}", "x".repeat(len), r#"{"type":"brand_new"}"#),
        ] {
            let began = Instant::now();
            recording.said_of(&[line.as_bytes()], Exit::Code(0));
            let took = began.elapsed();
            println!("{}: {line:.12}: {took:?}", recording.name);
            // Unoptimized, beside other tests: the square of the length would take hours.
            assert!(took < Duration::from_secs(60), "{}: {line:.20}: {took:?}", recording.name);
        }
    }
}

/// As many cases as a change is tested with, or as take minutes.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("BELAY_LONG").is_some() { 20_000 } else { 200 };
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn noise_around_the_objects_changes_no_event_but_notices(
        which in any::<prop::sample::Index>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, noise()), 1..8),
    ) {
        static RECORDINGS: LazyLock<Vec<(Recording, Vec<Said>)>> = LazyLock::new(|| {
            let all = recorded::all().into_iter();
            all.map(|one| { let said = one.said(); (one, said) }).collect()
        });
        let (recording, whole) = which.get(&RECORDINGS[..]);
        let lines = recording.lines();
        let mut stream: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
        let mut changed = vec![false; lines.len()];
        for (at, place, noise) in places {
            let at = at.index(lines.len());
            // Words on both sides of an end make a sentence of it.
            if changed[at] || (at > 0 && changed[at - 1]) || makes_more(&noise, lines[at]) {
                continue;
            }
            changed[at] = true;
            match place {
                0 => stream[at].splice(0..0, noise.into_bytes()).for_each(drop),
                1 => stream[at].extend(noise.into_bytes()),
                _ if at + 1 < lines.len() && !changed[at + 1] && !makes_more(&noise, lines[at + 1]) => {
                    changed[at + 1] = true;
                    let next = std::mem::take(&mut stream[at + 1]);
                    stream[at].extend([noise.into_bytes(), next].concat());
                }
                _ => {}
            }
        }
        let differs = difference(&said_of(recording, &stream), whole);
        prop_assert_eq!(differs, None, "{}", recording.name);
    }
}

/// Braces, quotes, half objects, escape sequences, words. Quotes in it are closed.
fn noise() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"\"",
        "\"a\"",
        "\"a\":",
        "{\"a\":",
        "{\"a\":1,",
        "{\"type\":\"result\"",
        "{\"type\":\"result\",\"x\":",
        "{\"jsonrpc\":\"2.0\",\"id\":",
        "{\"method\":",
        "words ",
        "it's ",
        "1",
        "null",
        "\\",
        "é",
        "`a`",
        TITLE,
        PASTE,
        "\x1b[31m",
        "\x1b[",
        "\x1b",
        "\x1b]0;cut ",
        "\u{9b}0m",
        " ",
        "\t",
        "\r",
        "\0",
    ]);
    prop::collection::vec(parts, 1..8).prop_map(|parts| parts.concat())
}

/// True if the noise begins a valid object, alone or with what comes behind it, or opens a quote.
fn makes_more(noise: &str, line: &[u8]) -> bool {
    let text = format!("{noise}{}", String::from_utf8_lossy(line));
    let begins = noise.match_indices('{').any(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        matches!(values.next(), Some(Ok(_)))
    });
    // A backslash before a quote takes it away.
    begins || (noise.contains("\\\"") || noise.ends_with('\\'))
}

/// The streams of the reports: one agent's fake, as a wrapper or a shell spoils it.
#[test]
fn a_title_a_paste_and_a_wrapper_leave_the_answer() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s1"}"#;
    let said =
        r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"hi"}]}}"#;
    let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"THE ANSWER","session_id":"s1"}"#;
    for stream in [
        format!("{TITLE}{init}\n{said}\n{PASTE}{result}"),
        format!("{init}\n{said}\nDebugger attached.{result}"),
        format!("{init}{said}{result}"),
        format!(
            "Debugger attached.{init} {said}\n{result} Waiting for the debugger to disconnect..."
        ),
        format!("{TITLE}Debugger attached.{init}\nwords {said}\n{{\"a\":{result}{PASTE}"),
    ] {
        for transport in [Transport::Dialogue, Transport::Print] {
            let (texts, answers) = read(&Claude::new(), transport, &stream);
            assert_eq!(
                (texts, answers),
                (vec!["hi".to_owned()], vec![Ok("THE ANSWER".to_owned())]),
                "{stream:?}"
            );
        }
    }
    let began = r#"{"type":"thread.started","thread_id":"t1"}"#;
    let said = r#"{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"hi"}}"#;
    let done = r#"{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let turn = r#"{"type":"turn.started"}"#;
    for stream in [
        format!("{TITLE}{began}\n{turn}\n{said}\n{PASTE}{done}"),
        format!("words {began}{turn}\nDebugger attached.{said}\nwords {done}"),
        format!("{began}{turn}{said}{done}"),
    ] {
        let (texts, answers) = read(&Codex::new(), Transport::Print, &stream);
        assert_eq!(
            (texts, answers),
            (vec!["hi".to_owned()], vec![Ok("hi".to_owned())]),
            "{stream:?}"
        );
    }
}

/// The texts, and the answers or the failures.
fn read(
    agent: &dyn Agent,
    transport: Transport,
    stream: &str,
) -> (Vec<String>, Vec<Result<String, String>>) {
    let mut parser = StreamParser::new(agent, &RunRequest::new("hi"), transport);
    let mut events: Vec<_> =
        stream.split('\n').flat_map(|line| parser.parse_stream_line(line)).collect();
    events.extend(parser.finish(Exit::Code(0)));
    let text = |event| match event {
        Event::Text(text) => Some(text.text),
        _ => None,
    };
    let ends = parser.take_ended().into_iter().map(|end| match end.failure {
        None => Ok(end.answer),
        Some(failure) => Err(failure.message),
    });
    (events.into_iter().filter_map(|emitted| text(emitted.event)).collect(), ends.collect())
}

/// A torn record, and the next one on its line: a process was killed while it wrote, and another went on.
#[test]
fn a_record_behind_a_torn_one_is_read_from_a_session_file() {
    let claude = r#"{"type":"assistant","timestamp":"2026-11-21T16:54:45Z","message":{"id":"m","model":"x","usage":{"input_tokens":1,"output_tokens":85}}}"#;
    let codex = r#"{"type":"token_usage_record","timestamp":"2026-11-21T16:54:45Z","payload":{"usage":{"input_tokens":1,"output_tokens":85}}}"#;
    let copilot = r#"{"type":"session.usage_record","timestamp":"2026-11-21T16:54:45Z","data":{"usage":{"model":"x","inputTokens":1,"outputTokens":85}}}"#;
    let gemini = r#"{"id":"i","type":"gemini","timestamp":"2026-11-21T16:54:45Z","model":"x","tokens":{"input":1,"output":85}}"#;
    let qwen = r#"{"timestamp":"2026-11-21T16:54:45Z","systemPayload":{"uiEvent":{"event.name":"qwen-code.api_response","model":"x","input_token_count":1,"output_token_count":85}}}"#;
    let agents: [(&dyn Agent, &str); 5] = [
        (&Claude::new(), claude),
        (&Codex::new(), codex),
        (&Copilot::new(), copilot),
        (&Acp::gemini(), gemini),
        (&Acp::qwen(), qwen),
    ];
    for (agent, record) in agents {
        for line in [
            record.to_owned(),
            format!("{}{record}", &record[..30]),
            format!("{}{record}", &record[..60]),
            format!("{record}{}", &record[..60]),
            format!("\0\0{record}"),
        ] {
            let since = "2026-11-21T16:54:40Z".parse().unwrap();
            let responses = agent.read_session(since, &mut [line.as_bytes()].into_iter());
            let output = responses.iter().map(|response| response.tokens.output);
            assert_eq!(output.collect::<Vec<_>>(), [85], "{}: {line}", agent.name());
        }
    }
}

/// A dialogue over ACP in which something is said before each line of the agent, as a terminal or a wrapper does.
#[test]
fn a_dialogue_goes_on_behind_words_and_no_answer_is_forged() {
    let answer =
        |id: u32, result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let update = |session: &str, text: &str| {
        let content = format!(r#"{{"type":"text","text":"{text}"}}"#);
        let update = format!(r#"{{"sessionUpdate":"agent_message_chunk","content":{content}}}"#);
        format!(
            r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"{session}","update":{update}}}}}"#
        )
    };
    let end = r#"{"stopReason":"end_turn"}"#;
    for before in [TITLE, PASTE, "Debugger attached.", "{"] {
        let agent: belay_agents::Candidate = "acp:agent".parse().unwrap();
        let mut protocol = agent.agent.protocol(&RunRequest::new("hi"), Transport::Dialogue);
        let mut out = Out::default();
        protocol.step(Input::Start, &mut out);
        let mut said = Vec::new();
        for line in [
            answer(1, r#"{"protocolVersion":1,"agentCapabilities":{},"authMethods":[]}"#),
            // No one has asked for the fourth yet, and no one has a third session.
            answer(4, end),
            answer(2, r#"{"sessionId":"s1"}"#),
            update("s3", "forged"),
            format!("it prints {} and more", answer(3, end)),
            format!("it prints '{}", answer(3, end)),
            update("s1", "ok"),
            answer(3, end),
            answer(3, end),
        ] {
            out.actions.clear();
            protocol.step(Input::Stdout(format!("{before}{line}").as_bytes()), &mut out);
            // The agent pauses, but not for as long as an end would be doubted.
            let timers = out.actions.iter().filter_map(|action| match action {
                Action::Timer(id, after) => (after.as_secs() < 2).then_some(*id),
                _ => None,
            });
            for timer in timers.collect::<Vec<_>>() {
                protocol.step(Input::Timer(timer), &mut out);
            }
            said.extend(out.actions.iter().filter_map(|action| match action {
                Action::Emit(Emitted { event: Event::Text(text), .. }) => Some(text.text.clone()),
                Action::TurnEnded(end) => Some(format!("end: {}", end.answer)),
                _ => None,
            }));
        }
        assert_eq!(said, ["ok", "end: ok"], "{before:?}");
    }
}
