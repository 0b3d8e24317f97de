//! Reading a stream without running anything.

use crate::protocol::{Action, AttemptEnd, Emitted, Exit, Input, Out, Protocol};
use crate::{Agent, RunRequest, Transport};

/// Reads an agent's stream line by line: the seed's `parse_stream_line`, with the state it needs.
///
/// A line can only be understood with those before it: tool calls arrive in pieces, usage is cumulative, a
/// dropped response voids its text. So the parser is stateful, and one is needed for each stream.
pub struct StreamParser {
    protocol: Box<dyn Protocol>,
    out: Out,
    ended: Vec<AttemptEnd>,
}

impl std::fmt::Debug for StreamParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamParser").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl StreamParser {
    /// A parser for one stream of `agent`. Of the request only the session matters: a resumed stream may
    /// repeat the figures of the runs before.
    pub fn new(agent: &dyn Agent, request: &RunRequest, transport: Transport) -> Self {
        let protocol = agent.reader(request, transport);
        let mut parser = Self { protocol, out: Out::default(), ended: Vec::new() };
        parser.step(Input::Start);
        parser
    }

    /// Reads one line, with or without its line feed.
    ///
    /// The end of a turn is not an event here: take it with [`take_ended`](Self::take_ended).
    pub fn parse_stream_line(&mut self, line: &str) -> Vec<Emitted> {
        self.parse_bytes(line.strip_suffix('\n').unwrap_or(line).as_bytes())
    }

    /// Reads one line that need not be UTF-8.
    pub fn parse_bytes(&mut self, line: &[u8]) -> Vec<Emitted> {
        self.step(Input::Stdout(line))
    }

    /// Says that the stream has ended, and how the process did.
    pub fn finish(&mut self, exit: Exit) -> Vec<Emitted> {
        self.step(Input::Exit(exit))
    }

    /// The turns that have ended since this was called last.
    pub fn take_ended(&mut self) -> Vec<AttemptEnd> {
        std::mem::take(&mut self.ended)
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Emitted> {
        self.protocol.step(input, &mut self.out);
        let mut events = Vec::new();
        for action in self.out.actions.drain(..) {
            match action {
                Action::Emit(emitted) => events.push(emitted),
                Action::TurnEnded(end) => self.ended.push(*end),
                // There is nobody to talk to.
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
        events
    }
}
