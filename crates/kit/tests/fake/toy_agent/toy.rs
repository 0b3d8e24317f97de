//! A toy agent, whole: its program reads a prompt and prints one JSON object a line.
use belay_agents::*;
use belaykit::trace::{Event, Failure, FailureKind, Text, ToolCall, Usage};

#[derive(Debug)]
pub(crate) struct Toy;

impl Agent for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }
    fn transports(&self) -> &'static [Transport] {
        &[Transport::Print]
    }
    fn capabilities(&self, _: Transport) -> Capabilities {
        Capabilities::new(&[(Capability::ReportedUsage, Support::Native)])
    }
    fn launch(&self, request: &RunRequest, _: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("toy");
        launch.env = EnvPolicy::with(&["TOY_*"]);
        launch.stdin.clone_from(&request.prompt);
        Ok(launch)
    }
    fn protocol(&self, request: &RunRequest, _: Transport) -> Box<dyn Protocol> {
        Box::new(Stream(format!("{}\n", request.prompt), false))
    }
}

#[derive(serde::Deserialize)]
enum Line {
    Text(Text),
    Call(ToolCall),
    Done { answer: String, usage: Usage },
}

/// The prompt, and whether the turn has ended.
struct Stream(String, bool);

impl Protocol for Stream {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => out.stdin(self.0.clone().into_bytes()),
            Input::Stdout(line) => match serde_json::from_slice(line) {
                Ok(Line::Text(text)) => out.event(Event::Text(text)),
                Ok(Line::Call(call)) => out.event(Event::ToolCall(call)),
                Ok(Line::Done { answer, usage }) => {
                    self.1 = true;
                    out.turn_ended(AttemptEnd::answered(answer, usage));
                }
                Err(_) => out.event(Event::unknown(line)),
            },
            Input::Exit(_) if !self.1 => {
                let failure = Failure::new(FailureKind::Crashed, "the toy broke off");
                out.turn_ended(AttemptEnd::failed(failure));
            }
            _ => {}
        }
    }
}
