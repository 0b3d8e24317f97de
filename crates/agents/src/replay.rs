//! A recorded attempt once more: the same inputs through the same driver.

use crate::protocol::{Action, AttemptEnd, Emitted, Exit, HttpId, Input, Out, TimerId};
use crate::terminal::{TerminalId, TerminalNews};
use crate::{Agent, RunRequest, Transport};
use belay_trace::Decision;
use belay_trace::journal::{Frame, Frames, InputKind};

/// What the inputs of an attempt give: the same events as when it ran, without an agent and without cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// The driver's events, in order, each with the number of the input that gave rise to it.
    pub events: Vec<(usize, Emitted)>,
    /// How the turns ended.
    pub ended: Vec<AttemptEnd>,
    /// Inputs that could not be read: of a kind that this version does not know, or damaged.
    pub unreadable: usize,
}

impl Replay {
    /// Feeds the inputs of an attempt to a fresh driver.
    pub fn of(agent: &dyn Agent, request: &RunRequest, transport: Transport, log: &[u8]) -> Self {
        let mut protocol = agent.protocol(request, transport);
        let (mut replay, mut out) = (Self::default(), Out::default());
        let mut frames = Frames::new(log);
        for (number, frame) in frames.by_ref().enumerate() {
            if frame.kind == InputKind::Oversized {
                // No driver has seen it.
                continue;
            }
            let text = String::from_utf8_lossy(frame.bytes);
            let Some(input) = input(&frame, &text) else {
                replay.unreadable += 1;
                continue;
            };
            protocol.step(input, &mut out);
            for action in out.actions.drain(..) {
                match action {
                    Action::Emit(emitted) => replay.events.push((number, emitted)),
                    Action::TurnEnded(end) => replay.ended.push(*end),
                    Action::TurnOpened
                    | Action::Stdin(_)
                    | Action::CloseStdin
                    | Action::Timer(..)
                    | Action::Http { .. }
                    | Action::OpenSse(..)
                    | Action::Terminal { .. }
                    | Action::AskSession(_)
                    | Action::AskSilentCalls(_)
                    | Action::Testified(_)
                    | Action::Finish
                    | Action::Progress(_)
                    | Action::Cannot(_) => {}
                }
            }
        }
        replay.unreadable += usize::from(!frames.rest().is_empty());
        replay
    }
}

/// The input that a frame holds, as `belay_trace::journal` describes it.
fn input<'a>(frame: &Frame<'a>, text: &'a str) -> Option<Input<'a>> {
    let (head, tail) = text.split_once(' ').unwrap_or((text, ""));
    Some(match frame.kind {
        InputKind::Session => Input::Session(text),
        InputKind::Start => Input::Start,
        InputKind::Stdout => Input::Stdout(frame.bytes),
        InputKind::Stderr => Input::Stderr(frame.bytes),
        InputKind::Steer => Input::Steer(text),
        InputKind::Interrupt => Input::Interrupt,
        InputKind::Permission => match head {
            "allow" => Input::Permission { id: tail, answer: Decision::Allow },
            _ => Input::Permission { id: tail, answer: Decision::Deny },
        },
        InputKind::Http => {
            let (head, body) = split_line(frame.bytes)?;
            let (id, status) = head.split_once(' ')?;
            let id = HttpId(id.parse().ok()?);
            Input::Http { id, status: status.parse().ok()?, body }
        }
        InputKind::Terminal => {
            let (head, text) = split_line(frame.bytes)?;
            let (id, head) = head.split_once(' ')?;
            let news = TerminalNews::from_frame(head, str::from_utf8(text).ok()?)?;
            Input::Terminal { id: TerminalId(id.parse().ok()?), news }
        }
        InputKind::Sse => Input::Sse(frame.bytes),
        InputKind::Doubt => Input::Doubt(text.parse().ok()?),
        InputKind::SessionFile => {
            let (since, lines) = split_line(frame.bytes)?;
            Input::SessionFile { since: since.parse().ok()?, lines }
        }
        InputKind::SilentCalls => Input::SilentCalls(frame.bytes),
        InputKind::AnswerFile => Input::AnswerFile(frame.bytes),
        InputKind::Timer => Input::Timer(TimerId(text.parse().ok()?)),
        InputKind::Exit => match head {
            "code" => Input::Exit(Exit::Code(tail.parse().ok()?)),
            "signal" => Input::Exit(Exit::Signal(tail.parse().ok()?)),
            _ => return None,
        },
        _ => return None,
    })
}

/// The first line, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (head, tail) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n')?);
    Some((str::from_utf8(head).ok()?, &tail[1..]))
}
