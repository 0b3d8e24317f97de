//! Streams that were cut, fell silent or came late, with the session's file beside them: what the file knows is told
//! once, and nothing is believed that it does not say.

use crate::watch::Dialect;
use belay_agents::{
    Action, AttemptEnd, Doubt, Exit, Input, Out, Protocol, RunRequest, Standing, TimerId,
};
use belay_trace::{Event, FailureKind, Usage};
use std::fs;
use std::path::PathBuf;

/// The agents that keep files of their sessions, and how they were recorded.
const AGENTS: [(&str, Dialect); 6] = [
    ("claude-code", Dialect::ClaudeDialogue),
    ("codex", Dialect::CodexAppServer),
    ("pi", Dialect::PiRpc),
    ("gemini", Dialect::Gemini),
    ("qwen", Dialect::Qwen),
    ("copilot", Dialect::Copilot),
];

/// A turn with one command: what the driver was fed, and what the agent wrote down.
struct Recorded {
    dialect: Dialect,
    inputs: Vec<(String, String)>,
    file: String,
}

impl Recorded {
    fn all() -> impl Iterator<Item = Self> {
        AGENTS.into_iter().map(|(name, dialect)| {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../../recordings/session-files")
                .join(name);
            let inputs = fs::read_to_string(folder.join("inputs.jsonl")).unwrap();
            let inputs = inputs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            Self {
                dialect,
                inputs,
                file: fs::read_to_string(folder.join("session.jsonl")).unwrap(),
            }
        })
    }

    /// Gemini's file does not say that a turn is over.
    fn tells_the_end(&self) -> bool {
        self.dialect != Dialect::Gemini
    }

    /// True if the stream itself has said by then that it has answered.
    fn has_answered(&self, inputs: usize) -> bool {
        self.inputs[..inputs].iter().any(|(_, text)| text.contains("\"stopReason\":\"end_turn\""))
    }

    /// How many inputs there are before the process ends.
    fn len(&self) -> usize {
        self.inputs.iter().position(|(kind, _)| kind == "exit").unwrap()
    }
}

/// A driver and all that came out of it.
struct Talk {
    protocol: Box<dyn Protocol>,
    out: Out,
}

impl Talk {
    /// A driver that was fed the first inputs.
    fn after(recorded: &Recorded, inputs: usize) -> Self {
        let agent = recorded.dialect.agent();
        let request = RunRequest::new("PROMPT").permissions(belay_agents::Permissions::Full);
        let protocol = agent.protocol(&request, recorded.dialect.transport());
        let mut talk = Self { protocol, out: Out::default() };
        talk.feed(recorded, 0..inputs);
        talk
    }

    fn feed(&mut self, recorded: &Recorded, inputs: std::ops::Range<usize>) {
        for (kind, text) in &recorded.inputs[inputs] {
            let input = match kind.as_str() {
                "session" => Input::Session(text),
                "start" => Input::Start,
                "stdout" => Input::Stdout(text.as_bytes()),
                "stderr" => Input::Stderr(text.as_bytes()),
                "timer" => Input::Timer(TimerId(text.parse().unwrap())),
                other => panic!("{other}"),
            };
            self.step(input);
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.protocol.step(input, &mut self.out);
    }

    /// Asks the witness; true if the driver has one for what it knows so far.
    fn doubted(&mut self, doubt: Doubt, file: &str) -> bool {
        self.step(Input::Doubt(doubt));
        let is_asked = matches!(self.out.actions.last(), Some(Action::AskSession(_)));
        if is_asked {
            self.read(file, "2026-11-30T00:00:00Z");
        }
        is_asked
    }

    fn read(&mut self, file: &str, since: &str) {
        let since = since.parse().unwrap();
        self.step(Input::SessionFile { since, lines: file.as_bytes() });
    }

    fn killed(mut self) -> Self {
        self.step(Input::Exit(Exit::Signal(9)));
        self
    }

    fn ends(&self) -> Vec<&AttemptEnd> {
        let ends = self.out.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    fn count(&self, name: &str) -> usize {
        let is = |action: &&Action| matches!(action, Action::Emit(emitted) if emitted.event.type_name() == name);
        self.out.actions.iter().filter(is).count()
    }

    fn texts(&self) -> String {
        let texts = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Text(text) => Some(text.text.as_str()),
                _ => None,
            },
            _ => None,
        });
        texts.collect()
    }

    /// All was told, and once.
    #[track_caller]
    fn has_told_all(&self, of: &str) {
        assert_eq!(self.texts(), "I look.Done.", "{of}");
        assert_eq!((self.count("tool_call"), self.count("tool_result")), (1, 1), "{of}");
    }

    fn standing(&self) -> Option<Standing> {
        self.out.actions.iter().rev().find_map(|action| match action {
            Action::Testified(standing) => Some(*standing),
            _ => None,
        })
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_completed_from_the_file() {
    for recorded in Recorded::all() {
        for inputs in 1..=recorded.len() {
            let of = format!("{:?}, cut behind {inputs}", recorded.dialect);
            let mut talk = Talk::after(&recorded, inputs);
            let had_ended = !talk.ends().is_empty();
            let is_asked = talk.doubted(Doubt::Gone, &recorded.file);
            let talk = talk.killed();
            let ends = talk.ends();
            let [end] = ends[..] else { panic!("{of}: {} ends", ends.len()) };
            if had_ended || (is_asked && recorded.tells_the_end()) {
                assert_eq!((end.answer.as_str(), &end.failure), ("Done.", &None), "{of}");
            } else if !recorded.has_answered(inputs) {
                assert!(end.failure.is_some(), "{of}: nobody knows that it has answered");
            }
            if is_asked || had_ended {
                talk.has_told_all(&of);
            }
        }
    }
}

/// A turn in which the stream has shown all: the file has nothing to add, whenever it is asked.
#[test]
fn a_file_tells_no_call_that_the_stream_has_shown() {
    for recorded in Recorded::all() {
        let since = "2026-11-30T00:00:00Z".parse().unwrap();
        let lines = &mut recorded.file.lines().map(str::as_bytes);
        let calls = recorded.dialect.agent().silent_calls(since, lines);
        let mut talk = Talk::after(&recorded, recorded.len());
        talk.step(Input::SilentCalls(&calls));
        talk.has_told_all(&format!("{:?}", recorded.dialect));
    }
}

#[test]
fn what_the_stream_says_late_is_not_told_twice() {
    for recorded in Recorded::all() {
        for inputs in 1..=recorded.len() {
            let of = format!("{:?}, silent behind {inputs}", recorded.dialect);
            let mut talk = Talk::after(&recorded, inputs);
            talk.doubted(Doubt::Silent, &recorded.file);
            talk.feed(&recorded, inputs..recorded.len());
            talk.has_told_all(&of);
            assert!(talk.ends().iter().all(|end| end.failure.is_none()), "{of}");
            assert_eq!(talk.ends().last().unwrap().answer, "Done.", "{of}");
        }
    }
}

/// What all ends together have used, in tokens and money.
fn used(talk: &Talk) -> (u64, u64, Option<f64>) {
    let mut sum = Usage::default();
    talk.ends().iter().for_each(|end| sum.add(&end.usage));
    let (input, output) = (sum.input_tokens, sum.output_tokens);
    (input.unwrap_or_default(), output.unwrap_or_default(), sum.total_cost_usd)
}

#[test]
fn a_turn_that_both_end_is_paid_for_once() {
    for recorded in Recorded::all() {
        let healthy = used(&Talk::after(&recorded, recorded.len()));
        for inputs in 1..=recorded.len() {
            let of = format!("{:?}, silent behind {inputs}", recorded.dialect);
            let mut talk = Talk::after(&recorded, inputs);
            talk.doubted(Doubt::Silent, &recorded.file);
            talk.feed(&recorded, inputs..recorded.len());
            assert_eq!(used(&talk), healthy, "{of}");
        }
    }
}

#[test]
fn an_end_that_the_file_has_told_is_awaited_no_longer() {
    for recorded in Recorded::all().filter(Recorded::tells_the_end) {
        for inputs in 1..recorded.len() {
            let of = format!("{:?}, silent behind {inputs}", recorded.dialect);
            let mut talk = Talk::after(&recorded, inputs);
            if !talk.ends().is_empty() || !talk.doubted(Doubt::Silent, &recorded.file) {
                continue;
            }
            let timers = talk.out.actions.iter().filter_map(|action| match action {
                Action::Timer(id, _) if id.awaits_end() => Some(*id),
                _ => None,
            });
            for timer in timers.collect::<Vec<_>>() {
                talk.step(Input::Timer(timer));
            }
            let talk = talk.killed();
            let [end] = talk.ends()[..] else { panic!("{of}: {:?}", talk.ends()) };
            assert_eq!((end.answer.as_str(), &end.failure), ("Done.", &None), "{of}");
        }
    }
}

#[test]
fn a_turn_behind_one_that_the_file_has_ended_may_fail() {
    let recorded = Recorded::all().next().unwrap();
    let at = recorded.len() / 2;
    let id = Talk::after(&recorded, at).out.actions.iter().find_map(|action| match action {
        Action::Emit(emitted) => match &emitted.event {
            Event::SessionStarted(session) => Some(session.session_id.clone()),
            _ => None,
        },
        _ => None,
    });
    let of_session = |line: &str| line.replace("SESSION", id.as_deref().unwrap());
    let failed = of_session(
        r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529 Overloaded","api_error_status":529,"session_id":"SESSION"}"#,
    );
    let words = of_session(
        r#"{"type":"assistant","session_id":"SESSION","message":{"id":"m9","model":"m","content":[{"type":"text","text":"More."}]}}"#,
    );
    for lines in [vec![&failed], vec![&words, &failed]] {
        let mut talk = Talk::after(&recorded, at);
        talk.doubted(Doubt::Silent, &recorded.file);
        assert_eq!(talk.ends().len(), 1);
        lines.iter().for_each(|line| talk.step(Input::Stdout(line.as_bytes())));
        let ends = talk.ends();
        assert!(ends[1].failure.is_some(), "{ends:?}");
        let opened = talk.out.actions.iter().filter(|it| matches!(it, Action::TurnOpened)).count();
        assert_eq!(opened, lines.len() - 1);
    }
}

#[test]
fn words_that_the_file_alone_knows_are_what_was_reached() {
    let gemini = Recorded::all().find(|recorded| !recorded.tells_the_end()).unwrap();
    for inputs in 1..gemini.len() {
        let mut talk = Talk::after(&gemini, inputs);
        if gemini.has_answered(inputs) || !talk.doubted(Doubt::Gone, &gemini.file) {
            continue;
        }
        let talk = talk.killed();
        let [end] = talk.ends()[..] else { panic!("{inputs}") };
        assert_eq!((end.answer.as_str(), end.failure.is_some()), ("Done.", true), "{inputs}");
    }
}

#[test]
fn a_file_that_breaks_off_anywhere_makes_no_false_success() {
    for recorded in Recorded::all() {
        let lines: Vec<_> = recorded.file.split_inclusive('\n').collect();
        let begun = (1..recorded.len())
            .find(|inputs| Talk::after(&recorded, *inputs).count("session_started") > 0)
            .unwrap();
        for count in 0..lines.len() {
            let of = format!("{:?}, {count} lines", recorded.dialect);
            let mut talk = Talk::after(&recorded, begun);
            talk.doubted(Doubt::Silent, &lines[..count].concat());
            let was_told = talk.texts();
            // The rest, and what has stood there before is not told again.
            talk.doubted(Doubt::Gone, "");
            assert_eq!(talk.texts(), was_told, "{of}");
            let talk = talk.killed();
            let [end] = talk.ends()[..] else { panic!("{of}") };
            if end.failure.is_none() {
                assert_eq!((end.answer.as_str(), talk.count("tool_result")), ("Done.", 1), "{of}");
            }
        }
    }
}

#[test]
fn a_file_that_grows_is_progress_and_one_that_does_not_is_none() {
    for recorded in Recorded::all() {
        let is_progress = |action: &Action| match action {
            Action::Emit(emitted) => emitted.event.is_progress(),
            Action::Progress(_) => true,
            _ => false,
        };
        let lines: Vec<_> = recorded.file.split_inclusive('\n').collect();
        let at = (1..recorded.len())
            .find(|inputs| Talk::after(&recorded, *inputs).count("tool_result") > 0)
            .unwrap();
        let mut talk = Talk::after(&recorded, at);
        // Up to the command's result, which the stream has told.
        let until = lines
            .iter()
            .rposition(|line| line.contains("echo hi") || line.contains("hi\\n"))
            .unwrap();
        for (text, wanted) in
            [(lines[..=until].concat(), false), (lines[until + 1..].concat(), true)]
        {
            talk.out.actions.clear();
            assert!(talk.doubted(Doubt::Silent, &text), "{:?}", recorded.dialect);
            let got_on = talk.out.actions.iter().any(is_progress);
            assert_eq!(got_on, wanted, "{:?}: {:?}", recorded.dialect, talk.out.actions);
        }
    }
}

#[test]
fn the_file_of_another_session_or_an_earlier_turn_answers_nothing() {
    for recorded in Recorded::all() {
        let of = format!("{:?}", recorded.dialect);
        let begun = (1..recorded.len())
            .find(|inputs| Talk::after(&recorded, *inputs).count("session_started") > 0)
            .unwrap();
        let mut talk = Talk::after(&recorded, begun);
        talk.step(Input::Doubt(Doubt::Silent));
        let Some(Action::AskSession(id)) = talk.out.actions.last().cloned() else { panic!("{of}") };
        let other = format!("{}{}", &id[..8], "-ffff-ffff-ffff-ffffffffffff");
        talk.read(&recorded.file.replace(&id, &other), "2026-11-30T00:00:00Z");
        assert_eq!((talk.texts().as_str(), talk.standing()), ("", Some(Standing::Unknown)), "{of}");
        let mut talk = Talk::after(&recorded, begun);
        talk.step(Input::Doubt(Doubt::Silent));
        talk.read(&recorded.file, "2027-01-01T00:00:00Z");
        assert_eq!(talk.texts(), "", "{of}");
        let talk = talk.killed();
        assert!(talk.ends()[0].failure.is_some(), "{of}");
    }
}

#[test]
fn an_agent_without_a_session_file_says_that_nothing_is_known() {
    for dialect in [Dialect::OpenCodeRun, Dialect::DockerAgent] {
        let agent = dialect.agent();
        let mut protocol = agent.protocol(&RunRequest::new("PROMPT"), dialect.transport());
        let mut out = Out::default();
        protocol.step(Input::Start, &mut out);
        out.actions.clear();
        protocol.step(Input::Doubt(Doubt::Silent), &mut out);
        assert_eq!(out.actions, [], "{dialect:?}");
    }
}

#[test]
fn a_turn_that_ends_at_its_limit_is_no_answer() {
    let recorded = Recorded::all().next().unwrap();
    let file = recorded.file.replace("end_turn", "max_tokens");
    let mut talk = Talk::after(&recorded, recorded.len() / 2);
    assert!(talk.doubted(Doubt::Gone, &file));
    let [end] = talk.ends()[..] else { panic!("one end") };
    assert_eq!(end.failure.as_ref().unwrap().kind, FailureKind::OutputLimit);
    assert_eq!(end.answer, "Done.");
}

#[test]
fn the_answer_of_a_file_is_its_last_message() {
    let recorded = Recorded::all().next().unwrap();
    let last = recorded.file.lines().last().unwrap();
    let more = last.replace("Done.", "Really.").replace("msg_000000000000000000000009", "msg_x");
    let mut talk = Talk::after(&recorded, recorded.len() / 2);
    assert!(talk.doubted(Doubt::Gone, &format!("{}{more}\n", recorded.file)));
    assert_eq!(talk.ends()[0].answer, "Really.");
    assert!(talk.texts().ends_with("Done.Really."));
}

#[test]
fn a_record_behind_a_torn_one_is_read() {
    for recorded in Recorded::all().filter(Recorded::tells_the_end) {
        let (before, last) = recorded.file.trim_end().rsplit_once('\n').unwrap();
        let torn = format!("{before}\n{{\"type\":\"assist{last}\n");
        let mut talk = Talk::after(&recorded, recorded.len() / 2);
        talk.doubted(Doubt::Gone, &torn);
        let [end] = talk.ends()[..] else { panic!("{:?}", recorded.dialect) };
        assert_eq!(end.answer, "Done.", "{:?}", recorded.dialect);
    }
}
